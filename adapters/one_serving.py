"""The Serving port where there is one generation and no log to ask: journeys in memory, evaluation, tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from processors.ports import Embedder, Heads, Index, Served
from schemas.documents import DocumentHead

__all__ = ["OneGeneration", "OneLife", "OneServing"]


@dataclass(frozen=True)
class OneGeneration:
    """A generation whose parts are at hand."""

    generation: str
    embedder: Embedder
    store: Index
    heads: Heads


class OneServing:
    """Serves everybody from one generation, for ever.

    >>> from adapters.heads_view import MemoryHeads
    >>> from adapters.memory import HashingEmbedder, MemoryIndex
    >>> serving = OneServing(OneGeneration("g1", HashingEmbedder(), MemoryIndex(), MemoryHeads("g1")))
    >>> with serving.lease("acme") as served: served.generation
    'g1'
    """

    def __init__(self, generation: OneGeneration) -> None:
        self._generation = generation

    @contextmanager
    def lease(self, tenant: str) -> Iterator[Served]:  # noqa: ARG002  # everybody is served by the same
        """The one generation."""
        yield self._generation


class OneLife:
    """The Lives port over the heads of one generation, the only one there is.

    >>> from adapters.heads_view import MemoryHeads
    >>> OneLife(MemoryHeads("g1")).unreached
    ()
    """

    unreached: tuple[str, ...] = ()

    def __init__(self, heads: Heads) -> None:
        self._heads = heads

    def heads(self, tenant: str, document: str) -> Sequence[DocumentHead | None]:
        """Its head, None for a document that was never heard of."""
        return (self._heads.get(tenant, document),)
