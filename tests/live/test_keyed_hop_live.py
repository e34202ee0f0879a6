"""KeyedHop against a real broker: order per key, many keys at once, commits that never pass unfinished work."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest

from adapters.errors import GeneratorUnavailableError
from adapters.host import SystemClock
from headwater.local.broker import KafkaBroker
from schemas.envelope import Event
from schemas.measures import AuditRecorded, FeedbackGiven
from streams import metrics
from streams.errors import StreamsError
from streams.hop import Hop
from streams.keyed import KeyedHop
from tests.streams.bench_hops import Bench, audit, copy, feedback, running, settings_for

pytestmark = pytest.mark.live


def test_when_events_come_then_order_per_key_holds(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap, partitions=2)
    bench.put(*(feedback(n, key=f"k{n % 7}") for n in range(500)))
    hops = [Hop((bench.source,), copy, (bench.middle,), mode="keyed"), Hop((bench.middle,), audit, (bench.sink,))]
    with running(bench.hop(KeyedHop, hops)):
        found = bench.comments(bench.sink, 500)
        assert len(bench.read(bench.middle.name, 500)) == 500
    for key in range(7):
        mine = [int(comment) for comment in found if int(comment) % 7 == key]
        assert mine == sorted(mine)
    assert len(found) == 500


def test_when_one_key_hangs_then_the_others_finish_and_it_comes_again_after_a_restart(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap)
    hang = True

    async def some(event: FeedbackGiven) -> AsyncIterator[FeedbackGiven]:
        if event.comment == "3" and hang:
            await asyncio.sleep(60)
        yield event

    hops = [Hop((bench.source,), some, (bench.middle,), mode="keyed")]
    bench.put(*(feedback(n, key=f"k{n}") for n in range(20)))
    with running(bench.hop(KeyedHop, hops, settings_for(kafka.bootstrap, drain_s=0.5))):
        assert Counter(bench.comments(bench.middle, 19)) == Counter(str(n) for n in range(20) if n != 3)
    # The one in between commits too, and must hand on what it was told of records that it never comes to read.
    near = settings_for(kafka.bootstrap, drain_s=0.5, max_gap=5)
    with running(bench.hop(KeyedHop, hops, near, most_records=5)):
        time.sleep(2.5)
    hang = False
    with running(bench.hop(KeyedHop, hops)):
        found = Counter(bench.comments(bench.middle, 20))
    # What was finished beyond the stuck record stands in the commit's metadata: nobody pays for it twice.
    assert found == Counter(str(n) for n in range(20))


def test_when_all_is_done_then_a_restart_does_nothing_again(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap)
    hops = [Hop((bench.source,), copy, (bench.middle,), mode="keyed")]
    bench.put(*(feedback(n, key=f"k{n}") for n in range(30)))
    with running(bench.hop(KeyedHop, hops)):
        bench.read(bench.middle.name, 30)
    with running(bench.hop(KeyedHop, hops)):
        time.sleep(1.0)
    assert len(bench.read(bench.middle.name, 30)) == 30


def test_when_a_step_fails_for_good_then_the_asker_is_told_and_the_record_is_a_dead_letter(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap)

    def broken(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
        if event.answer_id:
            raise ValueError("no idea")
        yield event

    def told(event: Event, reason: str) -> Iterator[Event]:
        yield feedback(99)

    bench.put(feedback(1))
    with running(bench.hop(KeyedHop, [Hop((bench.source,), broken, (bench.middle,), mode="keyed", rejected=told)])):
        assert bench.comments(bench.middle, 1) == ["99"]
        (letter,) = bench.read(bench.source.dead_letters, 1)
    assert dict(letter.headers())["dlq.attempt"] == b"2"


def test_when_a_dependency_is_away_then_the_question_waits_and_is_answered_later(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap)
    back = threading.Event()

    def needy(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
        if not back.is_set():
            raise GeneratorUnavailableError("down")
        yield event

    bench.put(feedback(1), feedback(2, key="other"))
    with running(bench.hop(KeyedHop, [Hop((bench.source,), needy, (bench.middle,), mode="keyed")])):
        time.sleep(1.5)
        back.set()
        assert sorted(bench.comments(bench.middle, 2)) == ["1", "2"]
    assert bench.read(bench.source.dead_letters, 0) == []


def test_when_a_dependency_stays_away_then_the_asker_is_told_before_the_deadline(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap)
    clock = SystemClock()

    def needy(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
        if event.comment == "1":
            raise GeneratorUnavailableError("down")
        yield event

    def told(event: Event, reason: str) -> Iterator[FeedbackGiven]:
        yield feedback(99 if reason == "down" and clock.now() < deadline else 0)

    deadline = clock.now() + 6_000_000
    value = bench.codec.encode(bench.source.subject, bench.source.events, feedback(1))
    bench.put_bytes(value, headers=(("deadline", str(deadline).encode()),))
    with running(bench.hop(KeyedHop, [Hop((bench.source,), needy, (bench.middle,), mode="keyed", rejected=told)])):
        assert bench.comments(bench.middle, 1) == ["99"]
    assert bench.read(bench.source.dead_letters, 0) == []


def test_when_a_guard_answers_then_the_step_is_not_run(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap)

    def never(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
        if event.answer_id:
            raise AssertionError("must not run")
        yield event

    def guard(event: FeedbackGiven) -> Event | None:
        return feedback(7)

    bench.put(feedback(1))
    with running(bench.hop(KeyedHop, [Hop((bench.source,), never, (bench.middle,), mode="keyed", guard=guard)])):
        assert bench.comments(bench.middle, 1) == ["7"]


def test_when_a_guard_answers_while_the_step_runs_then_the_step_is_stopped_and_one_answer_comes(
    kafka: KafkaBroker,
) -> None:
    bench = Bench(kafka.bootstrap)
    unwanted, closed = threading.Event(), threading.Event()

    async def endless(event: FeedbackGiven) -> AsyncIterator[AuditRecorded]:
        try:
            while True:
                yield AuditRecorded(tenant="acme", actor="a", action="say", target=event.comment, outcome="ok")
                await asyncio.sleep(0.05)
        finally:
            closed.set()

    def guard(event: FeedbackGiven) -> Event | None:
        return feedback(7) if unwanted.is_set() else None

    bench.put(feedback(1))
    hop = Hop((bench.source,), endless, (bench.sink, bench.middle), mode="keyed", guard=guard)
    with running(bench.hop(KeyedHop, [hop])):
        assert len(bench.read(bench.sink.name, 3)) >= 3
        unwanted.set()
        assert closed.wait(2)
        assert bench.comments(bench.middle, 1) == ["7"]
    with running(bench.hop(KeyedHop, [hop])):
        time.sleep(1.0)
    assert bench.comments(bench.middle, 1) == ["7"]


def test_when_a_deadline_passes_behind_a_slow_key_then_the_answer_does_not_wait_for_its_turn(
    kafka: KafkaBroker,
) -> None:
    bench = Bench(kafka.bootstrap)
    clock, slow = SystemClock(), threading.Event()

    async def step(event: FeedbackGiven) -> AsyncIterator[FeedbackGiven]:
        while event.comment == "1" and not slow.is_set():
            await asyncio.sleep(0.05)
        yield event

    def guard(event: FeedbackGiven) -> Event | None:
        return feedback(99) if event.comment == "2" and clock.now() > soon else None

    soon = clock.now() + 1_500_000
    bench.put(feedback(1))
    value = bench.codec.encode(bench.source.subject, bench.source.events, feedback(2))
    bench.put_bytes(value, headers=(("deadline", str(soon).encode()),))
    with running(bench.hop(KeyedHop, [Hop((bench.source,), step, (bench.middle,), mode="keyed", guard=guard)])):
        assert bench.comments(bench.middle, 1) == ["99"]
        slow.set()
        assert bench.comments(bench.middle, 2) == ["99", "1"]


def test_when_it_is_told_to_stop_then_what_started_ends_and_the_rest_is_left_to_the_next(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap)

    async def slow(event: FeedbackGiven) -> AsyncIterator[FeedbackGiven]:
        await asyncio.sleep(0.5)
        yield event

    bench.put(*(feedback(n, key=f"k{n}") for n in range(200)))
    hops = [Hop((bench.source,), slow, (bench.middle,), mode="keyed")]
    with running(bench.hop(KeyedHop, hops, settings_for(kafka.bootstrap, in_flight_keys=10, drain_s=20.0))):
        bench.read(bench.middle.name, 10)
        began = time.monotonic()
    # All of them would take ten seconds; the ten that had started take half a second.
    assert time.monotonic() - began < 2.5
    before = len(bench.read(bench.middle.name, 0))
    assert 10 <= before < 200
    with running(bench.hop(KeyedHop, hops)):
        assert Counter(bench.comments(bench.middle, 200)) == Counter(str(n) for n in range(200))


def test_when_a_dependency_is_away_for_good_then_the_time_counts_once_however_many_wait(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap)

    def needy(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
        if event.answer_id:
            raise GeneratorUnavailableError("down")
        yield event

    bench.put(*(feedback(n, key=f"k{n}") for n in range(20)))
    hop = bench.hop(KeyedHop, [Hop((bench.source,), needy, (bench.middle,), mode="keyed")])
    with running(hop):
        began = time.monotonic()
        time.sleep(2.5)
    paused = metrics.PAUSED_SECONDS.labels(hop.name)._value.get()
    assert 1.0 < paused <= time.monotonic() - began + 1.0


def test_when_every_thread_hangs_in_a_step_that_nobody_waits_for_then_the_worker_ends_to_be_started_again(
    kafka: KafkaBroker,
) -> None:
    bench = Bench(kafka.bootstrap)
    began, ended = threading.Semaphore(0), threading.Event()

    def hangs(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
        began.release()
        ended.wait(30)
        yield event

    def guard(event: FeedbackGiven) -> Event | None:
        return feedback(99) if began._value >= 4 else None

    bench.put(*(feedback(n, key=f"k{n}") for n in range(4)))
    hop = bench.hop(
        KeyedHop,
        [Hop((bench.source,), hangs, (bench.middle,), mode="keyed", guard=guard)],
        settings_for(kafka.bootstrap, stall_s=1.0),
    )
    with pytest.raises(StreamsError, match="all threads"), running(hop):
        assert bench.comments(bench.middle, 4) == ["99"] * 4
        time.sleep(2.0)
    ended.set()
