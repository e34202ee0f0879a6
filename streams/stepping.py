"""The steps of a pipeline on one record: in turn, each with its guard, in threads or streaming in an event loop.

Steps that don't stream follow one another in one thread, as far as they work: every change between threads costs a wait
for the interpreter. What a step emits is produced at once. A step that fails is tried again within its budget, then the
record becomes a dead letter and its asker hears of it. While a step runs, its guard may find that nobody waits any
more: the step is then cancelled, and the guard's answer is all that is still said.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Final, NamedTuple, TypeVar

import structlog

from adapters.errors import UnavailableError
from processors.contract import Reject
from schemas.envelope import Event
from streams import metrics
from streams.errors import StreamsError
from streams.lanes import Turns
from streams.pipeline import BoundHop, Pipeline
from streams.records import Inbound, Outgoing, Processed, Record
from streams.retries import GivenUp, as_stop
from streams.sending import AWAY

__all__ = ["Flight", "Send", "Stepper", "Verdict"]

_LOG = structlog.get_logger(__name__)
# More threads than cores: a step may wait for an index or a view.
STEP_THREADS: Final = 4
_Found = TypeVar("_Found")
Send = Callable[[Outgoing], asyncio.Future[None]]
"""Hands a record to the producer, from any thread; the future is done in the loop when it is delivered."""
# A guard's answer is no output of its step: its id is one that no output has.
_GUARD: Final = -1


class Verdict(NamedTuple):
    """What the guard of a hop says to an event, in place of the hop's step."""

    bound: BoundHop
    inbound: Inbound
    answer: Event


class _Halt(NamedTuple):
    """The step before which a thread hands back to the event loop: it streams, or has failed."""

    bound: BoundHop
    inbound: Inbound
    failure: Exception | None = None


@dataclass(eq=False)
class Flight:
    """A record under way. `at` is the step that runs; `sent` what was produced so far, `written` onto which topics.

    A thread and the event loop share it: what is produced, and that nothing more is (`over`), is said under the lock.
    """

    record: Record
    lane: str
    at: tuple[BoundHop, Inbound] | None = None
    sent: list[asyncio.Future[None]] = field(default_factory=list)
    written: set[str] = field(default_factory=set)
    verdict: Verdict | None = None
    over: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class Stepper:
    """Runs all steps of a pipeline on a record. Use one per KeyedHop, in its event loop."""

    def __init__(self, name: str, pipeline: Pipeline, send: Send, weights: Mapping[str, int]) -> None:
        self.name = name
        self.pipeline = pipeline
        self._sent = send
        self._threads = Turns(STEP_THREADS, weights)
        self._hands = _Hands(STEP_THREADS, pipeline.name)
        self._abandoned = 0
        # What threads have ended and the loop has not heard of yet: one call into the loop tells it of all.
        self._news = deque[Callable[[], None]]()
        self._called = False

    async def run(self, flight: Flight) -> None:
        """All steps on one record, until the delivery reports of its outputs are good."""
        flight.sent, flight.written = [], set()
        pending = list[Inbound]()
        todo = self._todo(flight, pending)
        while halt := await self._in_thread(flight, lambda: self._along(flight, todo, pending)):
            pending.extend(await self._step(flight, halt))
        flight.at = None
        await asyncio.gather(*flight.sent)

    async def answer(self, flight: Flight) -> None:
        """What the guard said while a step ran; what the steps before it wrote must be there as well."""
        assert flight.verdict is not None
        sent, flight.sent = flight.sent, []
        _, out = self._told(flight.verdict)
        self._produce(flight, out)
        await asyncio.gather(*sent, *flight.sent)

    def unwanted(self, flight: Flight) -> Verdict | None:
        """What the guard of the running step says now; nothing once the step has said the like itself.

        Where it says something, nothing that the steps emit is produced any more.
        """
        with flight.lock:
            if flight.at is None or flight.over:
                return None
            bound, inbound = flight.at
            answer = bound.guard(inbound.event)
            if answer is None or bound.hop.topic_of(answer).name in flight.written:
                return None
            flight.over = True
            return Verdict(bound, inbound, answer)

    def held_up(self, flight: Flight, reason: str) -> Verdict | None:
        """What the asker hears whose time ends while a dependency is away: what the hop says of a dead letter.

        None where the hop says nothing then, or where the answer is given already.
        """
        if flight.at is None:
            return None
        bound, inbound = flight.at
        told = bound.hop.rejected
        answers = list(told(inbound.event, reason)) if told else []
        if not answers or bound.hop.topic_of(answers[0]).name in flight.written:
            return None
        return Verdict(bound, inbound, answers[0])

    def overdue(self, record: Record) -> bool:
        """Whether the first guard would answer a record that waits for its turn."""
        try:
            inbound = self.pipeline.decode(0, record, Processed.nothing(1))
        except UnavailableError:
            return False
        first = [bound for bound in self.pipeline.hops if inbound is not None and inbound.topic in bound.reads]
        return bool(first and inbound is not None and first[0].guard(inbound.event) is not None)

    @property
    def stuck(self) -> bool:
        """Whether every thread is in a step for which nobody waits any more."""
        return self._abandoned >= STEP_THREADS

    async def leave(self) -> None:
        """Closes what the steps' ports opened in this loop: connections can't be closed from another."""
        ports = {id(port): port for bound in self.pipeline.hops for port in bound.bound.values()}
        for port in ports.values():
            if close := getattr(port, "aclose", None):
                await close()

    def close(self) -> None:
        self._hands.close()

    def _todo(self, flight: Flight, pending: list[Inbound]) -> Iterator[tuple[BoundHop, Inbound]]:
        """Which step is to run on which event, in turn; whoever runs them adds what they emit to `pending`."""
        done = Processed.nothing(1)
        first = self.pipeline.decode(0, flight.record, done)
        self._send(flight, done.outgoing[0])
        pending.extend([first] if first else [])
        for bound in self.pipeline.hops:
            for inbound in [one for one in pending if self.pipeline.topic(one.topic).name in bound.reads]:
                yield bound, inbound

    def _along(self, flight: Flight, todo: Iterator[tuple[BoundHop, Inbound]], pending: list[Inbound]) -> _Halt | None:
        """In a thread: runs steps until one streams or fails; None once all have run, or nobody waits any more."""
        for bound, inbound in todo:
            if flight.over:
                return None
            flight.at = (bound, inbound)
            if bound.streams:
                return _Halt(bound, inbound)
            try:
                pending.extend(self._run(flight, bound, inbound))
            except Exception as error:
                return _Halt(bound, inbound, error)
        return None

    async def _step(self, flight: Flight, halt: _Halt) -> list[Inbound]:
        """A step that streams, or one that has failed once, within its budget; a rejected one becomes a dead letter and
        a word to the asker."""
        bound, inbound, failure = halt
        for attempt in range(1, self.pipeline.policy.attempts + 1):
            metrics.RETRIES.labels(self.name).inc(attempt > 1)
            try:
                if failure is None:
                    return await self._attempt(flight, bound, inbound)
                error, failure = failure, None
                raise error
            except Reject as reject:
                failed = reject
                break
            except Exception as error:
                if as_stop(error) or isinstance(error, AWAY):
                    raise
                failed = GivenUp(f"{type(error).__name__}: {error}", attempt)
                failed.__cause__ = error
                _LOG.warning("step.failed", step=bound.name, attempt=attempt, reason=str(error))
                await asyncio.sleep(self.pipeline.policy.backoff_s * attempt)
        metrics.DEAD_LETTERS.labels(self.name).inc()
        out = list[Outgoing]()
        events = self.pipeline.refuse(bound, inbound, failed, out)
        passed = self.pipeline.emit(bound, inbound, events, out)
        self._send(flight, out)
        return passed

    async def _attempt(self, flight: Flight, bound: BoundHop, inbound: Inbound) -> list[Inbound]:
        if not bound.streams:
            return await self._in_thread(flight, lambda: self._run(flight, bound, inbound))
        if (answer := bound.guard(inbound.event)) is not None:
            return self._say(flight, Verdict(bound, inbound, answer))
        passed, out, now = list[Inbound](), list[Outgoing](), self.pipeline.origin.clock.now
        # Closed whatever happens: behind the step may be a connection to a model that goes on writing.
        async with aclosing(bound.hop.step(inbound.event, **bound.bound)) as events:
            async for event in events:
                passed.append(self.pipeline.emit_one(bound, inbound, len(passed), event, now(), out))
                self._send(flight, out)
                out.clear()
                # What a server sends in one go would else be gone through in one go, while every other record waits.
                await asyncio.sleep(0)
        return passed

    def _run(self, flight: Flight, bound: BoundHop, inbound: Inbound) -> list[Inbound]:
        """A step that does not stream, on one event; what it emits is produced at once."""
        if (answer := bound.guard(inbound.event)) is not None:
            return self._say(flight, Verdict(bound, inbound, answer))
        out = list[Outgoing]()
        passed = self.pipeline.emit(bound, inbound, _called(bound, inbound.event), out)
        self._send(flight, out)
        return passed

    def _say(self, flight: Flight, verdict: Verdict) -> list[Inbound]:
        passed, out = self._told(verdict)
        self._send(flight, out)
        return [passed]

    def _told(self, verdict: Verdict) -> tuple[Inbound, list[Outgoing]]:
        metrics.EXPIRED.labels(self.name).inc()
        out, now = list[Outgoing](), self.pipeline.origin.clock.now()
        return self.pipeline.emit_one(verdict.bound, verdict.inbound, _GUARD, verdict.answer, now, out), out

    def _send(self, flight: Flight, outgoing: Iterable[Outgoing]) -> None:
        """Produces what a step emitted, unless the flight is over."""
        with flight.lock:
            if not flight.over:
                self._produce(flight, outgoing)

    def _produce(self, flight: Flight, outgoing: Iterable[Outgoing]) -> None:
        for out in outgoing:
            flight.sent.append(self._sent(out))
            flight.written.add(out.topic)

    async def _in_thread(self, flight: Flight, work: Callable[[], _Found]) -> _Found:
        """Waits for a thread of the lane, then for the work. A thread is free when it has ended, whoever left it."""
        await self._threads.take(flight.lane)
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[_Found] = loop.create_future()

        def run() -> None:
            found = _tried(work)
            self._news.append(partial(self._ended, outcome, found))
            # Read after the news were left: where the loop is called already, it takes them as well.
            if not self._called:
                self._called = True
                # The loop is closed where the step outlived the hop.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._hear)

        self._hands.do(run)
        try:
            return await outcome
        except asyncio.CancelledError:
            with flight.lock:
                flight.over = True
            # Not where the step ended at the same moment.
            self._abandoned += outcome.cancelled()
            raise

    def _hear(self) -> None:
        self._called = False
        while self._news:
            self._news.popleft()()

    def _ended(self, outcome: asyncio.Future[_Found], found: _Found | Exception) -> None:
        self._threads.give()
        if outcome.cancelled():
            self._abandoned -= 1
            return
        if isinstance(found, Exception):
            outcome.set_exception(found)
        else:
            outcome.set_result(found)


class _Hands:
    """Threads for steps. Daemons, since one that hangs must not keep the process from ending."""

    def __init__(self, count: int, name: str) -> None:
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._run, name=f"{name} {n}", daemon=True) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def do(self, work: Callable[[], None]) -> None:
        """Has work done by the next free thread; `Turns` sees to it that there is one."""
        self._work.put(work)

    def close(self) -> None:
        for _ in self._threads:
            self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()


def _called(bound: BoundHop, event: Event) -> list[Event]:
    try:
        found = bound.call([event])[0]
    except Exception:
        raise
    except BaseException as error:
        # SystemExit in a step must not end its thread, and with it every record that waits for one.
        raise StreamsError(f"step {bound.name!r} raised {type(error).__name__}: {error}") from error
    if isinstance(found, Reject):
        raise found
    return found


def _tried(work: Callable[[], _Found]) -> _Found | Exception:
    try:
        return work()
    except Exception as error:
        return error
