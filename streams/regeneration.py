"""The hops of one more index generation: from the redacted documents to its heads, and from those to its receipts.

The first rests between batches while questions come (`build_pace.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from processors.contract import Reject
from processors.ingest.embed import remember
from processors.ingest.index import fold
from processors.ingest.regenerate import Materials, Source, regenerate
from processors.ingest.settle import settle
from processors.ports import EmbeddingCache, Heads
from schemas.envelope import Event, Micros
from streams.build_pace import BuildPace
from streams.generations import Generations
from streams.hop import BatchLimits, Hop
from streams.metrics import observe_freshness
from streams.selection import Selected
from topics.ingest import ACCESS_CHANGED, DOCUMENT_HEAD, DOCUMENT_INDEXED, DOCUMENT_REDACTED, EMBEDDING_COMPUTED

__all__ = ["VIEWS", "hops_of"]

VIEWS: Final = frozenset({"embedding_cache", "heads"})
"""What a builder follows."""

# A replay must leave the process room for the questions that it answers beside it.
_BATCH: Final = BatchLimits(records=32)


def hops_of(generation: str) -> list[Selected]:
    """What follows the log for a generation, each in a consumer group of its own: it begins with the oldest document.

    >>> [selected.group for selected in hops_of("g2")]
    ['headwater.generation.regenerate.g2.v1', 'headwater.generation.settle.g2.v1']
    """
    make = Hop(
        (DOCUMENT_REDACTED, ACCESS_CHANGED),
        _regenerate,
        (EMBEDDING_COMPUTED, DOCUMENT_HEAD, DOCUMENT_INDEXED),
        limits=_BATCH,
        committed=_take,
        waits_for=tuple(sorted(VIEWS)),
        called=f"regenerate.{generation}",
    )
    end = Hop(
        (DOCUMENT_HEAD,),
        settle,
        (DOCUMENT_INDEXED,),
        committed=_observe,
        waits_for=("heads",),
        called=f"settle.{generation}",
    )
    return [Selected("generation", (make,)), Selected("generation", (end,))]


def _regenerate(events: Sequence[Source], materials: Materials, build_pace: BuildPace) -> list[list[Event] | Reject]:
    build_pace.begin()
    return regenerate(events, materials)


def _take(events: Iterable[Event], embedding_cache: EmbeddingCache, heads: Heads, build_pace: BuildPace) -> None:
    """What was just committed, before the log brings it; then the rest that the batch owes to who asks."""
    committed = list(events)
    remember(committed, embedding_cache)
    fold(committed, heads)
    build_pace.rest()


def _observe(events: Iterable[Event], serving: Generations, registered_at: Micros) -> None:
    """How fresh the index is, once ordinary ingest makes no heads any more and says so no longer; never a replay."""
    if not serving.own_lives:
        observe_freshness(e for e in events if min(getattr(e, "trail", {}).values(), default=0) >= registered_at)
