"""Records that are tried again later, in order per key: what becomes of a batch. No Kafka in here.

The way of a batch (`Retrying.process`):
1. A record from a retry topic is made what it was on its own: same place, same headers (`deferred.py`).
2. A partition that must rest is kept as it is, and so is one of which it is not known what waits (`parking.py`).
3. A record whose key waits on a higher step follows there unhandled.
4. The others are handled. One that fails alone holds back what has its key behind it in the batch.
5. It climbs to the next step, due after that step's delay; what it held back follows.
6. On the last step it stays where it is, and behind it all of its partition, until its own next delay is over.
7. One that failed once more than there are delays is a dead letter: the pipeline made it one in step 4.
The caller writes all of it in one transaction with the offsets, then tells what was committed (`committed`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from processors.ports import Clock
from schemas.envelope import Micros
from streams.deferred import AT_ONCE, Deferrals, Deferred
from streams.parking import Ladder, Parking
from streams.pipeline import Pipeline
from streams.records import Outgoing, Partition, Processed, Record
from streams.retries import GivenUp

__all__ = ["Retrying"]


@dataclass(frozen=True)
class _Head:
    """A record that stays at the head of a last step, and how often it was given up."""

    offset: int
    attempts: int


@dataclass(frozen=True)
class _Wait:
    """Until when the head of a partition waits, by the clock that nobody sets."""

    offset: int
    until: float


@dataclass(frozen=True)
class _Stand:
    """Where a record stands on its ladder, and what it was before it climbed."""

    record: Record
    ladder: Ladder | None
    step: int
    attempts: int

    @property
    def place(self) -> Partition:
        return self.record.place

    @cached_property
    def home(self) -> Record:
        return Deferred.read(self.record, self.ladder.topic).record if self.ladder and self.step else self.record

    @property
    def lane(self) -> object:
        """What has one order with it: a record without a key is alone."""
        return self.record if self.record.key is None else (self.place, self.record.key)


class Retrying:
    """Runs a pipeline whose hops may declare retry topics; one without any runs as it is. Use one per hop."""

    def __init__(self, pipeline: Pipeline, clock: Clock) -> None:
        self.parking = Parking(Ladder(topic, later) for topic, later in pipeline.retries.items())
        self._pipeline = pipeline
        self._clock = clock
        self._heads: dict[Partition, _Head] = {}
        """Of last steps. Lost with the process: a head is then tried more often, never less."""
        self._waits: dict[Partition, _Wait] = {}

    def is_due(self, record: Record) -> bool:
        """Whether the head of a partition may be tried. How long it waits is settled when it is first asked for: a
        clock that was put back makes nobody wait longer than the step's delay."""
        found = self.parking.step(record.topic)
        if found is None or not found[1]:
            return True
        wait = self._waits.get(record.place)
        if wait is None or wait.offset != record.offset:
            ladder, step = found
            left = Deferred.read(record, ladder.topic).not_before - self._clock.now()
            wait = self._wait(record, min(left, ladder.delay(step)))
        return self._clock.monotonic() >= wait.until

    def process(self, records: Sequence[Record], condemned: GivenUp | None = None) -> Processed:
        """What becomes of a batch; of one that is `condemned` for a reason, dead letters unhandled.

        Raises Stop where a dependency is away; nothing is decided then.
        """
        if not self.parking.retry_topics and condemned is None:
            return self._pipeline.process(records)
        done, now = Processed.nothing(len(records)), self._clock.now()
        stands = [self._stand(record) for record in records]
        handled = [root for root, stand in enumerate(stands) if not self._set_aside(root, stand, done, now)]
        if condemned is not None:
            for root in handled:
                done.outgoing[root] = self._pipeline.condemn(stands[root].home, condemned)
            done.rejected = handled
            return done
        deferrals = self._deferrals([stands[root] for root in handled])
        part = self._pipeline.process([stands[root].home for root in handled], deferrals)
        done.rejected = [handled[n] for n in part.rejected]
        for n, root in enumerate(handled):
            done.outgoing[root] = part.outgoing[n]
            if n in deferrals.failed:
                self._fail(root, stands[root], done, now)
            elif n in deferrals:
                self._hold(root, stands[root], done)
        self._keep_behind(stands, done)
        return done

    def committed(self, records: Mapping[int, Record], done: Processed) -> None:
        """The outcome of some records, by their position in the batch, is committed: what climbed or left counts."""
        for root, record in records.items():
            found = self.parking.step(record.topic)
            if found is None:
                continue
            if root in done.moved:
                place, due = done.moved[root]
                self.parking.entered(place, record.key, due)
            if found[1]:
                self.parking.left(record.place, record.key)

    def _stand(self, record: Record) -> _Stand:
        ladder, step = self.parking.step(record.topic) or (None, 0)
        attempts = Deferred.read(record, ladder.topic).attempts if ladder and step else 0
        head = self._heads.get(record.place)
        return _Stand(record, ladder, step, head.attempts if head and head.offset == record.offset else attempts)

    def _set_aside(self, root: int, stand: _Stand, done: Processed, now: Micros) -> bool:
        """Whether a record is not handled now: its partition rests, or its key waits further up."""
        if stand.ladder is None:
            return False
        if not self.parking.known(stand.place) or self.parking.rests(stand.place, now):
            done.kept[root] = AT_ONCE
            return True
        target = self.parking.follow(stand.place, stand.record.key)
        if target is not None:
            self._climb(root, stand, done, stand.ladder.topics.index(target[0]), AT_ONCE)
        return target is not None

    def _deferrals(self, stands: Sequence[_Stand]) -> Deferrals:
        may = {n for n, stand in enumerate(stands) if stand.ladder and stand.attempts < stand.ladder.top}
        return Deferrals(may, [stand.attempts for stand in stands], [stand.lane for stand in stands])

    def _fail(self, root: int, stand: _Stand, done: Processed, now: Micros) -> None:
        assert stand.ladder is not None
        attempts = stand.attempts + 1
        if stand.step < stand.ladder.top:
            due = Micros(now + stand.ladder.delay(stand.step + 1))
            self._climb(root, stand, done, stand.step + 1, due, attempts)
        else:
            done.kept[root] = AT_ONCE
            self._heads[stand.place] = _Head(stand.record.offset, attempts)
            self._wait(stand.record, stand.ladder.delay(attempts))

    def _wait(self, record: Record, micros: int) -> _Wait:
        wait = self._waits[record.place] = _Wait(record.offset, self._clock.monotonic() + micros / 1e6)
        return wait

    def _hold(self, root: int, stand: _Stand, done: Processed) -> None:
        """A record that was held back in its batch goes where the one before it went."""
        assert stand.ladder is not None
        if stand.step < stand.ladder.top:
            self._climb(root, stand, done, stand.step + 1, AT_ONCE)
        else:
            done.kept[root] = AT_ONCE

    def _climb(self, root: int, stand: _Stand, done: Processed, step: int, due: Micros, attempts: int = -1) -> None:
        assert stand.ladder is not None
        topic, partition = stand.ladder.topics[step], stand.record.partition
        home = stand.home
        headers = Deferred(home).headers(attempts if attempts >= 0 else stand.attempts, due)
        done.outgoing[root] = [Outgoing(topic, home.key, home.value, headers, partition=partition)]
        done.moved[root] = ((topic, partition), due)

    @staticmethod
    def _keep_behind(stands: Sequence[_Stand], done: Processed) -> None:
        """Behind the first of a partition that is kept nothing of it is decided: offsets are committed in order."""
        stopped = set()
        for root, stand in enumerate(stands):
            if root in done.kept:
                stopped.add(stand.place)
            elif stand.place in stopped:
                done.kept[root] = AT_ONCE
                done.outgoing[root] = []
                done.moved.pop(root, None)
        done.rejected = [root for root in done.rejected if root not in done.kept]
