"""The watchdog: finds a partition that stands still although there is something to read (librdkafka#5591)."""

from __future__ import annotations

from dataclasses import dataclass

from streams.errors import StreamsError
from streams.records import Partition


@dataclass
class _Seen:
    position: int
    since: float
    seeks: int = 0


class StalledError(StreamsError):
    """A partition stood still again after it was sought: only a new consumer helps."""


class Watchdog:
    """Told positions now and then, says which partitions to seek again. Use one per consumer.

    >>> dog = Watchdog(patience_s=30)
    >>> dog.look({("t", 0): (5, 9)}, now=0.0), dog.look({("t", 0): (5, 9)}, now=31.0)
    ([], [('t', 0)])

    Raises StalledError where a partition that was sought still does not move within the same patience.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._seen: dict[Partition, _Seen] = {}

    def look(self, positions: dict[Partition, tuple[int, int]], now: float) -> list[Partition]:
        """`positions` maps an unpaused partition to (next offset to read, end of what may be read)."""
        self._seen = {place: seen for place, seen in self._seen.items() if place in positions}
        return [place for place, (position, end) in positions.items() if self._stands(place, position, end, now)]

    def _stands(self, place: Partition, position: int, end: int, now: float) -> bool:
        seen = self._seen.get(place)
        if seen is None or seen.position != position or position >= end:
            self._seen[place] = _Seen(position, now)
            return False
        if now - seen.since < self._patience_s:
            return False
        if seen.seeks:
            raise StalledError(f"partition {place} stands at {position} of {end} although it was sought again")
        seen.since, seen.seeks = now, seen.seeks + 1
        return True
