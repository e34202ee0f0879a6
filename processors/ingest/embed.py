"""Embed: a vector for every chunk, computed only where no equal text of the same model was embedded before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from processors.contract import Reject
from processors.ingest.passages import passage_text, text_hash
from processors.ports import Clock, Embedder, EmbeddingCache
from schemas.documents import ChunkCreated, ChunkEmbedded, DocumentChunked, DocumentDeleted, EmbeddingComputed
from schemas.envelope import Event

__all__ = ["embed", "remember"]

Embeddable = ChunkCreated | DocumentChunked | DocumentDeleted


@dataclass(frozen=True)
class Computed:
    """A vector that this batch paid for."""

    vector: bytes
    tokens: int
    seconds: float


def embed(
    events: Sequence[Embeddable], embedder: Embedder, embedding_cache: EmbeddingCache, clock: Clock
) -> list[list[Event] | Reject]:
    """ChunkEmbedded for every chunk; EmbeddingComputed, once per text, for what had to be computed.

    Manifests and deletes are passed on in their place. The cache is not written here: what an aborted transaction
    computed was never recorded, so it is computed, and charged, again. `remember` fills it after the commit.
    """
    passages = [_passage(event) for event in events]
    hashes = [text_hash(passage) if passage else "" for passage in passages]
    wanted = {digest: passage for digest, passage in zip(hashes, passages, strict=True) if passage}
    known = {digest: vector for digest in wanted if (vector := _cached(embedder, embedding_cache, digest))}
    computed = _computed({d: text for d, text in wanted.items() if d not in known}, embedder, clock)
    charged: set[str] = set()
    outputs: list[list[Event] | Reject] = []
    for event, digest in zip(events, hashes, strict=True):
        if not isinstance(event, ChunkCreated):
            outputs.append([event])
            continue
        emitted: list[Event] = []
        if digest in computed and digest not in charged:
            charged.add(digest)
            emitted.append(_receipt(event, digest, computed[digest], embedder))
        vector = computed[digest].vector if digest in computed else known[digest]
        outputs.append([*emitted, _embedded(event, vector, embedder)])
    return outputs


def remember(events: Iterable[Event], embedding_cache: EmbeddingCache) -> None:
    """Fills the cache with what was computed. Use it once the events are committed, and on the topic's history."""
    for event in events:
        if isinstance(event, EmbeddingComputed):
            embedding_cache.put(event.model, event.text_hash, event.vector)


def _passage(event: Embeddable) -> str:
    if not isinstance(event, ChunkCreated):
        return ""
    return passage_text(event.title, event.chunk.heading_path, event.chunk.text)


def _cached(embedder: Embedder, cache: EmbeddingCache, digest: str) -> bytes | None:
    vector = cache.get(embedder.model, digest)
    # A model may have changed its width under the same name; such a vector is of no use.
    return vector if vector and len(vector) == 4 * embedder.dimension else None


def _computed(missing: Mapping[str, str], embedder: Embedder, clock: Clock) -> dict[str, Computed]:
    """Vectors of the texts that are missing; the seconds are shared out by tokens."""
    if not missing:
        return {}
    texts = list(missing.values())
    began = clock.monotonic()
    vectors = embedder.embed(texts)
    seconds = clock.monotonic() - began
    tokens = [embedder.count(text) for text in texts]
    each = seconds / max(1, sum(tokens))
    return {
        digest: Computed(vector.astype("<f4").tobytes(), count, each * count)
        for digest, vector, count in zip(missing, vectors, tokens, strict=True)
    }


def _receipt(event: ChunkCreated, digest: str, computed: Computed, embedder: Embedder) -> EmbeddingComputed:
    return EmbeddingComputed(
        tenant=event.tenant,
        model=embedder.model,
        text_hash=digest,
        dimension=embedder.dimension,
        vector=computed.vector,
        tokens=computed.tokens,
        seconds=computed.seconds,
        document=event.document,
    )


def _embedded(event: ChunkCreated, vector: bytes, embedder: Embedder) -> ChunkEmbedded:
    fields: dict[str, Any] = {name: getattr(event, name) for name in ChunkCreated.__struct_fields__}
    return ChunkEmbedded(**fields, model=embedder.model, dimension=embedder.dimension, vector=vector)
