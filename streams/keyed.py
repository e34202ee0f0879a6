"""KeyedHop: at least once with ids that repeat, many keys at a time, in order per key. For the way of a question.

The way of a record:
1. The poll thread reads a batch and hands it over with one call to the event loop.
2. There it waits for its key and for a place of its lane, and its steps run (`flights.py`, `stepping.py`).
3. It is complete when the delivery reports of all its outputs are good.
4. The poll thread commits, without waiting, the highest offset below which nothing is unfinished; what is complete
   beyond it goes into the commit's metadata, and is passed over after a restart or a rebalance.
5. A lane that holds enough, a partition that ran far ahead of its oldest unfinished record: fetching is held back
   there, polling goes on. A dependency that is away is no reason by itself: what waits for it fills the lane, and a
   question that comes meanwhile has a deadline of its own, of which its asker must hear in time.
6. Revoked: what has not started is dropped; what has may still be written, and is done again by the next owner unless
   the last commit said that it is done.
7. Stop: start nothing more, finish what has started within the grace, commit, leave the group.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog
from confluent_kafka import KafkaException, TopicPartition

from processors.ports import Clock
from streams import metrics
from streams.batches import HopPlan
from streams.flights import Flights, Shore
from streams.intake import Intake
from streams.lanes import Backlog, Limits
from streams.load_gauge import listeners
from streams.records import Partition, Record
from streams.runs import encode
from streams.sending import Sender
from streams.settings import Settings
from streams.stepping import Stepper

_LOG = structlog.get_logger(__name__)
POLL_S: Final = 0.05
COMMIT_EVERY_S: Final = 0.15

Progress = tuple[int, frozenset[int]]
"""An offset that may be committed, and the completed ones beyond it."""


class KeyedHop:
    """Runs a pipeline key by key. Use it where latency counts and a repeat is harmless; one per thread."""

    def __init__(self, plan: HopPlan, settings: Settings, clock: Clock) -> None:
        self.name = plan.group
        self.ready = threading.Event()
        self._plan = plan
        self._settings = settings
        self._clock = clock
        # The poll thread delivers and commits, the loop's thread completes: the lock keeps a count from changing
        # while it is taken.
        self._lock = threading.Lock()
        worker = settings.worker
        limits = Limits(worker.in_flight_records, worker.in_flight_kbytes, worker.max_gap)
        self._backlog = Backlog(limits, {topic.name: topic.lane for topic in plan.pipeline.reads})
        # One read may go beyond the mark; it must not go far beyond.
        self._most_records = min(plan.most_records, worker.in_flight_records)
        self._committed_at = 0.0
        self._uncommitted = 0
        self._said: dict[Partition, Progress] = {}
        self._paused_since: float | None = None
        self._in_hand = metrics.InHand(self.name, clock)
        self._intake: Intake
        self._flights: Flights

    def run(self, stop: threading.Event) -> None:
        """Works until `stop` is set. Raises what only a restart can heal."""
        kafka, worker = self._settings.kafka, self._settings.worker
        loop = asyncio.new_event_loop()
        sender = Sender(kafka, self.name, loop)
        stepper = Stepper(self.name, self._plan.pipeline, sender.send, worker.lane_weights)
        self._flights = Flights(stepper, worker, self._clock, self._shore(), loop)
        topics = [topic.name for topic in self._plan.pipeline.reads]
        self._intake = Intake(kafka, worker, self.name, topics, self._clock)
        self._intake.leaving = self._leave
        try:
            sender.start({topic.name for bound in self._plan.pipeline.hops for topic in bound.hop.writes})
            self._flights.start()
            for follower in self._plan.followers:
                follower.catch_up(kafka.deadline_s)
            self.ready.set()
            while not stop.is_set() and self._flights.failed is None:
                self._turn()
            self._drain()
        finally:
            self._intake.close()
            self._flights.close()
            sender.close()
            stepper.close()
        if self._flights.failed is not None:
            raise self._flights.failed

    def _turn(self) -> None:
        self._hold_back()
        records = self._intake.read(self._most_records, POLL_S)
        if records:
            metrics.RECORDS.labels(self.name).inc(len(records))
            for record in records:
                self._backlog.enter(record)
            self._flights.accept(records)
        self._commit()
        self._intake.watch()

    def _shore(self) -> Shore:
        ports = (port for bound in self._plan.pipeline.hops for port in bound.bound.values())
        return Shore(self._is_current, self._landed, listeners(self.name, ports))

    def _is_current(self, record: Record) -> bool:
        return self._intake.current(record)

    def _landed(self, record: Record, done: bool) -> None:
        """In the loop's thread: a record is complete, or dropped."""
        if done:
            with self._lock:
                self._intake.ledger.complete(record.place, record.offset, record.epoch)
        self._backlog.leave(record)

    def _hold_back(self) -> None:
        """Says anew, every turn, which partitions are not fetched from: assignments change, and lanes empty."""
        waiting = self._flights.waiting > 0
        with self._lock:
            ledger = self._intake.ledger
            gaps = {place: ledger.gap(place) for place in ledger.places()}
        held = self._backlog.held(gaps)
        self._intake.hold(held)
        metrics.PAUSED.labels(self.name).set(1 if waiting else 0)
        now = self._clock.monotonic()
        if self._paused_since is not None:
            metrics.PAUSED_SECONDS.labels(self.name).inc(now - self._paused_since)
        self._paused_since = now if held or waiting else None
        self._in_hand.hold(*self._backlog.total())

    def _commit(self, *, now: bool = False) -> None:
        if not now and self._clock.monotonic() - self._committed_at < COMMIT_EVERY_S:
            return
        self._committed_at = self._clock.monotonic()
        if self._uncommitted != self._intake.uncommitted:
            # One failed, and nobody says which: all of it is said again.
            self._uncommitted = self._intake.uncommitted
            self._said.clear()
        progress = self._progress()
        news = {place: known for place, known in progress.items() if self._said.get(place) != known}
        self._said = progress
        self._say(news, self._intake.commit_now if now else self._intake.commit)
        if news:
            self._in_hand.committed()

    def _leave(self, places: Sequence[Partition]) -> None:
        """Partitions are about to go: what is done by now is said, so that the next owner does not do it again."""
        progress = self._progress()
        self._say({place: progress[place] for place in places if place in progress}, self._intake.commit)
        for place in places:
            self._said.pop(place, None)

    def _say(self, news: Mapping[Partition, Progress], commit: Callable[[list[TopicPartition]], None]) -> None:
        offsets = [
            TopicPartition(*place, offset, metadata=encode(offset, beyond)) for place, (offset, beyond) in news.items()
        ]
        if not offsets:
            return
        try:
            commit(offsets)
        except KafkaException as error:
            _LOG.warning("commit.failed", hop=self.name, reason=str(error.args[0]))

    def _progress(self) -> dict[Partition, Progress]:
        """Where each partition may be committed, and what is complete beyond: here, or by whoever had it before."""
        with self._lock:
            ledger = self._intake.ledger
            progress = ledger.progress()
            for place, (offset, _) in progress.items():
                epoch = ledger.epoch(place)
                if epoch is not None:
                    ledger.committed(place, offset, epoch)
        return {
            place: (offset, beyond | {one for one in self._intake.recalled(place) if one > offset})
            for place, (offset, beyond) in progress.items()
        }

    def _drain(self) -> None:
        """Lets land what has started, within the grace; the rest is read again by whoever comes next."""
        deadline = self._clock.monotonic() + self._settings.worker.drain_s
        self._flights.drain()
        while self._flights.failed is None and self._flights.flying and self._clock.monotonic() < deadline:
            self._intake.hold(frozenset(self._intake.ledger.places()))
            # Polled for the group's sake; what still comes in is not ours to start.
            self._intake.read(1, POLL_S)
            self._commit()
        self._commit(now=True)
