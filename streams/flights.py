"""The records under way in a KeyedHop: in order per key, by lanes, tried until they work or nobody waits any more.

The way of a record, in the event loop:
1. It queues under its key; a key that was idle gets a task, which takes its records one after the other.
2. A place of its lane is waited for. What is overdue meanwhile is answered at once, out of its turn.
3. Not started and no longer ours (revoked, or the worker stops): dropped, since whoever comes next reads it again.
4. Its steps run (`stepping.py`). A dependency away: wait, and all of it again; where the asker's time ends meanwhile,
   he is told so before it does.
5. Ten times a second the guard of each running step is asked: where it answers, the step is cancelled, and its answer
   is the last that is said.
6. Landed: the poll thread may commit it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import structlog

from processors.contract import Stop
from processors.ports import Clock
from streams import headers as names
from streams import metrics
from streams.errors import StreamsError
from streams.lanes import Turns, lane_of
from streams.records import Record
from streams.retries import as_stop
from streams.sending import AWAY
from streams.settings import Worker
from streams.stepping import Flight, Stepper

__all__ = ["Flights", "Shore"]

_LOG = structlog.get_logger(__name__)
# Soon enough that a cancelled generation costs little more, seldom enough to cost nothing.
LOOK_EVERY_S: Final = 0.1
# So long before its deadline an asker is told that a dependency is away: the word has to reach him in time.
_SAY_S: Final = 0.3
# A step that does not end must not keep the process.
_LEAVE_S: Final = 5.0


@dataclass(frozen=True)
class Shore:
    """What others do for the flights: is a record still ours; it is done with (or dropped: False); hearing of waits."""

    current: Callable[[Record], bool]
    landed: Callable[[Record, bool], None]
    waits: Callable[[Mapping[str, float]], None] = lambda _: None
    """Hears several times a second how long the oldest record of each lane waits for a place, seconds."""


class _Queued(NamedTuple):
    record: Record
    deadline: int


class Flights:
    """Runs records through a stepper, in an event loop and a thread of its own. Use one per KeyedHop.

    `accept` hands over a batch; `waiting` says that a dependency is away, `failed` what only a restart can heal.
    """

    def __init__(
        self, stepper: Stepper, worker: Worker, clock: Clock, shore: Shore, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.failed: BaseException | None = None
        self.waiting = 0
        self._name = stepper.name
        self._seconds = metrics.STEP_SECONDS.labels(stepper.name)
        self._stepper = stepper
        self._clock = clock
        self._shore = shore
        self._loop = loop
        self._places = Turns(worker.in_flight_keys, worker.lane_weights)
        self._queues: dict[tuple[str, bytes], deque[_Queued]] = {}
        self._waiting: dict[tuple[str, bytes], float] = {}
        self._flying: dict[Flight, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = False
        self._stall_s = worker.stall_s
        self._moved_at = clock.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"{stepper.name} loop", daemon=True)

    @property
    def flying(self) -> int:
        """How many records have started and not landed."""
        return len(self._flying)

    def start(self) -> None:
        self._thread.start()
        self._loop.call_soon_threadsafe(self._spawn, self._look())

    def accept(self, records: list[Record]) -> None:
        """Takes over a batch, with one call into the loop."""
        self._loop.call_soon_threadsafe(self._accept, records)

    def drain(self) -> None:
        """Starts nothing more: what has started may land, what has not is dropped."""
        self._draining = True

    def close(self) -> None:
        """Ends what has not landed; its records are uncommitted and will be read again."""
        if self._thread.is_alive():
            with contextlib.suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(self._leave(), self._loop).result(_LEAVE_S)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_LEAVE_S)
        if not self._loop.is_running():
            self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failed = self.failed or error

    def _accept(self, records: Iterable[Record]) -> None:
        for record in records:
            lane = lane_of(self._stepper.pipeline.topic(record.topic), record)
            # A question of a person does not wait behind what the same session asked in bulk.
            key = (lane, record.key or record.offset.to_bytes(8, "big"))
            queued = _Queued(record, names.number(record.headers, names.DEADLINE) or 0)
            if key in self._queues:
                self._queues[key].append(queued)
                continue
            self._queues[key] = deque([queued])
            self._spawn(self._work(key))

    async def _work(self, key: tuple[str, bytes]) -> None:
        """Takes a key's records one after the other, until there is none."""
        lane, queue = key[0], self._queues[key]
        while queue:
            self._waiting[key] = self._clock.monotonic()
            await self._places.take(lane)
            del self._waiting[key]
            try:
                if queue:
                    await self._fly(queue.popleft().record, lane)
            finally:
                self._places.give()
        del self._queues[key]

    async def _fly(self, record: Record, lane: str) -> None:
        if self._draining or not self._shore.current(record):
            self._shore.landed(record, False)
            return
        flight, started, done = Flight(record, lane), self._clock.monotonic(), False
        task = asyncio.current_task()
        assert task is not None
        self._flying[flight] = task
        try:
            done = await self._insist(flight, self._stepper.run)
        except asyncio.CancelledError:
            if flight.verdict is None:
                self._complain_if_stray(task)
                raise
            task.uncancel()
            done = await self._insist(flight, self._stepper.answer)
        finally:
            self._shore.landed(record, done)
            del self._flying[flight]
        self._seconds.observe(self._clock.monotonic() - started)

    async def _insist(self, flight: Flight, act: Callable[[Flight], Awaitable[None]]) -> bool:
        """Until it worked; False where the record is no longer ours before that."""
        while True:
            try:
                await act(flight)
                return True
            except Exception as error:
                pause = as_stop(error) or (Stop(str(error)) if isinstance(error, AWAY) else None)
                if pause is None:
                    raise
            if self._draining or not self._shore.current(flight.record):
                return False
            left_s = self._left_s(flight.record)
            if 0 < left_s <= _SAY_S and (verdict := self._stepper.held_up(flight, str(pause))) is not None:
                flight.verdict, flight.at, act = verdict, None, self._stepper.answer
                continue
            await self._pause(pause, min(pause.after_s, left_s - _SAY_S / 2 if left_s > _SAY_S else pause.after_s))

    def _left_s(self, record: Record) -> float:
        """How long somebody waits for a record yet; for ever where it has no deadline."""
        deadline = names.number(record.headers, names.DEADLINE)
        return (deadline - self._clock.now()) / 1e6 if deadline else float("inf")

    async def _pause(self, reason: Stop, seconds: float) -> None:
        if not self.waiting:
            _LOG.warning("hop.paused", hop=self._name, reason=str(reason), after_s=reason.after_s)
        self.waiting += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self.waiting -= 1

    def _complain_if_stray(self, task: asyncio.Task[None]) -> None:
        """A step that cancels itself would leave its record unfinished for good; nobody asked for that."""
        if not task.cancelling():
            self.failed = StreamsError(f"a step of {self._name!r} ended itself as cancelled; only the hop may do that")

    async def _look(self) -> None:
        """Again and again: stops what flies and nobody waits for, answers what is overdue, drops what is not ours."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self._fail_if_stuck()
            self._shore.waits(self._waits())
            for flight, task in tuple(self._flying.items()):
                self._stop_unwanted(flight, task)
            now = self._clock.now()
            for (lane, _), queue in tuple(self._queues.items()):
                for queued in tuple(queue):
                    self._look_at(lane, queue, queued, now)

    def _waits(self) -> dict[str, float]:
        """How long the oldest key of each lane waits for a place. Where a dependency is away, that is no load."""
        if self.waiting and 2 * self.waiting >= len(self._flying):
            return {}
        now, waits = self._clock.monotonic(), dict[str, float]()
        for (lane, _), since in self._waiting.items():
            waits[lane] = max(waits.get(lane, 0.0), now - since)
        return waits

    def _fail_if_stuck(self) -> None:
        """Threads can't be stopped: where all of them hang, only a new process goes on."""
        now = self._clock.monotonic()
        if not self._stepper.stuck:
            self._moved_at = now
        elif now - self._moved_at > self._stall_s:
            raise StreamsError(f"all threads of {self._name!r} have hung in a step for {self._stall_s:g} s; restart it")

    def _stop_unwanted(self, flight: Flight, task: asyncio.Task[None]) -> None:
        if flight.verdict is None and (verdict := self._stepper.unwanted(flight)) is not None:
            flight.verdict, flight.at = verdict, None
            task.cancel()

    def _look_at(self, lane: str, queue: deque[_Queued], queued: _Queued, now: int) -> None:
        if not self._shore.current(queued.record):
            queue.remove(queued)
            self._shore.landed(queued.record, False)
            return
        if not 0 < queued.deadline <= now:
            return
        if self._stepper.overdue(queued.record):
            queue.remove(queued)
            self._spawn(self._fly(queued.record, lane))
            return
        # The guard knows another deadline than the header: asked again when its turn comes.
        queue[queue.index(queued)] = queued._replace(deadline=0)

    async def _leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stepper.leave()
