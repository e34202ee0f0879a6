"""A world in memory where processes die: a group's offsets with their metadata, and a clock that kills. No Kafka."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.envelope import Event
from schemas.measures import FeedbackGiven
from streams.admission import Admission
from streams.commits import OffsetLedger
from streams.gate import Gate
from streams.hop import Hop
from streams.pipeline import BoundHop, Origin, Pipeline
from streams.records import Partition, Processed, Record
from streams.retries import ErrorPolicy, Outputs
from streams.retrying import Retrying
from streams.suspects import Suspects
from tests.streams.retry_world import CODEC, SINK, SOURCE, HandClock, comment_of, copied

COMMIT_S = 0.01
START_S = 0.5
POLL_S = 0.05


class Death(BaseException):
    """The process ends here and now."""


class DeadlyClock(HandClock):
    """Time that goes on only when somebody sleeps, and ends a life on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.kill_at = float("inf")
        self.ticks: Callable[[], None] = lambda: None

    def sleep(self, seconds: float) -> None:
        until = self.micros + round(seconds * 1e6)
        while self.micros < until:
            self.micros = min(until, self.micros + round(POLL_S * 1e6))
            if self.monotonic() >= self.kill_at:
                raise Death
            self.ticks()


@dataclass
class Cluster:
    """What outlives a process: the log, the offsets and what stands beside them, what was written."""

    clock: DeadlyClock = field(default_factory=DeadlyClock)
    logs: dict[Partition, list[Record]] = field(default_factory=lambda: defaultdict(list))
    offsets: dict[Partition, tuple[int, str]] = field(default_factory=lambda: defaultdict(lambda: (0, "")))
    delivered: Counter[str] = field(default_factory=Counter)
    letters: dict[str, dict[str, bytes]] = field(default_factory=dict)
    handled: Counter[str] = field(default_factory=Counter)
    commits: int = 0

    def put(self, says: str, partition: int = 0) -> None:
        event = FeedbackGiven(tenant="acme", event_id=says, answer_id="k", rating="up", comment=says)
        value = CODEC.encode(SOURCE.subject, SOURCE.events, event)
        log = self.logs[SOURCE.name, partition]
        log.append(Record(SOURCE.name, partition, len(log), b"k", value))

    def settled(self) -> bool:
        return all(self.offsets[place][0] == len(log) for place, log in self.logs.items())


class Consumer:
    """The part of an intake that admission sees, over the cluster."""

    hop = "test"

    def __init__(self, cluster: Cluster) -> None:
        self.ledger = OffsetLedger()
        self.assignments = 1
        self.met: dict[Partition, tuple[int, str | None]] = {}
        self.cluster = cluster
        self.position = {place: cluster.offsets[place][0] for place in cluster.logs}
        self.epochs = {place: self.ledger.assign(place) for place in self.position}
        self.resting: frozenset[Partition] = frozenset()
        self.met.update({place: cluster.offsets[place] for place in self.position})

    def read(self, most: int) -> list[Record]:
        found = []
        for place, at in self.position.items():
            new = [] if place in self.resting else self.cluster.logs[place][at : at + most]
            self.position[place] += len(new)
            for record in new:
                self.ledger.deliver(place, record.offset)
                found.append(Record(*place, record.offset, record.key, record.value, (), self.epochs[place]))
        return found

    def current(self, record: Record) -> bool:
        return self.ledger.epoch(record.place) == record.epoch

    def hold(self, held: frozenset[Partition]) -> None:
        self.resting = held

    def mark(self, texts: Mapping[Partition, str], wait: bool) -> None:
        for place, text in texts.items():
            offset = self.ledger.resume_at(place)
            assert offset == self.cluster.offsets[place][0], "a mark never moves an offset"
            self.cluster.offsets[place] = (offset, text)
            self.cluster.commits += 1
        if wait:
            self.cluster.clock.sleep(COMMIT_S / 2)


class NothingWaits:
    """There are no retry topics here."""

    def count(self, _: Sequence[Partition]) -> None: ...
    def close(self) -> None: ...


class Life:
    """One process: it starts, joins, handles, until it dies or is told to stop."""

    def __init__(self, cluster: Cluster, step: Callable[[FeedbackGiven], None], limit: int = 3) -> None:
        self.cluster = cluster
        clock = cluster.clock
        clock.ticks = lambda: None
        clock.sleep(START_S)
        self.consumer = Consumer(cluster)

        def handle(events: Sequence[FeedbackGiven]) -> list[Outputs]:
            for event in events:
                cluster.handled[event.comment] += 1
                step(event)
            return [[copied(event)] for event in events]

        bound = BoundHop(Hop((SOURCE,), handle, (SINK,)), _no_port)
        pipeline = Pipeline([bound], CODEC, Origin(clock, "test"), ErrorPolicy(attempts=1))
        outstanding: Any = NothingWaits()
        suspects = Suspects(limit, clock.now())
        self.admission = Admission(Retrying(pipeline, clock), self.consumer, outstanding, suspects, clock, Gate())

    def run(self, most: int, seconds: float = 600.0) -> None:
        until = self.cluster.clock.monotonic() + seconds
        while not self.cluster.settled() and self.cluster.clock.monotonic() < until:
            self.turn(most)

    def turn(self, most: int) -> None:
        batch = self.admission.take(self.consumer.read(most), most)
        if not batch:
            self.cluster.clock.sleep(POLL_S)
            return
        self.admission.mark(batch)
        self.cluster.clock.ticks = self.admission.tick
        done = self.admission.process(batch)
        self.cluster.clock.ticks = lambda: None
        self.commit(batch, done)

    def commit(self, batch: Sequence[Record], done: Processed) -> None:
        ledger = self.consumer.ledger
        for record in batch:
            ledger.complete(record.place, record.offset, record.epoch)
        offsets = ledger.committable()
        self.admission.committing(offsets)
        self.cluster.clock.sleep(COMMIT_S)
        for place, offset in offsets.items():
            self.cluster.offsets[place] = (offset, "")
            ledger.committed(place, offset, self.consumer.epochs[place])
        for outs in done.outgoing:
            for out in outs:
                says = comment_of(out)
                if out.topic == SINK.name:
                    self.cluster.delivered[says] += 1
                else:
                    assert says not in self.cluster.letters
                    self.cluster.letters[says] = dict(out.headers)
        self.admission.committed(dict(enumerate(batch)), done, offsets)

    def stop(self) -> None:
        """A clean end: every partition is given back."""
        self.admission.leaving(list(self.consumer.epochs))
        self.admission.close()


def storm(cluster: Cluster, chance: random.Random, gaps: tuple[float, float]) -> None:
    """When the next life will be killed."""
    cluster.clock.kill_at = cluster.clock.monotonic() + START_S + chance.uniform(*gaps)


def _no_port(name: str) -> Any:
    raise KeyError(name)


__all__ = ["Cluster", "Death", "Event", "Life", "storm"]
