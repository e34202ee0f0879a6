"""KeyedHop against a real broker: order per key, many keys at once, commits that never pass unfinished work."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest

from adapters.errors import GeneratorUnavailableError
from headwater.local.broker import KafkaBroker
from schemas.envelope import Event
from schemas.measures import FeedbackGiven
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
