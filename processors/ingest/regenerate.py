"""Regenerate: the way of one more index generation, from redacted documents to heads of its own, in one step.

The way of a batch (`regenerate`):
1. Chunk each document as this generation does.
2. Embed what no vector of this generation's model is known of: an equal passage costs nothing.
3. Index: objects first, then heads, against the heads of this generation only.
Between them nothing goes to a topic: those of chunks belong to the generation of ordinary ingest, and whoever follows
them would take the chunks of both for one (`docs/adr/0017-index-generations.md`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from processors.contract import Reject, Stop
from processors.ingest.chunk import chunk
from processors.ingest.embed import embed
from processors.ingest.index import index
from processors.ingest.planning import Indexable
from processors.ports import Clock, Embedder, EmbeddingCache, Heads, Index, Splitter
from schemas.documents import AccessChanged, DocumentDeleted, DocumentRedacted, EmbeddingComputed
from schemas.envelope import Event

__all__ = ["Materials", "Source", "regenerate"]

Source = DocumentRedacted | DocumentDeleted | AccessChanged


@dataclass(frozen=True)
class Materials:
    """The ports of one generation."""

    generation: str
    splitter: Splitter
    embedder: Embedder
    embedding_cache: EmbeddingCache
    store: Index
    heads: Heads
    clock: Clock


def regenerate(events: Sequence[Source], materials: Materials) -> list[list[Event] | Reject]:
    """EmbeddingComputed for what had to be computed, then a head, or a receipt for what is no news.

    A document one of whose chunks is refused is refused whole. Raises Stop where the index or the model fails: half a
    batch planned without the other half would be planned against the wrong heads.
    """
    cut = [_chunked(event, materials) for event in events]
    embedded = _embedded(cut, materials)
    flat = [(root, one) for root, parts in enumerate(embedded) if not isinstance(parts, Reject) for one in parts]
    planned = [(root, one) for root, one in flat if not isinstance(one, EmbeddingComputed)]
    indexable = cast("list[Indexable]", [one for _, one in planned])
    results = index(indexable, materials.store, materials.heads, materials.generation)
    outputs = [parts if isinstance(parts, Reject) else _computed(parts) for parts in embedded]
    for (root, _), result in zip(planned, results, strict=True):
        outputs[root] = _joined(outputs[root], result)
    return outputs


def _computed(parts: list[Event]) -> list[Event]:
    return [one for one in parts if isinstance(one, EmbeddingComputed)]


def _joined(before: list[Event] | Reject, result: list[Event] | Reject) -> list[Event] | Reject:
    if isinstance(before, Reject):
        return before
    return result if isinstance(result, Reject) else [*before, *result]


def _chunked(event: Source, materials: Materials) -> list[Event] | Reject:
    if isinstance(event, AccessChanged):
        return [event]
    try:
        return list(chunk(event, materials.splitter))
    except Stop:
        raise
    except Exception as error:
        # One document that can't be cut must not stop the batch it is in.
        return _refused(error)


def _embedded(cut: Sequence[list[Event] | Reject], materials: Materials) -> list[list[Event] | Reject]:
    """The same with vectors, in one pass of the model; where that fails, document by document to find the culprit."""
    try:
        return _in_one_pass(cut, materials)
    except Stop:
        raise
    except Exception as error:
        found = [parts if isinstance(parts, Reject) else _alone(parts, materials) for parts in cut]
        if all(isinstance(parts, Reject) for parts in found) and len(found) > 1:
            raise Stop(f"the model failed: {type(error).__name__}: {error}") from error
        return found


def _alone(parts: list[Event], materials: Materials) -> list[Event] | Reject:
    try:
        return _in_one_pass([parts], materials)[0]
    except Stop:
        raise
    except Exception as error:
        return _refused(error)


def _in_one_pass(cut: Sequence[list[Event] | Reject], materials: Materials) -> list[list[Event] | Reject]:
    embeddable = [one for parts in cut if not isinstance(parts, Reject) for one in parts if _has_text(one)]
    made = iter(embed(embeddable, materials.embedder, materials.embedding_cache, materials.clock))  # type: ignore[arg-type]
    embedded: list[list[Event] | Reject] = []
    for parts in cut:
        whole: list[Event] | Reject = parts if isinstance(parts, Reject) else []
        for one in () if isinstance(parts, Reject) else parts:
            whole = _joined(whole, next(made) if _has_text(one) else [one])
        embedded.append(whole)
    return embedded


def _has_text(event: Event) -> bool:
    return not isinstance(event, AccessChanged)


def _refused(error: Exception) -> Reject:
    if isinstance(error, Reject):
        return error
    reject = Reject(f"{type(error).__name__}: {error}")
    reject.__cause__ = error
    return reject
