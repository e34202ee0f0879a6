"""Lanes: people first, bulk as there is room, neither starved; and how much of each a hop holds at most.

Two bounds work together. `Turns` gives the places of a hop (keys at once, threads) to the lanes by weight, so that what
waits longest is not what is served first. `Backlog` counts what was read and is not done, and says which partitions to
hold back: those of a lane that has enough, those whose oldest unfinished record lies too far behind the newest.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from streams import headers as names
from streams.hop import AnyTopic
from streams.records import Partition, Record

__all__ = ["INTERACTIVE", "Backlog", "Limits", "Turns", "lane_of"]

INTERACTIVE: Final = "interactive"
"""The lane of everything that does not say another."""

# Held back at the high mark, let go at half of it: fetching again costs a round trip, and must be worth it.
_LOW: Final = 2


def lane_of(topic: AnyTopic, record: Record) -> str:
    """The lane of a record: its topic's, else what its header says, else interactive.

    >>> from topics.answer import QUERY_ASKED
    >>> lane_of(QUERY_ASKED, Record("rag.query.asked.v1", 0, 0, None, None, (("lane", b"bulk"),)))
    'bulk'
    """
    return topic.lane or (names.value(record.headers, names.LANE) or b"").decode("ascii", "replace") or INTERACTIVE


class Turns:
    """So many places, given to waiting lanes by weight. Use it within one event loop.

        >>> turns = Turns(4, {"interactive": 8, "bulk": 1})  # doctest: +SKIP
        >>> await turns.take("bulk")  # doctest: +SKIP
        >>> turns.give()  # doctest: +SKIP

    Of every nine places that come free while both wait, bulk gets one. A lane without a weight has the weight 1; within
    a lane it is first come, first served.
    """

    def __init__(self, places: int, weights: Mapping[str, int]) -> None:
        self._free = places
        self._weights = dict(weights)
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._credit: dict[str, int] = {}

    async def take(self, lane: str) -> None:
        """Waits for a place. Whoever is cancelled while waiting has none."""
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(self._known(lane), deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self.give()
            raise

    def give(self) -> None:
        """Hands a place on to the lane whose turn it is."""
        while (lane := self._next()) is not None:
            turn = self._waiting[lane].popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _next(self) -> str | None:
        """Smooth weighted round robin (nginx's `ngx_http_upstream_get_peer`); who does not wait saves up nothing."""
        waiting = {lane: self._weights.get(lane, 1) for lane, turns in self._waiting.items() if turns}
        if not waiting:
            self._credit.clear()
            return None
        self._credit = {lane: self._credit.get(lane, 0) + weight for lane, weight in waiting.items()}
        best = max(waiting, key=self._credit.__getitem__)
        self._credit[best] -= sum(waiting.values())
        return best

    def _known(self, lane: str) -> str:
        """Headers come from anybody: names that nobody gave a weight share one lane, or memory would grow by them."""
        return lane if lane in self._weights else ""


@dataclass(frozen=True)
class Limits:
    """High marks: records and bytes that a lane may hold, and how far a partition may run ahead of its oldest."""

    records: int
    kbytes: int
    gap: int


@dataclass
class _Held:
    records: int = 0
    bytes: int = 0


class Backlog:
    """Counts what is read and not done; says which partitions to hold back. Poll thread and loop may share it.

    >>> backlog = Backlog(Limits(records=2, kbytes=100, gap=10), {"t": ""})
    >>> record = Record("t", 0, 0, b"k", b"v")
    >>> backlog.enter(record); backlog.enter(record); sorted(backlog.held({("t", 0): 2}))
    [('t', 0)]
    >>> backlog.leave(record); backlog.leave(record); sorted(backlog.held({("t", 0): 0}))
    []
    """

    def __init__(self, limits: Limits, lanes: Mapping[str, str]) -> None:
        self._limits = limits
        self._lanes = dict(lanes)
        self._lock = threading.Lock()
        self._counts: dict[str, _Held] = defaultdict(_Held)
        self._full: set[str] = set()
        self._far: set[Partition] = set()

    def enter(self, record: Record) -> None:
        """A record was read."""
        self._count(record, 1)

    def leave(self, record: Record) -> None:
        """A record is done, or dropped."""
        self._count(record, -1)

    def held(self, gaps: Mapping[Partition, int]) -> frozenset[Partition]:
        """Which of these partitions to hold back, given how far each runs ahead of its oldest unfinished record."""
        with self._lock:
            self._full = {lane for lane, count in self._counts.items() if self._is_full(lane, count)}
        far = self._far
        self._far = {place for place, gap in gaps.items() if gap * (_LOW if place in far else 1) >= self._limits.gap}
        return frozenset(place for place in gaps if place in self._far or self._lanes.get(place[0], "") in self._full)

    def records(self) -> dict[str, int]:
        """How many records each lane holds."""
        with self._lock:
            return {lane: count.records for lane, count in self._counts.items()}

    def total(self) -> tuple[int, int]:
        """How many records, and bytes, all lanes hold together."""
        with self._lock:
            held = self._counts.values()
            return sum(count.records for count in held), sum(count.bytes for count in held)

    def _is_full(self, lane: str, count: _Held) -> bool:
        part = _LOW if lane in self._full else 1
        return count.records * part >= self._limits.records or count.bytes * part >= self._limits.kbytes * 1_024

    def _count(self, record: Record, sign: int) -> None:
        size = len(record.value or b"") + len(record.key or b"")
        with self._lock:
            count = self._counts[self._lanes.get(record.topic, "")]
            count.records += sign
            count.bytes += sign * size
