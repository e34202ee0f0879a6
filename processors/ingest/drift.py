"""Drift: where the log of changes, the heads and the index do not say the same. Pure; `streams/audit.py` feeds it.

1. Each side is folded into one digest per partition: a sum that does not depend on the order. Equal digests mean equal
   sides, and nothing more is looked at.
2. Only partitions whose digests differ are compared document by document.
3. What differs may be on its way: only a finding that is the same in two looks, some time apart, is drift.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import xxhash

from processors.ports import IndexObject
from schemas.documents import DocumentHead
from schemas.envelope import Version

__all__ = ["KINDS", "Digests", "Finding", "Kind", "Said", "Suspects", "against_index", "against_source", "partitions"]

Kind = Literal["headless", "behind", "access", "generation", "unsourced", "lost", "garbage", "hint"]
KINDS: Final[tuple[Kind, ...]] = (
    "headless",
    "behind",
    "access",
    "generation",
    "unsourced",
    "lost",
    "garbage",
    "hint",
)
"""A document without head; a head older than the log; an access list older than the log; a head only in another
generation; a head that the log knows nothing of; an object that a head lists and the index lacks; one that no head
lists; one whose filter hint is not the head's list."""

Place = tuple[str, str]
"""Tenant and document."""

PartitionOf = Callable[[Place], int]


@dataclass(frozen=True)
class Said:
    """The last word of the log of changes about a document, and about its access list."""

    version: Version | None
    alive: bool
    access: Version | None = None


@dataclass(frozen=True)
class Finding:
    """One difference. `evidence` names what exactly differs: versions, or the ids of objects."""

    kind: Kind
    tenant: str
    document: str
    evidence: tuple[str, ...]

    @property
    def place(self) -> Place:
        return self.tenant, self.document


@dataclass
class Digests:
    """One order-independent digest per partition: the exclusive or of 128-bit hashes, and how many there were.

    >>> one, other = Digests(), Digests()
    >>> for digests, items in ((one, "ab"), (other, "ba")):
    ...     for item in items:
    ...         digests.add(0, (item,))
    >>> one.differing(other)
    set()
    """

    sums: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    counts: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, partition: int, item: tuple[object, ...]) -> None:
        """Takes a thing in; its parts are told apart whatever they hold."""
        self.sums[partition] ^= xxhash.xxh3_128_intdigest(repr(item).encode())
        self.counts[partition] += 1

    def differing(self, other: Digests) -> set[int]:
        """The partitions in which the two sides are not the same."""
        known = self.sums.keys() | other.sums.keys()
        return {p for p in known if (self.sums[p], self.counts[p]) != (other.sums[p], other.counts[p])}


def partitions(
    said: Mapping[Place, Said], heads: Iterable[DocumentHead], objects: Iterable[IndexObject], partition_of: PartitionOf
) -> tuple[set[int], set[int]]:
    """The partitions where source and heads differ, and those where heads and index do."""
    source, headed, listed, held = Digests(), Digests(), Digests(), Digests()
    for place, last in said.items():
        if last.alive or last.access:
            source.add(partition_of(place), (*place, last.version if last.alive else None, last.access))
    for head in heads:
        place = (head.tenant, head.document)
        partition, access = partition_of(place), said[place].access if place in said else None
        if not head.gone or access:
            stated = head.access_version if access else None
            headed.add(partition, (*place, None if head.gone else head.version, stated))
        for chunk in head.chunks:
            listed.add(partition, (*place, chunk.object_id, head.access))
    for found in objects:
        place = (found.tenant, found.document)
        held.add(partition_of(place), (*place, found.object_id, found.access))
    return source.differing(headed), listed.differing(held)


def against_source(
    said: Mapping[Place, Said], heads: Mapping[Place, DocumentHead], elsewhere: Iterable[Place]
) -> Iterator[Finding]:
    """How the heads of some partitions differ from the log; `elsewhere` have a head in another generation only."""
    other = set(elsewhere)
    for place, last in said.items():
        head = heads.get(place)
        if kind := _behind(last, head):
            chosen: Kind = "generation" if kind == "headless" and place in other else kind
            yield Finding(chosen, *place, (str(last.version), str(head.version if head else None)))
        if last.access and (head is None or head.access_version < last.access):
            yield Finding("access", *place, (str(last.access), str(head.access_version if head else None)))
    for place, head in heads.items():
        if not head.gone and (place not in said or said[place].version is None):
            yield Finding("unsourced", *place, (str(head.version),))


def against_index(heads: Mapping[Place, DocumentHead], objects: Iterable[IndexObject]) -> Iterator[Finding]:
    """How the index differs from the heads of some partitions; the objects are those of the same partitions."""
    held: defaultdict[Place, dict[str, tuple[str, ...]]] = defaultdict(dict)
    for found in objects:
        held[found.tenant, found.document][found.object_id] = found.access
    for place in heads.keys() | held.keys():
        head, ids = heads.get(place), held.get(place, {})
        listed = {chunk.object_id for chunk in head.chunks} if head else set[str]()
        hints = {one for one in listed & ids.keys() if head and ids[one] != head.access}
        differing: dict[Kind, set[str]] = {"lost": listed - ids.keys(), "garbage": ids.keys() - listed, "hint": hints}
        yield from (Finding(kind, *place, tuple(sorted(found))) for kind, found in differing.items() if found)


@dataclass
class Suspects:
    """Findings of earlier looks, with the moment of the first. Use one per auditor."""

    grace_s: float
    since: dict[Finding, float] = field(default_factory=dict)

    def confirmed(self, findings: Iterable[Finding], now: float) -> list[Finding]:
        """Those that were there, just so, at least `grace_s` ago; others are forgotten."""
        found = set(findings)
        self.since = {one: self.since.get(one, now) for one in found}
        return sorted(
            (one for one, first in self.since.items() if now - first >= self.grace_s),
            key=lambda one: (one.kind, one.place),
        )


def _behind(last: Said, head: DocumentHead | None) -> Literal["headless", "behind"] | None:
    if last.version is None:
        return None
    if head is None:
        return "headless" if last.alive else None
    if head.version >= last.version:
        return None
    # A delete of what is gone already says nothing new.
    return "behind" if last.alive or not head.gone else None
