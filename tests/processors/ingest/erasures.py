"""Stores, a log and a view for the tests of erasures: whatever a test puts in is held until it is erased."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.errors import IndexUnavailableError
from adapters.heads_view import MemoryHeads
from processors.ingest.erasing import LogForgets, Standing
from schemas.documents import DocumentHead, ErasurePlanned, ErasureRequested, StorePlan
from schemas.envelope import Micros, Version
from tests.processors.ingest.builders import DOCUMENT, GENERATION, TENANT, at, opened

FORGOTTEN = Micros(7)


@dataclass
class Shelf:
    """A store of one document's things, kept as names."""

    name: str
    things: set[str] = field(default_factory=set)
    away: bool = False
    sticky: frozenset[str] = frozenset()

    def held(self, tenant: str, document: str, life: DocumentHead | None) -> frozenset[str]:
        if self.away:
            raise IndexUnavailableError("the shelf is away")
        return frozenset(self.things) if (tenant, document) == (TENANT, DOCUMENT) else frozenset()

    def erase(self, tenant: str, document: str, things: frozenset[str]) -> None:
        if self.away:
            raise IndexUnavailableError("the shelf is away")
        self.things -= things - self.sticky


@dataclass
class Log:
    """What the log of changes says, and when logs forget."""

    stands: Standing = field(default_factory=Standing)
    own: list[LogForgets] = field(default_factory=lambda: [LogForgets("a", Micros(3)), LogForgets("b", FORGOTTEN)])

    def standing(self, tenant: str, document: str) -> Standing:
        return self.stands

    def forgets(self, letters: bool) -> list[LogForgets]:
        return [*self.own, LogForgets("letters", Micros(90))] if letters else self.own

    def answers_forget(self) -> list[LogForgets]:
        return []


@dataclass(frozen=True)
class Lived:
    """Views of several generations, as an erasure asks them."""

    views: tuple[MemoryHeads, ...]
    unreached: tuple[str, ...] = ()

    def heads(self, tenant: str, document: str) -> Sequence[DocumentHead | None]:
        return [one.get(tenant, document) for one in self.views]


def lives(heads: Any) -> Lived:
    """One view, or several as they are."""
    return heads if isinstance(heads, Lived) else Lived((heads,))


def head(version: Version, *, gone: bool = False, chunks: tuple[str, ...] = ()) -> DocumentHead:
    from schemas.documents import HeadChunk

    return DocumentHead(
        tenant=TENANT,
        document=DOCUMENT,
        version=version,
        access_version=at(-1, -1),
        generation=GENERATION,
        chunks=tuple(HeadChunk(name=f"c-{one}", object_id=one) for one in chunks),
        gone=gone,
    )


def view(*heads: DocumentHead) -> MemoryHeads:
    opened_view = opened()
    for one in heads:
        opened_view.fold(one)
    return opened_view


def request() -> ErasureRequested:
    return ErasureRequested(tenant=TENANT, document=DOCUMENT, event_id="wish", reason="asked to")


def plan(after: Version, *, deleted: bool = True, **things: tuple[str, ...]) -> ErasurePlanned:
    return ErasurePlanned(
        tenant=TENANT,
        document=DOCUMENT,
        request="wish",
        reason="asked to",
        stores=tuple(StorePlan(store=store, things=held) for store, held in things.items()),
        deleted=deleted,
        after=after,
    )
