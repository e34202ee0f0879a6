"""A world in memory for retry topics: logs, a group's offsets, workers that die and share partitions. No Kafka."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from adapters.schema_registry import MemorySchemaIds
from processors.ports import Clock
from schemas.codec import Codec
from schemas.envelope import Event, Micros
from schemas.measures import FeedbackGiven
from streams.deferred import Deferred
from streams.hand import Hand
from streams.hop import Hop
from streams.pipeline import BoundHop, Origin, Pipeline
from streams.records import Outgoing, Partition, Processed, Record
from streams.retries import ErrorPolicy, Outputs, RetryLater
from streams.retrying import Retrying
from topics.topic import Topic

SOURCE = Topic[FeedbackGiven]("test.in.v1", (FeedbackGiven,), lambda e: str(e.answer_id))
MIDDLE = Topic[FeedbackGiven]("test.mid.v1", (FeedbackGiven,), lambda e: str(e.answer_id))
SINK = Topic[FeedbackGiven]("test.out.v1", (FeedbackGiven,), lambda e: str(e.answer_id))
LATER = RetryLater((5, 30))
PARTITIONS = 2
CODEC = Codec(MemorySchemaIds())


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.micros = 1_000_000_000
        self.put_back_by = 0

    def now(self) -> Micros:
        return Micros(self.micros - self.put_back_by)

    def monotonic(self) -> float:
        return self.micros / 1e6

    def sleep(self, seconds: float) -> None:
        self.micros += round(seconds * 1e6)

    def put_back(self, seconds: float) -> None:
        """The wall clock is set to an earlier time; the other goes on."""
        self.put_back_by += round(seconds * 1e6)


def copied(event: FeedbackGiven) -> FeedbackGiven:
    return FeedbackGiven(tenant=event.tenant, answer_id=event.answer_id, rating=event.rating, comment=event.comment)


@dataclass
class Failures:
    """How often each record still fails, and how often it was tried."""

    left: dict[str, int] = field(default_factory=dict)
    tried: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def see(self, events: Sequence[FeedbackGiven]) -> None:
        if len(events) == 1:
            self.tried[events[0].comment] += 1
        for event in events:
            if self.left.get(event.comment, 0) > 0:
                if len(events) == 1:
                    self.left[event.comment] -= 1
                raise ValueError(f"not yet: {event.comment}")

    def hops(self, batches: bool, fused: bool) -> list[Hop]:
        """One failing hop, or a healthy one with the failing one fused behind it."""

        def whole(events: Sequence[FeedbackGiven]) -> list[Outputs]:
            self.see(events)
            return [[copied(event)] for event in events]

        def single(event: FeedbackGiven) -> Iterator[Event]:
            self.see([event])
            yield copied(event)

        def healthy(event: FeedbackGiven) -> Iterator[Event]:
            yield copied(event)

        step: Callable[..., Any] = whole if batches else single
        if fused:
            return [Hop((SOURCE,), healthy, (MIDDLE,), retries=LATER), Hop((MIDDLE,), step, (SINK,))]
        return [Hop((SOURCE,), step, (SINK,), retries=LATER)]


@dataclass
class World:
    """The cluster: what every worker sees. A worker is one life between two assignments of its partitions."""

    random: random.Random
    hops: list[Hop]
    clock: HandClock = field(default_factory=HandClock)
    attempts: int = 1
    logs: dict[Partition, list[Record]] = field(default_factory=lambda: defaultdict(list))
    offsets: dict[Partition, int] = field(default_factory=lambda: defaultdict(int))
    written: list[tuple[str, str, int]] = field(default_factory=list)
    """What was delivered or given up, in the order of the transactions: topic, what it says, its partition."""

    def put(self, key: str | None, says: str, partition: int) -> None:
        event = FeedbackGiven(tenant="acme", event_id=says, answer_id=key or "", rating="up", comment=says)
        value = CODEC.encode(SOURCE.subject, SOURCE.events, event)
        self.append(Record(SOURCE.name, partition, 0, key.encode() if key else None, value, (("lane", b"bulk"),)))

    def append(self, record: Record) -> None:
        log = self.logs[record.place]
        log.append(msgspec.structs.replace(record, offset=len(log)))

    def pipeline(self) -> Pipeline:
        origin, policy = Origin(self.clock, "test"), ErrorPolicy(attempts=self.attempts, backoff_s=0.0)
        return Pipeline([BoundHop(hop, _no_port) for hop in self.hops], CODEC, origin, policy)

    def ladder(self, partition: int) -> list[Partition]:
        return [(topic, partition) for topic in (SOURCE.name, *LATER.topics(SOURCE.name))]

    def settled(self) -> bool:
        """Whether everything was read and committed."""
        return all(self.offsets[place] == len(self.logs[place]) for n in range(PARTITIONS) for place in self.ladder(n))

    def commit(self, records: dict[int, Record], done: Processed) -> None:
        """One transaction: results, dead letters, retry records, offsets."""
        for root, record in records.items():
            assert self.offsets[record.place] == record.offset, "offsets are committed in order, each once"
            self.offsets[record.place] = record.offset + 1
            for out in done.outgoing[root]:
                if out.partition is not None:
                    self.append(Record(out.topic, out.partition, 0, out.key, out.value, out.headers))
                elif out.topic in (SINK.name, *dead_letters()):
                    self.written.append((out.topic, comment_of(out), record.partition))

    def outstanding(self, place: Partition) -> list[tuple[bytes | None, Micros]]:
        """What lies on a retry partition between the committed offset and its end."""
        waiting = self.logs[place][self.offsets[place] :]
        return [(record.key, Deferred.read(record, SOURCE.name).not_before) for record in waiting]


class Life:
    """A worker between two assignments: its hand, its parking, how far it has read. It dies with all of it."""

    def __init__(self, world: World, partitions: Sequence[int], clock: Clock) -> None:
        self.world = world
        self.retrying = Retrying(world.pipeline(), clock)
        self.hand = Hand()
        self.read = {place: world.offsets[place] for n in partitions for place in world.ladder(n)}
        for place in self.read:
            if place[0] != SOURCE.name:
                self.retrying.parking.fill(place, world.outstanding(place))

    def turn(self, most: int, die: bool) -> None:
        """Reads, handles, commits; or dies before the commit."""
        world, parking = self.world, self.retrying.parking
        places = [place for place in self.read if place not in self.hand.places()]
        world.random.shuffle(places)
        for place in places:
            new = world.logs[place][self.read[place] :][: world.random.randint(0, most)]
            self.read[place] += len(new)
            self.hand.add(new)
        now = world.clock.now()
        batch = self.hand.take(most, lambda r: not parking.rests(r.place, now) and self.retrying.is_due(r))
        if not batch:
            return
        done = self.retrying.process(batch)
        if die:
            return
        decided = {root: record for root, record in enumerate(batch) if root not in done.kept}
        world.commit(decided, done)
        self.retrying.committed(decided, done)
        self.hand.put_back(record for root, record in enumerate(batch) if root in done.kept)
        self.check()

    def check(self) -> None:
        """The books agree with the logs."""
        for place in self.read:
            if place[0] != SOURCE.name:
                pile = self.retrying.parking._piles[place]
                assert sum(pile.keys.values()) + pile.beyond == len(self.world.outstanding(place))
                assert len(pile.keys) <= self.retrying.parking._most


def comment_of(out: Outgoing) -> str:
    event = CODEC.decode(out.value or b"", (FeedbackGiven,))
    assert isinstance(event, FeedbackGiven)
    return event.comment


def dead_letters() -> tuple[str, str]:
    return SOURCE.dead_letters, MIDDLE.dead_letters


def _no_port(name: str) -> Any:
    raise KeyError(name)
