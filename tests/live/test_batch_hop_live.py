"""BatchHop against a real broker: exactly once, through failures, pauses, rebalances and broker restarts."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from adapters.errors import IndexUnavailableError
from adapters.host import SystemClock
from headwater.local.broker import KafkaBroker
from processors.contract import Reject
from schemas.envelope import Event
from schemas.measures import FeedbackGiven
from streams.batches import BatchHop
from streams.hop import Hop
from streams.sweeping import Reach
from streams.transactions import AbortedError, TransactionalProducer
from tests.streams.bench_hops import Bench, audit, copy, eventually, feedback, running, settings_for

pytestmark = pytest.mark.live


def test_when_events_come_then_each_is_copied_once_in_order(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap)
    bench.put(*(feedback(n) for n in range(2_000)))
    with running(bench.hop(BatchHop, [Hop((bench.source,), copy, (bench.middle,))])):
        assert bench.comments(bench.middle, 2_000) == [str(n) for n in range(2_000)]


def test_when_two_steps_are_fused_then_the_topic_between_them_is_written_too(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap)
    bench.put(feedback(1), feedback(2))
    hops = [Hop((bench.source,), copy, (bench.middle,)), Hop((bench.middle,), audit, (bench.sink,))]
    with running(bench.hop(BatchHop, hops)):
        assert bench.comments(bench.sink, 2) == ["1", "2"]
        assert bench.comments(bench.middle, 2) == ["1", "2"]


def test_when_restarted_then_nothing_is_done_again(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap)
    hops = [Hop((bench.source,), copy, (bench.middle,))]
    bench.put(*(feedback(n) for n in range(50)))
    with running(bench.hop(BatchHop, hops)):
        assert len(bench.read(bench.middle.name, 50)) == 50
    bench.put(feedback(50))
    with running(bench.hop(BatchHop, hops)):
        assert bench.comments(bench.middle, 51) == [str(n) for n in range(51)]


def test_when_a_record_is_poison_then_it_alone_is_a_dead_letter_with_its_bytes(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap)

    def picky(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
        if event.comment == "1":
            raise Reject("wanted no ones")
        if event.comment == "2":
            raise ValueError("never heard of twos")
        yield event

    bench.put(feedback(0), feedback(1), feedback(2))
    bench.put_bytes(b"not avro at all", headers=(("traceparent", b"00-x"),))
    bench.put(feedback(3))
    with running(bench.hop(BatchHop, [Hop((bench.source,), picky, (bench.middle,))])):
        assert bench.comments(bench.middle, 2) == ["0", "3"]
        letters = bench.read(bench.source.dead_letters, 3)
    assert len(letters) == 3
    by_reason = {dict(letter.headers())["dlq.reason"].decode(): letter for letter in letters}
    assert "wanted no ones" in by_reason
    assert any("ValueError: never heard of twos" in reason for reason in by_reason)
    undecodable = next(letter for reason, letter in by_reason.items() if "0x6e" in reason)
    assert undecodable.value() == b"not avro at all"
    assert dict(undecodable.headers())["traceparent"] == b"00-x"
    assert dict(undecodable.headers())["dlq.source.offset"] == b"3"


def test_when_a_batch_step_fails_then_the_batch_is_halved_until_the_guilty_record_is_alone(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap)
    sizes: list[int] = []

    def whole(events: Sequence[FeedbackGiven]) -> list[list[Event] | Reject]:
        sizes.append(len(events))
        if any(event.comment == "7" for event in events):
            raise RuntimeError("seven")
        return [[event] for event in events]

    bench.put(*(feedback(n) for n in range(16)))
    with running(bench.hop(BatchHop, [Hop((bench.source,), whole, (bench.middle,))])):
        assert bench.comments(bench.middle, 15) == [str(n) for n in range(16) if n != 7]
        assert len(bench.read(bench.source.dead_letters, 1)) == 1
    assert sizes[0] > 1 and sizes.count(1) >= 2


def test_when_a_dependency_is_away_then_it_pauses_and_loses_nothing(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap)
    back = threading.Event()

    def needy(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
        if not back.is_set():
            raise IndexUnavailableError("down")
        yield event

    bench.put(*(feedback(n) for n in range(10)))
    with running(bench.hop(BatchHop, [Hop((bench.source,), needy, (bench.middle,))])):
        time.sleep(2.5)
        bench.put(*(feedback(n) for n in range(10, 20)))
        back.set()
        assert bench.comments(bench.middle, 20) == [str(n) for n in range(20)]
    assert bench.read(bench.source.dead_letters, 0) == []


def test_when_a_step_is_slower_than_the_poll_interval_then_nobody_is_evicted(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap)
    calls: list[str] = []

    def slow(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
        calls.append(event.comment)
        if event.comment == "0":
            time.sleep(8.0)
        yield event

    settings = settings_for(kafka.bootstrap)
    kafka_settings = settings.kafka.model_copy(update={"max_poll_interval_ms": 6_000})
    bench.put(*(feedback(n) for n in range(3)))
    hop = bench.hop(
        BatchHop, [Hop((bench.source,), slow, (bench.middle,))], settings.model_copy(update={"kafka": kafka_settings})
    )
    with running(hop):
        assert bench.comments(bench.middle, 3) == ["0", "1", "2"]
    assert calls.count("0") == 1


def test_when_workers_join_and_leave_mid_batch_then_nothing_is_lost_or_doubled(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap, partitions=4)

    def slow(events: Sequence[FeedbackGiven]) -> list[list[Event] | Reject]:
        time.sleep(0.3)
        return [[event] for event in events]

    hops = [Hop((bench.source,), slow, (bench.middle,))]
    total = 3_000
    bench.put(*(feedback(n, key=f"k{n % 50}") for n in range(total)))
    with running(bench.hop(BatchHop, hops, settings_for(kafka.bootstrap, slot="a"), most_records=100)):
        time.sleep(1.0)
        for slot in ("b", "c"):
            with running(bench.hop(BatchHop, hops, settings_for(kafka.bootstrap, slot=slot), most_records=100)):
                time.sleep(1.5)
        found = bench.comments(bench.middle, total)
    assert Counter(found) == Counter(str(n) for n in range(total))
    for key in range(50):
        mine = [int(comment) for comment in found if int(comment) % 50 == key]
        assert mine == sorted(mine)


def test_when_a_commit_happened_but_its_answer_was_lost_then_the_batch_is_not_done_twice(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap)

    class AnswerLost(TransactionalProducer):
        """Commits, then forgets that it did: what a connection does that dies between the two."""

        lost = 0

        def commit(self, *given: Any) -> Sequence[TopicPartition]:
            done = super().commit(*given)
            if self.lost < 3:
                self.lost += 1
                raise AbortedError("the answer was lost")
            return done

    hop = bench.hop(BatchHop, [Hop((bench.source,), copy, (bench.middle,))], most_records=10)
    reach = Reach(bench.group, bench.source.name, (bench.middle.name,))
    hop._producer = AnswerLost(settings_for(kafka.bootstrap).kafka, bench.group, reach, SystemClock())
    bench.put(*(feedback(n) for n in range(100)))
    with running(hop):
        assert bench.comments(bench.middle, 100) == [str(n) for n in range(100)]
    assert hop._producer.lost == 3


def test_when_a_zombie_of_the_same_slot_lives_then_its_commit_is_fenced(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap)
    holding, go = threading.Event(), threading.Event()

    def held(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
        holding.set()
        go.wait(20.0)
        yield event

    bench.put(feedback(0))
    first = bench.hop(BatchHop, [Hop((bench.source,), held, (bench.middle,))])
    with running(first):
        assert holding.wait(20.0)
        second = bench.hop(BatchHop, [Hop((bench.source,), copy, (bench.middle,))])
        with running(second):
            eventually(second.ready.is_set)
            go.set()
            bench.put(feedback(1))
            assert sorted(bench.comments(bench.middle, 2)) == ["0", "1"]
    assert len(bench.read(bench.middle.name, 2)) == 2


def test_when_a_step_may_run_ahead_then_the_next_batch_is_handled_while_this_one_is_committed(
    kafka: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where the commit comes to nothing, what was handled ahead is done again as well: all of it once, in order."""
    bench = Bench(kafka.bootstrap)
    handled, met = list[list[str]](), list[bool]()
    commit = TransactionalProducer.commit

    def whole(events: Sequence[FeedbackGiven]) -> list[list[Event] | Reject]:
        handled.append([event.comment for event in events])
        return [[event] for event in events]

    def slow_commit(self: TransactionalProducer, *given: Any) -> Sequence[TopicPartition]:
        # Not in the first: until a partition's first commit it has to be said what is in hand of it.
        until = time.monotonic() + 5.0
        while len(met) == 1 and len(handled) < 3 and time.monotonic() < until:
            time.sleep(0.01)
        met.append(len(handled) >= 3)
        if len(met) == 2:
            raise AbortedError("by this test")
        return commit(self, *given)

    monkeypatch.setattr(TransactionalProducer, "commit", slow_commit)
    bench.put(*(feedback(n) for n in range(40)))
    with running(bench.hop(BatchHop, [Hop((bench.source,), whole, (bench.middle,), ahead=True)], most_records=10)):
        assert bench.comments(bench.middle, 40) == [str(n) for n in range(40)]
    assert met[1]
    assert [handled.count([str(n) for n in range(at, at + 10)]) for at in (0, 10, 20, 30)] == [1, 2, 2, 1]
