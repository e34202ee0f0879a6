"""Vectors of questions: whoever needs one asks here, where it may be kept from the last time it was asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from processors.ports import Embedder, Vectors

__all__ = ["NOT_KEPT", "QuestionVectors"]


class QuestionVectors(Protocol):
    """The vectors of a tenant's questions, computed or kept.

    `of` gives one per text, and those texts whose embedding is charged to a query: the same whenever that asks, since a
    step that fails is done again, and must not find its own work for nothing. `looked_at` is for a step that charges
    nobody: `of` does so when it is asked next.
    """

    def of(self, tenant: str, embedder: Embedder, texts: Sequence[str], query_id: str) -> tuple[Vectors, list[str]]: ...

    def looked_at(self, tenant: str, embedder: Embedder, text: str) -> Vectors: ...


class _NotKept:
    """Each is computed each time."""

    def of(self, tenant: str, embedder: Embedder, texts: Sequence[str], query_id: str) -> tuple[Vectors, list[str]]:
        del tenant, query_id
        return embedder.embed(texts), list(texts)

    def looked_at(self, tenant: str, embedder: Embedder, text: str) -> Vectors:
        del tenant
        vector: Vectors = embedder.embed([text])[0]
        return vector


NOT_KEPT: Final[QuestionVectors] = _NotKept()
