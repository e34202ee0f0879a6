"""Vectors already computed, as their topic has them: folded into the embedding cache of a process."""

from __future__ import annotations

from processors.ports import EmbeddingCache
from schemas.documents import EmbeddingComputed
from schemas.envelope import Event

__all__ = ["ComputedVectors"]


class ComputedVectors:
    """Keeps a cache of one model as new as the topic. Use it with a Follower of `rag.embedding.computed.v1`.

    >>> from adapters.memory import DictEmbeddingCache
    >>> ComputedVectors(DictEmbeddingCache(), "minilm").knows("minilm|0123")
    False
    """

    def __init__(self, cache: EmbeddingCache, model: str) -> None:
        self._cache = cache
        self._model = model

    def fold(self, event: Event) -> None:
        """Takes a vector of this model."""
        if isinstance(event, EmbeddingComputed) and event.model == self._model:
            self._cache.put(event.model, event.text_hash, event.vector)

    def drop(self, key: str) -> None:
        """A tombstone: the text was erased."""
        self._cache.drop(*_parts(key))

    def knows(self, key: str) -> bool:
        """Whether the vector of a key is there already."""
        return self._cache.get(*_parts(key)) is not None


def _parts(key: str) -> tuple[str, str]:
    model, _, text_hash = key.rpartition("|")
    return model, text_hash
