"""Records that kill their process, found by what a restart can still read: the metadata of the group's offsets.

The way to a record:
1. Before the first batch after an assignment is handled, its offset is committed again with a mark: "in hand". The next
   commit of results takes the mark away, so this costs one commit per assignment, and none per batch.
2. Who finds such a mark knows that a predecessor died with these records in hand. It handles them in small pieces, each
   marked; after one more death they are few enough to be handled one by one.
3. A record handled alone is marked so. A death alone is counted, by the one who finds that mark.
4. After each death alone the record is watched: nothing is done with it for a while, and the mark says that. Who dies
   then was killed from outside, and the count begins anew. Each time it is watched twice as long, and much longer than
   it had been in hand. So records survive a storm of kills: to be condemned, one must be the only one in hand at every
   death, soon after it was taken up, and the process must outlive all the watching. Where kills come at any rate, each
   as likely at any moment, that has a chance below 1 in 20,000 for a record.
5. After as many deaths alone as the limit says, and watched once more, it is a dead letter, and is not handled.
A clean stop and a rebalance take the mark back. Only one record in a process is watched or handled alone at a time, and
while it is alone no other batch hop of the process handles anything (`gate.py`). No Kafka in here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import ceil
from typing import Final

from streams.records import Partition, Record
from streams.retries import GivenUp
from streams.runs import mark_in, marked

WATCH_TIMES: Final = 2
"""How much longer than before it is watched: kills that come at some age of a process can't keep up with that."""
HAND_TIMES: Final = 32
"""How much longer than it had been in hand it is watched: kills at random hit the longer time."""
FEW: Final = 32
"""So many suspects are handled one by one; more of them in as many pieces."""


class Crashed(GivenUp):
    """A record that was alone in hand each time the process died; it is a dead letter unhandled."""

    def __init__(self, deaths: int) -> None:
        super().__init__(f"the process died {deaths} times in a row while it handled this record alone", deaths)


class Kind(StrEnum):
    """What a mark says of the process that wrote it."""

    HAND = "b"
    """It has these records in hand, with others."""
    ALONE = "a"
    """It handles this record, and nothing else."""
    WATCHED = "w"
    """It does nothing with this record."""
    LEFT = "p"
    """It left in peace."""


@dataclass(frozen=True)
class Mark:
    """What is written beside an offset: how many deaths alone there were, how far the suspects reach, and since when.

    >>> Mark(Kind.ALONE, deaths=1, span=40, tenths=4, watched=3, life=99).text()
    'm1a1.14.4.3.2r;'
    >>> Mark.read("m1a1.14.4.3.2r;r1+2.3") == Mark(Kind.ALONE, 1, 40, 4, 3, 99), Mark.read("somebody else's words")
    (True, None)
    """

    kind: Kind
    deaths: int = 0
    span: int = 0
    """Distance of the last suspect from the offset."""
    tenths: int = 0
    """How many tenths of a second the record had been in hand when this was written."""
    watched: int = 0
    """How many tenths of a second it had been watched before."""
    life: int = 0
    """Who wrote it: one that finds its own mark, given the partition anew, has not died."""

    def text(self) -> str:
        return marked(self.kind.value, (self.deaths, self.span, self.tenths, self.watched, self.life))

    @classmethod
    def read(cls, metadata: str | None) -> Mark | None:
        """The mark in a commit's metadata."""
        kind, numbers = mark_in(metadata)
        return cls(Kind(kind), *numbers) if kind in set(Kind) and len(numbers) == 5 else None


@dataclass
class Suspicion:
    """What is known of a partition in which a predecessor died: up to which offset, how often with one record alone."""

    reach: int
    deaths: int = 0
    tenths: int = 0
    watched: int = 0

    @classmethod
    def after(cls, offset: int, mark: Mark | None, life: int) -> Suspicion | None:
        """What the mark at an offset lets one suspect."""
        if mark is None:
            return None
        if mark.life == life:
            mark = replace(mark, kind=Kind.LEFT)
        deaths = {Kind.HAND: 0, Kind.ALONE: mark.deaths + 1, Kind.WATCHED: 0, Kind.LEFT: mark.deaths}[mark.kind]
        return cls(offset + mark.span, deaths, *((mark.tenths, mark.watched) if deaths else ()))

    def watch_s(self, shortest_s: float) -> float:
        """How long the next record is to be watched before it is handled again; 0 after no death alone."""
        longest = max(shortest_s, WATCH_TIMES * self.watched / 10, HAND_TIMES * self.tenths / 10)
        return longest if self.deaths else 0.0

    def piece(self, first: int) -> int:
        """How many offsets from the first on to handle together: one after a death alone, or where few are left."""
        left = self.reach - first + 1
        return 1 if self.deaths or left <= FEW else -(-left // FEW)


class Suspects:
    """Whom to suspect on a worker's partitions, and what to write about it. Use one per hop, from its poll thread.

    `limit` is the number of deaths alone, `life` names this process, `watch_s` is how long a suspect is watched first.

    >>> suspects, place = Suspects(limit=3, life=1), ("t", 0)
    >>> suspects.meet(place, 7, "m1a2.0.0.0.0;")
    >>> suspects.condemned(place)
    True
    >>> suspects.done(place, 8); suspects.suspicious(place)
    False
    """

    def __init__(self, limit: int, life: int, watch_s: float = 3.0) -> None:
        self._limit = limit
        self._life = life
        self._watch_s = watch_s
        self._suspicions: dict[Partition, Suspicion] = {}
        self._fresh: set[Partition] = set()
        self._open: dict[Partition, Mark] = {}

    def meet(self, place: Partition, offset: int, metadata: str | None) -> None:
        """A partition was assigned; this is what its last owner left beside the offset."""
        self.forget(place)
        suspicion = Suspicion.after(offset, Mark.read(metadata), self._life) if self._limit else None
        if suspicion:
            self._suspicions[place] = suspicion
        if self._limit:
            self._fresh.add(place)

    def forget(self, place: Partition) -> None:
        """A partition is not ours any more."""
        self._suspicions.pop(place, None)
        self._fresh.discard(place)
        self._open.pop(place, None)

    def suspicious(self, place: Partition) -> bool:
        """Whether a predecessor died with records of it in hand that are not done yet."""
        return place in self._suspicions

    @property
    def any(self) -> bool:
        """Whether any partition is suspicious."""
        return bool(self._suspicions)

    @property
    def attentive(self) -> bool:
        """Whether a mark may have to be written before the next batch."""
        return bool(self._fresh)

    def must_mark(self, places: Collection[Partition]) -> bool:
        """Whether a mark has to be written before records of these are handled."""
        return not self._fresh.isdisjoint(places)

    def gravest(self, places: Collection[Partition]) -> Partition | None:
        """Which of some partitions to look at first, the same after every restart: where most deaths were."""
        weights = sorted((-found.deaths, place) for place, found in self._suspicions.items() if place in places)
        return weights[0][1] if weights else None

    def condemned(self, place: Partition) -> bool:
        """Whether the next record of a partition is to be a dead letter without being handled."""
        return self._suspicions[place].deaths >= self._limit

    def deaths(self, place: Partition) -> int:
        return self._suspicions[place].deaths

    def watch_s(self, place: Partition) -> float:
        """How long to do nothing with a partition before its next record is handled, or given up."""
        return self._suspicions[place].watch_s(self._watch_s)

    def piece(self, place: Partition, records: Sequence[Record]) -> int:
        """How many of the next records of a partition to handle together."""
        end = records[0].offset + self._suspicions[place].piece(records[0].offset)
        return sum(record.offset < end for record in records)

    def watched(self, place: Partition, offset: int) -> dict[Partition, Mark]:
        """The mark to write when nothing is done with a partition for a while."""
        found = self._suspicions[place]
        return self._write({place: Mark(Kind.WATCHED, found.deaths, max(0, found.reach - offset))})

    def in_hand(self, batch: Sequence[Record], offsets: dict[Partition, int]) -> dict[Partition, Mark]:
        """The marks to write before a batch is handled, for partitions without a commit since they were assigned."""
        last = {record.place: record.offset for record in batch if record.place in self._fresh}
        marks = {}
        for place, end in last.items():
            found, base = self._suspicions.get(place), offsets[place]
            if found and len(batch) == 1:
                marks[place] = Mark(
                    Kind.ALONE, found.deaths, max(0, found.reach - base), watched=ceil(10 * self.watch_s(place))
                )
            elif self._open.get(place) != (mark := Mark(Kind.HAND, span=end - base, life=self._life)):
                marks[place] = mark
        return self._write(marks)

    def still_alone(self, place: Partition, seconds: float) -> dict[Partition, Mark]:
        """The mark to write while a record alone takes long: each time a tenth more than was written last."""
        mark = self._open.get(place)
        if mark is None or mark.kind is not Kind.ALONE or seconds * 10 < max(1.0, mark.tenths * 1.1):
            return {}
        return self._write({place: replace(mark, tenths=ceil(seconds * 10))})

    def leave(self, places: Iterable[Partition]) -> dict[Partition, str]:
        """What to write beside the offsets of partitions that are given back, or left alone for a while, in peace."""
        taken = {place: self._open.pop(place) for place in places if place in self._open}
        return {
            place: "" if mark.kind is Kind.HAND else replace(mark, kind=Kind.LEFT).text()
            for place, mark in taken.items()
        }

    def done(self, place: Partition, offset: int) -> None:
        """Results up to an offset are committed, and with them the mark is gone."""
        self._open.pop(place, None)
        found = self._suspicions.get(place)
        if found is None:
            self._fresh.discard(place)
        elif offset > found.reach:
            del self._suspicions[place]
            self._fresh.discard(place)
        else:
            found.deaths = found.tenths = found.watched = 0

    def unsure(self, places: Iterable[Partition]) -> None:
        """Something is being committed: who took a mark of these back now might undo it."""
        for place in places:
            self._open.pop(place, None)

    def _write(self, marks: dict[Partition, Mark]) -> dict[Partition, Mark]:
        signed = {place: replace(mark, life=self._life) for place, mark in marks.items()}
        self._open.update(signed)
        return signed
