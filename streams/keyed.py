"""KeyedHop: at least once with ids that repeat, many keys at a time, in order per key. For the way of a question.

The way of a record:
1. The poll thread reads a batch and hands it over with one call to the event loop.
2. First in, first out per key; up to `in_flight_keys` keys at once; completion out of order.
3. Each fused step runs in turn: synchronous ones in a pool of threads, streaming ones in the loop. What a step emits is
   produced at once.
4. The record is complete when the delivery reports of all its outputs are good.
5. The poll thread commits, without waiting, the highest offset below which nothing is unfinished; what is complete
   beyond it goes into the commit's metadata, and is passed over after a restart.
6. Too much in flight, or a dependency away: fetching is paused, polling goes on.
7. Stop: read nothing more, finish what is in flight within the grace, commit, leave the group.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import structlog
from confluent_kafka import KafkaException, Producer, TopicPartition

from processors.contract import Reject, Stop
from processors.ports import Clock
from schemas.envelope import Event
from streams import metrics
from streams.batches import HopPlan
from streams.clients import producer_config
from streams.errors import ClusterUnavailableError, DeliveryError, TopicMissingError
from streams.intake import Intake
from streams.pipeline import BoundHop
from streams.records import Inbound, Outgoing, Partition, Processed, Record
from streams.retries import GivenUp, as_stop
from streams.routing import Router, send
from streams.runs import encode
from streams.settings import Settings

_LOG = structlog.get_logger(__name__)
POLL_S: Final = 0.05
COMMIT_EVERY_S: Final = 0.15
# Leaving is bounded: a broker that is away, or a step that does not end, must not keep the process.
LEAVE_S: Final = 5.0
# What sending raises when the cluster is away; the record is tried again when it is back.
_AWAY: Final = (ClusterUnavailableError, TopicMissingError, DeliveryError, BufferError, KafkaException)
# More threads than cores: a step may wait for an index or a view.
STEP_THREADS: Final = 4


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
        self._queues: dict[bytes, deque[Record]] = {}
        self._pool = ThreadPoolExecutor(STEP_THREADS, thread_name_prefix=plan.pipeline.name)
        self._loop = asyncio.new_event_loop()
        self._slots = asyncio.Semaphore(settings.worker.in_flight_keys)
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = threading.Event()
        self._waiting = 0
        self._failed: BaseException | None = None
        self._committed_at = 0.0
        self._said: dict[Partition, tuple[int, frozenset[int]]] = {}
        self._intake: Intake
        self._producer: Any = None
        self._router: Any = None

    def run(self, stop: threading.Event) -> None:
        """Works until `stop` is set. Raises what only a restart can heal."""
        kafka = self._settings.kafka
        self._producer = Producer(producer_config(kafka, **{"message.timeout.ms": 30_000}))
        self._router = Router(self._producer)
        topics = [topic.name for topic in self._plan.pipeline.reads]
        self._intake = Intake(kafka, self._settings.worker, self.name, topics, self._clock)
        threads = [
            threading.Thread(target=self._run_loop, name=f"{self._plan.pipeline.name} loop", daemon=True),
            threading.Thread(target=self._serve_deliveries, name=f"{self._plan.pipeline.name} sent", daemon=True),
        ]
        for thread in threads:
            thread.start()
        for follower in self._plan.followers:
            follower.catch_up(kafka.deadline_s)
        self.ready.set()
        try:
            while not stop.is_set() and self._failed is None:
                self._turn()
            self._drain()
        finally:
            self._leave(threads)
        if self._failed is not None:
            raise self._failed

    def _turn(self) -> None:
        self._hold_back()
        records = self._intake.read(self._plan.most_records, POLL_S)
        if records:
            metrics.RECORDS.labels(self.name).inc(len(records))
            self._loop.call_soon_threadsafe(self._accept, records)
        self._commit()
        self._intake.watch()

    def _hold_back(self) -> None:
        limits = self._settings.worker
        with self._lock:
            ledger = self._intake.ledger
            full = ledger.unfinished() >= limits.max_gap or any(
                ledger.gap(place) >= limits.max_gap for place in ledger.places()
            )
        if full or self._waiting:
            self._intake.pause()
        else:
            self._intake.resume()

    def _commit(self, *, now: bool = False) -> None:
        if not now and self._clock.monotonic() - self._committed_at < COMMIT_EVERY_S:
            return
        self._committed_at = self._clock.monotonic()
        with self._lock:
            progress = self._intake.ledger.progress()
            for place, (offset, _) in progress.items():
                epoch = self._intake.ledger.epoch(place)
                if epoch is not None:
                    self._intake.ledger.committed(place, offset, epoch)
        news = {place: known for place, known in progress.items() if self._said.get(place) != known}
        self._said = progress
        offsets = [
            TopicPartition(*place, offset, metadata=encode(offset, beyond)) for place, (offset, beyond) in news.items()
        ]
        if not offsets:
            return
        try:
            self._intake.commit_now(offsets) if now else self._intake.commit(offsets)
        except KafkaException as error:
            _LOG.warning("commit.failed", hop=self.name, reason=str(error.args[0]))

    def _accept(self, records: list[Record]) -> None:
        """In the loop: queues records under their keys; a key that was idle gets a task."""
        for record in records:
            key = record.key or record.offset.to_bytes(8, "big")
            if key in self._queues:
                self._queues[key].append(record)
                continue
            self._queues[key] = deque([record])
            task = self._loop.create_task(self._work(key))
            self._tasks.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed = error

    async def _work(self, key: bytes) -> None:
        """Takes a key's records one after the other, until there is none."""
        async with self._slots:
            queue = self._queues[key]
            while queue:
                await self._record(queue[0])
                queue.popleft()
            del self._queues[key]

    async def _record(self, record: Record) -> None:
        started = self._clock.monotonic()
        deliveries: list[asyncio.Future[None]] = []
        while True:
            try:
                await self._steps(record, deliveries)
                await asyncio.gather(*deliveries)
                break
            except Exception as error:
                pause = as_stop(error) or (Stop(str(error)) if isinstance(error, _AWAY) else None)
                if pause is None:
                    raise
                await self._pause(pause)
                deliveries.clear()
        metrics.STEP_SECONDS.labels(self.name).observe(self._clock.monotonic() - started)
        with self._lock:
            self._intake.ledger.complete(record.place, record.offset, record.epoch)

    async def _pause(self, reason: Stop) -> None:
        _LOG.warning("hop.paused", hop=self.name, reason=str(reason), after_s=reason.after_s)
        self._waiting += 1
        metrics.PAUSED.labels(self.name).set(self._waiting)
        await asyncio.sleep(reason.after_s)
        self._waiting -= 1
        metrics.PAUSED.labels(self.name).set(self._waiting)
        metrics.PAUSED_SECONDS.labels(self.name).inc(reason.after_s)

    async def _steps(self, record: Record, deliveries: list[asyncio.Future[None]]) -> None:
        pipeline = self._plan.pipeline
        done = Processed.nothing(1)
        first = pipeline.decode(0, record, done)
        self._send(done.outgoing[0], deliveries)
        pending = [first] if first else []
        for bound in pipeline.hops:
            for inbound in [one for one in pending if one.topic in bound.reads]:
                pending.extend(await self._step(bound, inbound, deliveries))

    async def _step(self, bound: BoundHop, inbound: Inbound, sent: list[asyncio.Future[None]]) -> list[Inbound]:
        """One step on one event, within its budget; a rejected one becomes a dead letter and a word to the asker."""
        pipeline, out = self._plan.pipeline, list[Outgoing]()
        if (answer := bound.guard(inbound.event)) is not None:
            metrics.EXPIRED.labels(self.name).inc()
            return self._emitted(pipeline.emit(bound, inbound, [answer], out), out, sent)
        policy = pipeline.policy
        for attempt in range(1, policy.attempts + 1):
            try:
                return await self._attempt(bound, inbound, sent)
            except Reject as reject:
                failed = reject
                break
            except Exception as error:
                if as_stop(error):
                    raise
                failed = GivenUp(f"{type(error).__name__}: {error}", attempt)
                failed.__cause__ = error
                _LOG.warning("step.failed", step=bound.name, attempt=attempt, reason=str(error))
                await asyncio.sleep(policy.backoff_s * attempt)
        metrics.DEAD_LETTERS.labels(self.name).inc()
        events = pipeline.refuse(bound, inbound, failed, out)
        return self._emitted(pipeline.emit(bound, inbound, events, out), out, sent)

    async def _attempt(self, bound: BoundHop, inbound: Inbound, sent: list[asyncio.Future[None]]) -> list[Inbound]:
        pipeline = self._plan.pipeline
        if not bound.hop.streams:
            events = await self._loop.run_in_executor(self._pool, self._call, bound, inbound.event)
            out = list[Outgoing]()
            return self._emitted(pipeline.emit(bound, inbound, events, out), out, sent)
        passed, ordinal = [], 0
        async for event in bound.hop.step(inbound.event, **bound.bound):
            out = list[Outgoing]()
            now = pipeline.origin.clock.now()
            passed.append(pipeline.emit_one(bound, inbound, ordinal, event, now, out))
            self._send(out, sent)
            ordinal += 1
        return passed

    @staticmethod
    def _call(bound: BoundHop, event: Event) -> list[Event]:
        outputs = bound.call([event])[0]
        if isinstance(outputs, Reject):
            raise outputs
        return outputs

    def _emitted(self, passed: list[Inbound], out: list[Outgoing], sent: list[asyncio.Future[None]]) -> list[Inbound]:
        self._send(out, sent)
        return passed

    def _send(self, outgoing: list[Outgoing], sent: list[asyncio.Future[None]]) -> None:
        """Produces records; a future each, done when its delivery report is good."""
        for out in outgoing:
            future: asyncio.Future[None] = self._loop.create_future()
            sent.append(future)
            send(self._producer, self._router, out, on_delivery=self._reporter(future))
            metrics.EVENTS.labels(self.name, out.topic).inc()

    def _reporter(self, future: asyncio.Future[None]) -> Any:
        def report(error: Any, _message: Any) -> None:
            self._loop.call_soon_threadsafe(_resolve, future, error)

        return report

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _serve_deliveries(self) -> None:
        while not self._stopping.is_set():
            self._producer.poll(0.1)

    def _drain(self) -> None:
        """Finishes what is in flight, within the grace; what is not done then is read again by whoever comes next."""
        deadline = self._clock.monotonic() + self._settings.worker.drain_s
        self._intake.pause()
        while self._failed is None and self._clock.monotonic() < deadline:
            with self._lock:
                if not self._intake.ledger.unfinished():
                    break
            for record in self._intake.read(1, POLL_S):
                self._loop.call_soon_threadsafe(self._accept, [record])
        self._commit(now=True)

    def _leave(self, threads: list[threading.Thread]) -> None:
        self._intake.close()
        self._producer.flush(LEAVE_S)
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._cancel(), self._loop).result(LEAVE_S)
        self._stopping.set()
        self._loop.call_soon_threadsafe(self._loop.stop)
        for thread in threads:
            thread.join(LEAVE_S)
        self._pool.shutdown(wait=False, cancel_futures=True)
        if not self._loop.is_running():
            self._loop.close()

    async def _cancel(self) -> None:
        """Ends what the grace did not see finished; its records are uncommitted and will be read again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _resolve(future: asyncio.Future[None], error: Any) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(Stop(f"a record was not delivered: {error}"))
