"""BatchHop: exactly once between topics, batch by batch, each with its offsets in one transaction.

Where a plan does without transactions (`exactly_once=False`) results are delivered first, then offsets are committed.

The way of a batch:
1. Open: model and clients are loaded already; make the producer, join the group.
2. Collect: poll, then drain. Under backlog wait until a transaction's breathing space is over, so that batches grow.
3. Handle in a second thread, outside any transaction, while this one keeps polling (paused after a moment).
4. Compare epochs: results of partitions that were revoked meanwhile are dropped.
5. Commit results and offsets in one transaction (`transactions.py`).
6. Aborted: rewind to the committed offsets and do it again. A dependency away: wait, polling, and do it again.
7. Idle: no open transaction, for it would hold back every reader of committed records.
8. Stop: finish or drop the batch within the grace, leave the group, let go of the producer.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunningError
from dataclasses import dataclass
from typing import Final

import structlog
from confluent_kafka import TopicPartition

from processors.contract import Stop
from processors.ports import Clock
from streams import metrics
from streams.deliveries import PlainProducer
from streams.follow import Follower
from streams.intake import Intake
from streams.pipeline import Pipeline
from streams.records import Outgoing, Partition, Processed, Record
from streams.retries import as_stop
from streams.settings import Settings
from streams.sweeping import Reach
from streams.transactions import AbortedError, TransactionalProducer

_LOG = structlog.get_logger(__name__)
POLL_S: Final = 0.05
# A step that is done within this is not worth pausing for.
PAUSE_AFTER_S: Final = 0.2
# The broker still writes the last transaction's markers; one begun sooner would wait 20 ms (CONCURRENT_TRANSACTIONS).
BREATHING_S: Final = 0.02
# The first abort is usually a rebalance and goes again at once; one after the other means that something is wrong.
ABORT_BACKOFF_S: Final = 0.01
ABORT_BACKOFF_MAX_S: Final = 2.0
NOT_CAUGHT_UP: Final = -1
NEVER: Final = -1


@dataclass(frozen=True)
class HopPlan:
    """What a hop needs to run: its group, its pipeline, and the followers that must have caught up first."""

    group: str
    pipeline: Pipeline
    followers: tuple[Follower, ...] = ()
    most_records: int = 2_000
    exactly_once: bool = True


class BatchHop:
    """Runs a pipeline exactly once between topics. Use it for ingest, cost and evaluation; one per thread."""

    def __init__(self, plan: HopPlan, settings: Settings, clock: Clock) -> None:
        self.name = plan.group
        self.ready = threading.Event()
        self._plan = plan
        self._settings = settings
        self._clock = clock
        self._intake: Intake
        self._producer = self._new_producer()
        self._held: list[Record] = []
        self._caught_up = NOT_CAUGHT_UP
        self._committed_at = 0.0
        self._aborts = 0
        self._replaced = 0

    def _new_producer(self) -> TransactionalProducer | PlainProducer:
        plan, kafka = self._plan, self._settings.kafka
        if not plan.exactly_once:
            return PlainProducer(kafka, plan.group, lambda offsets: self._intake.commit(offsets), self._clock)
        reach = Reach(plan.group, plan.pipeline.reads[0].name, plan.pipeline.outputs)
        return TransactionalProducer(kafka, f"{plan.group}-{self._settings.worker.slot}", reach, self._clock)

    def run(self, stop: threading.Event) -> None:
        """Works until `stop` is set. Raises what only a restart can heal."""
        self._producer.open(lambda: _interruptible(stop))
        topics = [topic.name for topic in self._plan.pipeline.reads]
        self._intake = Intake(self._settings.kafka, self._settings.worker, self.name, topics, self._clock)
        self.ready.set()
        try:
            with ThreadPoolExecutor(1, thread_name_prefix=self._plan.pipeline.name) as handler:
                while not stop.is_set():
                    self._turn(handler, stop)
        finally:
            self._intake.close()
            self._producer.close()

    def _turn(self, handler: ThreadPoolExecutor, stop: threading.Event) -> None:
        batch = self._collect()
        self._intake.watch()
        self._renew_after_replacement()
        if not batch:
            return
        metrics.RECORDS.labels(self.name).inc(len(batch))
        metrics.BATCH_RECORDS.labels(self.name).observe(len(batch))
        try:
            done = self._handle(handler, batch, stop)
            if done is not None:
                self._commit(batch, done)
                self._aborts = 0
                return
        except AbortedError:
            self._aborts += 1
            stop.wait(min(ABORT_BACKOFF_S * 2**self._aborts, ABORT_BACKOFF_MAX_S))
        self._rewind()

    def _renew_after_replacement(self) -> None:
        """A consumer that got no offsets may have waited for a transaction that only a new producer can close."""
        if self._replaced != self._intake.replaced:
            self._replaced = self._intake.replaced
            self._producer.renew("the consumer was replaced")
            self._rewind()

    def _collect(self) -> list[Record]:
        held, self._held = self._held, []
        since = self._intake.revocations if not held else NEVER
        batch = held or self._intake.read(self._plan.most_records, POLL_S)
        if not self._plan.exactly_once:
            return batch if self._intake.still_ours(batch, since) else self._current(batch)
        spare = BREATHING_S - (self._clock.monotonic() - self._committed_at)
        if batch and spare > 0 and len(batch) < self._plan.most_records:
            batch += self._intake.more(self._plan.most_records - len(batch), spare)
        return batch if self._intake.still_ours(batch, since) else self._current(batch)

    def _current(self, batch: list[Record]) -> list[Record]:
        return [record for record in batch if self._intake.current(record)]

    def _handle(self, handler: ThreadPoolExecutor, batch: list[Record], stop: threading.Event) -> Processed | None:
        """The results of a batch; None where it was given up because all of it was revoked or the worker stops."""
        while not stop.is_set() and any(self._intake.current(record) for record in batch):
            started = self._clock.monotonic()
            future = handler.submit(self._process, batch)
            try:
                return self._await(future)
            except Exception as error:
                pause = as_stop(error)
                if pause is None:
                    raise
                self._pause(pause, stop)
            finally:
                metrics.STEP_SECONDS.labels(self.name).observe(self._clock.monotonic() - started)
        return None

    def _process(self, batch: Sequence[Record]) -> Processed:
        assignments = self._intake.assignments
        if assignments != self._caught_up:
            for follower in self._plan.followers:
                follower.catch_up(self._settings.kafka.deadline_s)
            self._caught_up = assignments
        return self._plan.pipeline.process(batch)

    def _await(self, future: Future[Processed]) -> Processed:
        """Waits for the handler; after a moment fetching is paused and polling goes on, so that nobody evicts us."""
        try:
            return future.result(PAUSE_AFTER_S)
        except StillRunningError:
            pass
        seen = -1
        try:
            while not future.done():
                seen = self._pause_new(seen)
                self._held += self._intake.read(self._plan.most_records, POLL_S)
        finally:
            self._intake.resume()
        return future.result()

    def _pause_new(self, seen: int) -> int:
        if seen != self._intake.assignments:
            self._intake.pause()
        return self._intake.assignments

    def _pause(self, reason: Stop, stop: threading.Event) -> None:
        """A dependency is away: stay in the group, fetch nothing, try again later."""
        _LOG.warning("hop.paused", hop=self.name, reason=str(reason), after_s=reason.after_s)
        metrics.PAUSED.labels(self.name).set(1)
        until = self._clock.monotonic() + reason.after_s
        seen = -1
        while self._clock.monotonic() < until and not stop.is_set():
            seen = self._pause_new(seen)
            self._held += self._intake.read(self._plan.most_records, POLL_S)
        self._intake.resume()
        metrics.PAUSED.labels(self.name).set(0)
        metrics.PAUSED_SECONDS.labels(self.name).inc(reason.after_s)

    def _commit(self, batch: list[Record], done: Processed) -> None:
        alive = [n for n, record in enumerate(batch) if self._intake.current(record)]
        if not alive:
            return
        outgoing = [out for n in alive for out in done.outgoing[n]]
        offsets = self._complete([batch[n] for n in alive])
        started = self._clock.monotonic()
        self._producer.commit(
            outgoing, [TopicPartition(*p, o) for p, o in offsets.items()], self._intake.group_metadata()
        )
        self._committed_at = self._clock.monotonic()
        metrics.TRANSACTION_SECONDS.labels(self.name).observe(self._committed_at - started)
        for place, offset in offsets.items():
            epoch = self._intake.ledger.epoch(place)
            if epoch is not None:
                self._intake.ledger.committed(place, offset, epoch)
        self._count(outgoing, done)
        self._plan.pipeline.committed(outgoing)

    def _complete(self, records: Sequence[Record]) -> dict[Partition, int]:
        ledger = self._intake.ledger
        for record in records:
            ledger.complete(record.place, record.offset, record.epoch)
        # What was read ahead while the handler ran is unfinished, so the ledger stops before it.
        return ledger.committable()

    def _count(self, outgoing: Sequence[Outgoing], done: Processed) -> None:
        metrics.DEAD_LETTERS.labels(self.name).inc(len(done.rejected))
        for topic, count in Counter([out.topic for out in outgoing]).items():
            metrics.EVENTS.labels(self.name, topic).inc(count)

    def _rewind(self) -> None:
        self._held.clear()
        self._intake.rewind()
        # A commit whose answer was lost may have written what the views have not seen yet.
        self._caught_up = NOT_CAUGHT_UP


def _interruptible(stop: threading.Event) -> None:
    if stop.wait(0.5):
        raise SystemExit(0)
