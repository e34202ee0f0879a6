"""The steps on one record: in one thread as far as they go, each tried again, none heard once nobody waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import pytest

from adapters.host import SystemClock
from adapters.schema_registry import MemorySchemaIds
from processors.contract import Stop
from schemas.codec import Codec
from schemas.envelope import Event
from schemas.measures import AuditRecorded, FeedbackGiven
from streams.errors import DeliveryError
from streams.hop import Hop
from streams.pipeline import BoundHop, Origin, Pipeline
from streams.records import Inbound, Outgoing, Record
from streams.retries import ErrorPolicy
from streams.stepping import Flight, Stepper
from topics.topic import Topic

SOURCE = Topic[FeedbackGiven]("test.in.v1", (FeedbackGiven,), lambda e: str(e.answer_id))
MIDDLE = Topic[FeedbackGiven]("test.mid.v1", (FeedbackGiven,), lambda e: str(e.answer_id))
SINK = Topic[AuditRecorded]("test.out.v1", (AuditRecorded,), lambda e: str(e.actor))
CODEC = Codec(MemorySchemaIds())
ATTEMPTS = 3
WAIT_S = 10.0

SAID = AuditRecorded(tenant="acme", actor="a", action="said", target="", outcome="ok")


def copied(event: FeedbackGiven) -> FeedbackGiven:
    return FeedbackGiven(tenant=event.tenant, answer_id=event.answer_id, rating="up", comment=event.comment)


def audited(event: FeedbackGiven) -> AuditRecorded:
    return AuditRecorded(tenant=event.tenant, actor=event.answer_id, action="a", target=event.comment, outcome="ok")


def first(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
    yield copied(event)


def second(event: FeedbackGiven) -> Iterator[AuditRecorded]:
    yield audited(event)


def flight(name: str = "e0") -> Flight:
    event = FeedbackGiven(tenant="acme", event_id=name, answer_id="a", rating="up", comment="fine")
    value = CODEC.encode(SOURCE.subject, SOURCE.events, event)
    return Flight(Record(SOURCE.name, 0, 0, b"a", value, (), 1), "interactive")


def _no_port(name: str) -> Any:
    raise KeyError(name)


class World:
    """A stepper over two steps, and what it hands to the producer."""

    def __init__(self, one: Any = first, two: Any = second, guard: Callable[..., Event | None] | None = None) -> None:
        self.sent = list[Outgoing]()
        self.watched: Flight | None = None
        self.at: tuple[BoundHop, Inbound] | None = None
        hops = (Hop((SOURCE,), one, (MIDDLE,)), Hop((MIDDLE,), two, (SINK,), guard=guard))
        bound = [BoundHop(hop, _no_port) for hop in hops]
        policy = ErrorPolicy(attempts=ATTEMPTS, backoff_s=0.0)
        self.stepper = Stepper("test", Pipeline(bound, CODEC, Origin(SystemClock()), policy), self.send, {})

    def send(self, out: Outgoing) -> asyncio.Future[None]:
        self.sent.append(out)
        self.at = self.watched.at if self.watched else None
        done: asyncio.Future[None] = self.loop.create_future()
        self.loop.call_soon_threadsafe(done.set_result, None)
        return done

    def run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def bounded() -> None:
            self.loop = asyncio.get_running_loop()
            await asyncio.wait_for(work(), WAIT_S)

        try:
            asyncio.run(bounded())
        finally:
            self.stepper.close()

    @property
    def topics(self) -> list[str]:
        return [out.topic for out in self.sent]


def test_when_no_step_streams_then_all_run_in_one_thread_and_each_topic_is_written() -> None:
    threads = list[int]()

    def one(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
        threads.append(threading.get_ident())
        yield copied(event)

    def two(event: FeedbackGiven) -> Iterator[AuditRecorded]:
        threads.append(threading.get_ident())
        yield audited(event)

    world = World(one, two)
    world.run(lambda: world.stepper.run(flight()))
    assert len(threads) == 2
    assert len({*threads, threading.get_ident()}) == 2
    assert world.topics == [MIDDLE.name, SINK.name]


def test_when_a_step_streams_then_it_runs_in_the_loop_between_the_others() -> None:
    async def one(event: FeedbackGiven) -> AsyncIterator[FeedbackGiven]:
        assert asyncio.get_running_loop()
        yield copied(event)
        yield copied(event)

    world = World(one)
    world.run(lambda: world.stepper.run(flight()))
    assert world.topics == [MIDDLE.name, MIDDLE.name, SINK.name, SINK.name]
    assert len({out.event.event_id for out in world.sent if out.event}) == 4


def test_when_a_step_fails_once_then_it_is_tried_again_and_those_before_it_are_not() -> None:
    tries = list[str]()

    def one(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
        tries.append("one")
        yield copied(event)

    def two(event: FeedbackGiven) -> Iterator[AuditRecorded]:
        tries.append("two")
        if tries.count("two") == 1:
            raise ValueError("odd")
        yield audited(event)

    world = World(one, two)
    world.run(lambda: world.stepper.run(flight()))
    assert tries == ["one", "two", "two"]
    assert world.topics == [MIDDLE.name, SINK.name]


@pytest.mark.parametrize("error", [ValueError("odd"), SystemExit("odd")])
def test_when_a_step_always_fails_then_its_record_is_a_dead_letter_and_the_next_goes_on(error: BaseException) -> None:
    tries = list[int]()

    def two(event: FeedbackGiven) -> Iterator[AuditRecorded]:
        tries.append(1)
        if len(tries) <= ATTEMPTS:
            raise error
        yield audited(event)

    world = World(two=two)

    async def both() -> None:
        await world.stepper.run(flight("e0"))
        await world.stepper.run(flight("e1"))

    world.run(both)
    assert len(tries) == ATTEMPTS + 1
    assert world.topics == [MIDDLE.name, MIDDLE.dead_letters, MIDDLE.name, SINK.name]


@pytest.mark.parametrize("error", [Stop("the index is away"), DeliveryError("no broker")])
def test_when_a_dependency_is_away_then_the_hop_hears_of_it_at_once(error: Exception) -> None:
    def two(event: FeedbackGiven) -> Iterator[AuditRecorded]:
        if event:
            raise error
        yield audited(event)

    world = World(two=two)
    with pytest.raises(type(error), match=str(error)):
        world.run(lambda: world.stepper.run(flight()))


def test_when_nobody_waits_any_more_then_what_the_running_step_emits_is_not_written() -> None:
    running, go_on, ended, gone = (threading.Event() for _ in range(4))

    def two(event: FeedbackGiven) -> Iterator[AuditRecorded]:
        running.set()
        go_on.wait(WAIT_S)
        yield audited(event)
        ended.set()

    world = World(first, two, lambda _: SAID if gone.is_set() else None)

    async def left() -> None:
        under_way = flight()
        task = asyncio.ensure_future(world.stepper.run(under_way))
        await asyncio.to_thread(running.wait, WAIT_S)
        assert world.stepper.unwanted(under_way) is None
        gone.set()
        under_way.verdict = world.stepper.unwanted(under_way)
        assert under_way.verdict is not None
        # The step ends between the word of the guard and the end of its task: it comes too late all the same.
        go_on.set()
        ended.wait(WAIT_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await world.stepper.answer(under_way)

    world.run(left)
    assert world.topics == [MIDDLE.name, SINK.name]
    assert [out.event.action for out in world.sent if isinstance(out.event, AuditRecorded)] == ["said"]


def test_when_the_step_has_said_it_first_then_its_guard_says_nothing() -> None:
    gone = threading.Event()
    world, under_way = World(first, second, lambda _: SAID if gone.is_set() else None), flight()

    async def late() -> None:
        await world.stepper.run(under_way)
        under_way.at = world.at
        gone.set()
        assert world.stepper.unwanted(under_way) is None
        under_way.written.clear()
        assert world.stepper.unwanted(under_way) is not None

    world.watched = under_way
    world.run(late)


def test_when_many_records_end_at_once_then_each_is_heard_of() -> None:
    world = World()

    async def many() -> None:
        await asyncio.gather(*(world.stepper.run(flight(f"e{number}")) for number in range(500)))

    world.run(many)
    assert world.topics.count(SINK.name) == 500
