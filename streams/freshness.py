"""How fresh the index is: what the receipts of ingest say about each stage, from the source's commit to the receipt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from itertools import pairwise
from typing import Final

from schemas.documents import DocumentIndexed
from schemas.envelope import Micros, Version
from streams.ingest import INGEST
from streams.reading import Reader, Slice
from topics.ingest import DOCUMENT_INDEXED

__all__ = [
    "FreshnessReport",
    "Selection",
    "Slow",
    "Spread",
    "first_of_each",
    "freshness_of",
    "read_freshness",
    "stages_of",
]

TOTAL: Final = "total"
ORDER: Final = ("source", *(hop.name for hop in INGEST))
_SLOWEST: Final = 10


@dataclass(frozen=True)
class Spread:
    """How long something took, milliseconds: the shares of `count` receipts that were at most so slow."""

    stage: str
    count: int
    p50: float
    p95: float
    p99: float
    most: float


@dataclass(frozen=True)
class Slow:
    """A receipt that took long, and where its time went, milliseconds by stage."""

    tenant: str
    document: str
    version: Version
    outcome: str
    at: Micros
    total_ms: float
    stages: Mapping[str, float]


@dataclass(frozen=True)
class FreshnessReport:
    """What the receipts say. `within` is the share that kept the objective of `slo_ms`; 1 where there were none.

    `skewed` counts receipts with a stage that ended before the one ahead of it: the clocks of source and platform, or
    of two workers, differ. Such a stage counts as 0.
    """

    receipts: int
    slo_ms: int
    within: float
    skewed: int
    outcomes: Mapping[str, int]
    total: Spread
    stages: tuple[Spread, ...]
    slowest: tuple[Slow, ...]


@dataclass(frozen=True)
class Selection:
    """Which receipts to read: of a tenant, of a document, from a moment on; empty means all.

    `built` says since when each generation follows that was built from the log: what is older was replayed into it.
    """

    tenant: str = ""
    document: str = ""
    since: Micros | None = None
    built: Mapping[str, Micros] = field(default_factory=dict)


def read_freshness(reader: Reader, selection: Selection, slo_ms: int) -> FreshnessReport:
    """The report over the receipts that are on their topic. Raises what reading raises.

    >>> read_freshness(reader, Selection(tenant="acme"), 150).within  # doctest: +SKIP
    0.997
    """
    suffix = f"|{selection.document}".encode() if selection.document else b""
    prefix = f"{selection.tenant}|".encode() if selection.tenant else b""

    def ours(key: bytes, _: bytes) -> bool:
        return key.startswith(prefix) and key.endswith(suffix)

    partition = None
    if selection.tenant and selection.document:
        partition = reader.partition_of(DOCUMENT_INDEXED, f"{selection.tenant}|{selection.document}")
    part = Slice(since=selection.since, partition=partition, keep=ours)
    events = (reading.event for reading in reader.read(DOCUMENT_INDEXED.name, part))
    receipts = [event for event in events if isinstance(event, DocumentIndexed) and _wanted(event, selection)]
    return freshness_of(first_of_each(receipts, selection.built), slo_ms)


def first_of_each(receipts: Iterable[DocumentIndexed], built: Mapping[str, Micros]) -> list[DocumentIndexed]:
    """Without what was replayed into a new generation, and each version by the generation that had it first: a build
    says nothing about how fresh the index is."""
    live = [one for one in receipts if one.generation not in built or _begin(one) >= built[one.generation]]
    first: dict[tuple[str, str, Version], str] = {}
    for one in sorted(live, key=lambda one: one.occurred_at):
        first.setdefault((one.tenant, one.document, one.version), one.generation)
    return [one for one in live if first[one.tenant, one.document, one.version] == one.generation]


def freshness_of(receipts: Iterable[DocumentIndexed], slo_ms: int) -> FreshnessReport:
    """The report over receipts; those without a trail say nothing about time and are left out."""
    timed = [(receipt, stages_of(receipt)) for receipt in receipts if receipt.trail]
    totals = [_total(receipt) for receipt, _ in timed]
    names = _in_order({name for _, stages in timed for name in stages})
    return FreshnessReport(
        receipts=len(timed),
        slo_ms=slo_ms,
        within=sum(total <= slo_ms for total in totals) / len(totals) if totals else 1.0,
        skewed=sum(any(took < 0 for took in stages.values()) for _, stages in timed),
        outcomes=dict(Counter(receipt.outcome for receipt, _ in timed)),
        total=_spread(TOTAL, totals),
        stages=tuple(_spread(name, [stages[name] for _, stages in timed if name in stages]) for name in names),
        slowest=tuple(_slow(*one) for one in nlargest(_SLOWEST, timed, key=lambda one: _total(one[0]))),
    )


def stages_of(receipt: DocumentIndexed) -> dict[str, float]:
    """Milliseconds that each stage took, from the end of the one before it; the first has none before it.

    >>> from schemas.envelope import Micros, Version
    >>> trail = {"source": Micros(1), "capture": Micros(2_001), "settle": Micros(9_001)}
    >>> version = Version(source=1, offset=1)
    >>> of = {"tenant": "t", "document": "d", "version": version, "outcome": "indexed", "generation": "g1"}
    >>> stages_of(DocumentIndexed(**of, trail=trail))
    {'capture': 2.0, 'settle': 7.0}
    """
    names = _in_order(receipt.trail)
    return {name: (receipt.trail[name] - receipt.trail[before]) / 1_000 for before, name in pairwise(names)}


def _in_order(names: Iterable[str]) -> list[str]:
    """As the journey has them; a step that it does not know any more comes last."""
    return sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))


def _wanted(receipt: DocumentIndexed, selection: Selection) -> bool:
    """A name may have `|` in it: the key alone does not tell whose it is."""
    return selection.tenant in ("", receipt.tenant) and selection.document in ("", receipt.document)


def _total(receipt: DocumentIndexed) -> float:
    return max(0.0, (receipt.occurred_at - _begin(receipt)) / 1_000)


def _begin(receipt: DocumentIndexed) -> Micros:
    """When the source, or whoever came first, had it."""
    return min(receipt.trail.values(), default=receipt.occurred_at)


def _spread(stage: str, took: Sequence[float]) -> Spread:
    ordered = sorted(max(0.0, one) for one in took)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    return Spread(stage, len(ordered), at(0.50), at(0.95), at(0.99), ordered[-1] if ordered else 0.0)


def _slow(receipt: DocumentIndexed, stages: Mapping[str, float]) -> Slow:
    return Slow(
        receipt.tenant,
        receipt.document,
        receipt.version,
        receipt.outcome,
        receipt.occurred_at,
        _total(receipt),
        {name: max(0.0, took) for name, took in stages.items()},
    )
