"""BatchHop: exactly once between topics, batch by batch, each with its offsets in one transaction.

Where a plan does without transactions (`exactly_once=False`) results are delivered first, then offsets are committed.

The way of a batch:
1. Open: model and clients are loaded already; make the producer, join the group.
2. Collect: poll, then drain. Under backlog wait until a transaction's breathing space is over, so that batches grow.
   What must wait stays in hand (`admission.py`): records to be tried later, suspects of having killed a process.
3. Handle in a second thread, outside any transaction, while this one keeps polling: one batch ahead, then paused.
4. Compare epochs: results of partitions that were revoked meanwhile are dropped.
5. Commit results and offsets in one transaction (`transactions.py`); under backlog read ahead while the brokers end it.
   Where no step minds (`Hop.ahead`) the next full batch is handled meanwhile, its results committed after this one's.
6. Aborted: rewind to the committed offsets and do it again, what was handled ahead included. A dependency away: wait,
   polling, and do it again.
7. Idle: no open transaction, for it would hold back every reader of committed records.
8. Stop: finish or drop the batch within the grace, leave the group, let go of the producer.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Final

import structlog
from confluent_kafka import TopicPartition

from processors.contract import Stop
from processors.ports import Clock
from streams import metrics
from streams.admission import Admission
from streams.bounded import ended
from streams.deliveries import PlainProducer
from streams.follow import Follower
from streams.intake import Intake
from streams.outstanding import Outstanding, together
from streams.pipeline import Pipeline
from streams.records import Outgoing, Partition, Processed, Record
from streams.retries import as_stop
from streams.retrying import Retrying
from streams.settings import Settings
from streams.suspects import Suspects
from streams.sweeping import Reach
from streams.transactions import AbortedError, TransactionalProducer

_LOG = structlog.get_logger(__name__)
POLL_S: Final = 0.05
# A step that is done within this is not worth reading ahead for.
AHEAD_AFTER_S: Final = 0.2
# The broker still writes the last transaction's markers; one begun sooner would wait 20 ms (CONCURRENT_TRANSACTIONS).
BREATHING_S: Final = 0.02
# The first abort is usually a rebalance and goes again at once; one after the other means that something is wrong.
ABORT_BACKOFF_S: Final = 0.01
ABORT_BACKOFF_MAX_S: Final = 2.0
# A batch of at least this share of the largest one means that there is more where it came from.
BACKLOG_SHARE: Final = 8
NOT_CAUGHT_UP: Final = (-1, -1)
NEVER: Final = -1


@dataclass(frozen=True)
class HopPlan:
    """What a hop needs to run: its group, its pipeline, and the followers that must have caught up first."""

    group: str
    pipeline: Pipeline
    followers: tuple[Follower, ...] = ()
    most_records: int = 2_000
    exactly_once: bool = True


@dataclass(frozen=True)
class _Ahead:
    """A batch that is handled while the one before it is committed."""

    batch: list[Record]
    future: Future[Processed]


class BatchHop:
    """Runs a pipeline exactly once between topics. Use it for ingest, cost and evaluation; one per thread."""

    def __init__(self, plan: HopPlan, settings: Settings, clock: Clock) -> None:
        self.name = plan.group
        self.ready = threading.Event()
        self._plan = plan
        self._settings = settings
        self._clock = clock
        self._intake: Intake
        self._admission: Admission
        self._producer = self._new_producer()
        self._held: list[Record] = []
        self._ahead: _Ahead | None = None
        self._most_bytes = settings.worker.queue_kbytes * 1024
        self._rewinds = 0
        self._caught_up = NOT_CAUGHT_UP
        self._committed_at = 0.0
        self._aborts = 0
        self._replaced = 0
        self._in_hand = metrics.InHand(plan.group, clock)

    def _new_producer(self) -> TransactionalProducer | PlainProducer:
        plan, kafka = self._plan, self._settings.kafka
        if not plan.exactly_once:
            return PlainProducer(kafka, plan.group, lambda offsets: self._intake.commit(offsets), self._clock)
        reach = Reach(plan.group, plan.pipeline.reads[0].name, plan.pipeline.outputs)
        return TransactionalProducer(kafka, f"{plan.group}-{self._settings.worker.slot}", reach, self._clock)

    def places(self) -> frozenset[Partition]:
        """The partitions that are its own now: none before it runs."""
        return frozenset(self._intake.ledger.places()) if self.ready.is_set() else frozenset()

    def run(self, stop: threading.Event) -> None:
        """Works until `stop` is set. Raises what only a restart can heal."""
        self._producer.open(lambda: _interruptible(stop))
        retrying, worker = Retrying(self._plan.pipeline, self._clock), self._settings.worker
        kafka = together(self._settings.kafka) if retrying.parking.retry_topics else self._settings.kafka
        topics = [*(topic.name for topic in self._plan.pipeline.reads), *retrying.parking.retry_topics]
        outstanding = Outstanding(kafka, self.name, retrying.parking, self._clock)
        outstanding.check()
        self._intake = Intake(kafka, worker, self.name, topics, self._clock)
        suspects = Suspects(worker.crash_limit, self._clock.now(), worker.crash_watch_s)
        self._admission = Admission(retrying, self._intake, outstanding, suspects, self._clock)
        self._intake.leaving = self._admission.leaving
        self.ready.set()
        try:
            with ThreadPoolExecutor(1, thread_name_prefix=self._plan.pipeline.name) as handler:
                while not stop.is_set():
                    self._turn(handler, stop)
            with contextlib.suppress(AbortedError):
                self._producer.finish()
        finally:
            self._intake.close()
            self._admission.close()
            self._producer.close()

    def _turn(self, handler: ThreadPoolExecutor, stop: threading.Event) -> None:
        read = self._collect() if self._ahead is None else []
        self._intake.watch()
        self._renew_after_replacement()
        metrics.RECORDS.labels(self.name).inc(len(read))
        try:
            ahead, self._ahead = self._ahead, None
            batch = ahead.batch if ahead else self._admission.take(read, self._plan.most_records)
            self._in_hand.hold_batch(batch)
            if not batch:
                self._note(self._producer.settle())
                return
            metrics.BATCH_RECORDS.labels(self.name).observe(len(batch))
            done = self._handle(handler, batch, stop, ahead.future if ahead else None)
            if done is not None:
                self._handle_next(handler, done)
                self._commit(batch, done)
                self._in_hand.committed()
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
        batch, self._held = self._held, []
        since = self._intake.revocations if not batch else NEVER
        if len(batch) < self._plan.most_records:
            wait_s = 0 if self._admission.more or batch else POLL_S
            batch += self._intake.read(self._plan.most_records - len(batch), wait_s)
        if not self._plan.exactly_once:
            return batch if self._intake.still_ours(batch, since) else self._current(batch)
        spare = BREATHING_S - (self._clock.monotonic() - self._committed_at)
        if batch and spare > 0 and len(batch) < self._plan.most_records:
            batch += self._intake.more(self._plan.most_records - len(batch), spare)
        return batch if self._intake.still_ours(batch, since) else self._current(batch)

    def _current(self, batch: list[Record]) -> list[Record]:
        if self._intake.all_current({(r.topic, r.partition, r.epoch) for r in batch}):
            return batch
        return [record for record in batch if self._intake.current(record)]

    def _handle_next(self, handler: ThreadPoolExecutor, done: Processed) -> None:
        """Begins with the next batch before this one is committed, where it is full and nobody minds the order."""
        if not self._plan.pipeline.ahead or done.kept:
            return
        self._read_more()
        most, self._held = self._plan.most_records, self._current(self._held)
        if len(self._held) >= most and self._admission.allows_ahead(self._held[:most]):
            batch, self._held = self._held[:most], self._held[most:]
            self._ahead = _Ahead(batch, handler.submit(self._process, batch))

    def _handle(
        self, handler: ThreadPoolExecutor, batch: list[Record], stop: threading.Event, begun: Future[Processed] | None
    ) -> Processed | None:
        """The results of a batch; None where it was given up because all of it was revoked or the worker stops."""
        while not stop.is_set() and any(self._intake.current(record) for record in batch):
            started = self._clock.monotonic()
            if begun is None:
                self._admission.mark(batch)
            future, begun = begun or handler.submit(self._process, batch), None
            try:
                return self._await(future)
            except Exception as error:
                pause = as_stop(error)
                if pause is None:
                    raise
                self._admission.pausing()
                self._pause(pause, stop)
            finally:
                metrics.STEP_SECONDS.labels(self.name).observe(self._clock.monotonic() - started)
        return None

    def _process(self, batch: Sequence[Record]) -> Processed:
        # What was begun ahead may still run while the poll thread rewinds: then it must not say that it caught up.
        known = (self._intake.assignments, self._rewinds)
        if known != self._caught_up:
            for follower in self._plan.followers:
                follower.catch_up(self._settings.kafka.deadline_s)
            self._caught_up = known
        return self._admission.process(batch)

    def _await(self, future: Future[Processed]) -> Processed:
        """Waits for the handler; after a moment polling goes on, which reads the next batch ahead."""
        if ended(future, AHEAD_AFTER_S):
            return future.result()
        seen = NEVER
        try:
            while not ended(future, POLL_S):
                seen = self._read_ahead(0, seen)
                self._admission.tick()
                self._intake.watch()
        finally:
            self._intake.resume()
        return future.result()

    def _read_ahead(self, wait_s: float, seen: int) -> int:
        """Polls, for whoever does not is put out of the group: reads the next batch, then fetches no more."""
        room = self._plan.most_records - len(self._held)
        full = room <= 0 or sum(len(record.value or b"") for record in self._held) >= self._most_bytes
        if full:
            seen = self._pause_new(seen)
        # Paused or not: what an assignment of this moment brings is kept.
        ahead = self._intake.read(max(1, room), wait_s)
        self._held += ahead
        self._in_hand.hold_more(ahead)
        return seen

    def _read_more(self) -> None:
        """Takes what is there already for the next batch."""
        room = self._plan.most_records - len(self._held)
        ahead = self._intake.read(room, 0) if room > 0 else []
        self._held += ahead
        self._in_hand.hold_more(ahead)

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
            seen = self._read_ahead(POLL_S, seen)
            self._intake.watch()
        self._intake.resume()
        metrics.PAUSED.labels(self.name).set(0)
        metrics.PAUSED_SECONDS.labels(self.name).inc(reason.after_s)

    def _commit(self, batch: list[Record], done: Processed) -> None:
        self._admission.put_back(batch, done)
        alive = self._alive(batch, done)
        if not alive:
            return
        results = done.outgoing if len(alive) == len(batch) else [done.outgoing[n] for n in alive]
        outgoing = list(chain.from_iterable(results))
        offsets = self._complete([batch[n] for n in alive])
        self._admission.committing(offsets)
        started = self._clock.monotonic()
        committable = [TopicPartition(*p, o) for p, o in offsets.items()]
        is_backlog = len(batch) * BACKLOG_SHARE >= self._plan.most_records
        meanwhile = self._read_more if is_backlog else None
        done_with = self._producer.commit(outgoing, committable, self._intake.group_metadata(), meanwhile)
        self._committed_at = self._clock.monotonic()
        metrics.TRANSACTION_SECONDS.labels(self.name).observe(self._committed_at - started)
        self._note(done_with)
        self._admission.committed({n: batch[n] for n in alive}, done, offsets)
        self._count(outgoing, done)
        self._plan.pipeline.committed(outgoing)

    def _alive(self, batch: list[Record], done: Processed) -> Sequence[int]:
        """The positions whose outcome may be committed: decided, and not of a partition that was taken away."""
        if not done.kept and self._intake.all_current({(r.topic, r.partition, r.epoch) for r in batch}):
            return range(len(batch))
        return [n for n, record in enumerate(batch) if n not in done.kept and self._intake.current(record)]

    def _note(self, committed: Sequence[TopicPartition]) -> None:
        """Tells the ledger what is committed; of a partition that was taken away it keeps no account."""
        ledger = self._intake.ledger
        for at in committed:
            if (epoch := ledger.epoch((at.topic, at.partition))) is not None:
                ledger.committed((at.topic, at.partition), at.offset, epoch)

    def _complete(self, records: Sequence[Record]) -> dict[Partition, int]:
        ledger, runs = self._intake.ledger, defaultdict[tuple[str, int, int], list[int]](list)
        for record in records:
            runs[record.topic, record.partition, record.epoch].append(record.offset)
        for (topic, partition, epoch), offsets in runs.items():
            ledger.complete_run((topic, partition), offsets, epoch)
        # What was read ahead while the handler ran is unfinished, so the ledger stops before it.
        return ledger.committable()

    def _count(self, outgoing: Sequence[Outgoing], done: Processed) -> None:
        metrics.DEAD_LETTERS.labels(self.name).inc(len(done.rejected))
        for topic, count in Counter([out.topic for out in outgoing]).items():
            metrics.EVENTS.labels(self.name, topic).inc(count)

    def _rewind(self) -> None:
        self._held.clear()
        self._ahead = None
        self._admission.rewound()
        self._intake.rewind()
        # A commit whose answer was lost may have written what the views have not seen yet: catch up again.
        self._rewinds += 1


def _interruptible(stop: threading.Event) -> None:
    if stop.wait(0.5):
        raise SystemExit(0)
