"""Retry topics against a real broker: order per key through failures and rebalances; nothing lost or doubled."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest

from headwater.local.broker import KafkaBroker
from schemas.envelope import Event
from schemas.measures import AuditRecorded, FeedbackGiven
from streams.batches import BatchHop
from streams.deferred import NOT_BEFORE
from streams.ensure import ensure
from streams.hop import Hop
from streams.outstanding import UnevenTopicsError
from streams.retries import Outputs, RetryLater
from streams.transactions import AbortedError, TransactionalProducer
from tests.streams.bench_hops import Bench, copy, feedback, running, settings_for

pytestmark = pytest.mark.live

LATER = RetryLater((0.3, 1.0))
ROUNDS = len(LATER.delays_s) + 1


class Flaky:
    """A step whose records fail as often as it is told; it notes who was tried when."""

    def __init__(self, fails: dict[int, int], every_s: float = 0.0) -> None:
        self.left = dict(fails)
        self.every_s = every_s
        self.alone: dict[int, list[float]] = defaultdict(list)

    def hop(self, bench: Bench, later: RetryLater = LATER) -> Hop:
        def flaky(events: Sequence[FeedbackGiven]) -> list[Outputs]:
            time.sleep(self.every_s)
            if len(events) == 1:
                self.alone[int(events[0].comment)].append(time.monotonic())
            for event in events:
                if self.left.get(int(event.comment), 0) > 0:
                    if len(events) == 1:
                        self.left[int(event.comment)] -= 1
                    raise ValueError(f"not yet: {event.comment}")
            return [
                [FeedbackGiven(tenant="acme", answer_id=e.answer_id, rating="up", comment=e.comment)] for e in events
            ]

        return Hop((bench.source,), flaky, (bench.middle,), retries=later)


def bench_of(kafka: KafkaBroker, partitions: int, hop: Any) -> tuple[Bench, Hop]:
    bench = Bench(kafka.bootstrap, partitions=partitions)
    made: Hop = hop(bench)
    make_retry_topics(bench, [made])
    return bench, made


def make_retry_topics(bench: Bench, hops: list[Hop]) -> None:
    settings = settings_for(bench.bootstrap)
    wide = settings.kafka.model_copy(update={"partitions": bench.partitions})
    ensure(settings.model_copy(update={"kafka": wide}), topics=[bench.source], hops=hops)


def said(bench: Bench, count: int) -> list[str]:
    """What was delivered, in the order of each partition; it may take a while."""
    found = bench.read(bench.middle.name, count, 60.0)
    return [comment(bench, message) for message in found]


def comment(bench: Bench, message: Any) -> str:
    event = bench.codec.decode(message.value(), (FeedbackGiven,))
    assert isinstance(event, FeedbackGiven)
    return event.comment


def in_order(says: Iterable[str], keys: int) -> bool:
    by_key: dict[int, list[int]] = defaultdict(list)
    for number in map(int, says):
        by_key[number % keys].append(number)
    return all(numbers == sorted(numbers) for numbers in by_key.values())


def test_when_records_fail_then_their_keys_wait_in_order_and_others_go_on(kafka: KafkaBroker) -> None:
    # Attempts in the process are two: what fails twice fails once more after a delay, and so on.
    flaky = Flaky({4: 2, 7: 5, 11: 99})
    bench, hop = bench_of(kafka, 1, flaky.hop)
    bench.put(*(feedback(n, key=f"k{n % 6}") for n in range(60)))
    with running(bench.hop(BatchHop, [hop])):
        found = bench.comments(bench.middle, 59)
        letters = bench.read(bench.source.dead_letters, 1)
    assert sorted(map(int, found)) == [n for n in range(60) if n != 11]
    assert in_order(found, 6)
    assert found.index("57") < found.index("4"), "other keys go on while one waits"
    (letter,) = letters
    headers = dict(letter.headers())
    assert headers["dlq.source.topic"].decode() == bench.source.name
    assert headers["dlq.attempt"] == str(2 * ROUNDS).encode()
    assert not [name for name in headers if name.startswith("retry.")]
    gaps = [later - sooner for sooner, later in zip(flaky.alone[11][1::2], flaky.alone[11][2::2], strict=False)]
    assert len(gaps) == 2 and gaps[0] >= 0.28 and gaps[1] >= 0.98


def test_when_a_record_waits_then_it_lies_in_its_partition_with_its_bytes(kafka: KafkaBroker) -> None:
    bench, hop = bench_of(kafka, 3, Flaky({0: 99}).hop)
    bench.put(feedback(0, key="k"))
    (original,) = bench.read(bench.source.name, 1)
    first, second = LATER.topics(bench.source.name)
    with running(bench.hop(BatchHop, [hop])):
        waiting = [*bench.read(first, 1), *bench.read(second, 1)]
    for number, message in enumerate(waiting, 1):
        assert (message.partition(), message.key(), message.value()) == (
            original.partition(), original.key(), original.value(),
        )  # fmt: skip
        headers = dict(message.headers())
        assert headers["retry.attempt"] == str(number).encode()
        assert (headers["retry.source.topic"], headers["retry.source.offset"]) == (bench.source.name.encode(), b"0")
        assert int(headers[NOT_BEFORE]) > message.timestamp()[1] * 1_000


def test_when_workers_come_and_go_then_order_per_key_holds_and_nothing_is_lost_or_doubled(kafka: KafkaBroker) -> None:
    total, keys = 800, 40
    fails = {n: (n // 17) % 7 for n in range(0, total, 17)}
    bench, hop = bench_of(kafka, 4, Flaky(fails, every_s=0.01).hop)
    bench.put(*(feedback(n, key=f"k{n % keys}") for n in range(total)))

    def worker(slot: str) -> BatchHop:
        made: BatchHop = bench.hop(BatchHop, [hop], settings_for(kafka.bootstrap, slot=slot), most_records=40)
        return made

    with running(worker("a")):
        time.sleep(1.0)
        for slot in ("b", "c"):
            with running(worker(slot)):
                time.sleep(1.5)
        dead = sum(count >= 2 * ROUNDS for count in fails.values())
        found = said(bench, total - dead)
        letters = bench.read(bench.source.dead_letters, dead)
    given_up = [comment(bench, letter) for letter in letters]
    assert sorted([*found, *given_up], key=int) == [str(n) for n in range(total)]
    assert in_order(found, keys)


def test_when_commits_are_aborted_or_their_answers_lost_then_order_per_key_holds(kafka: KafkaBroker) -> None:
    class Unlucky(TransactionalProducer):
        """Fails every third commit: before it, or after it without anybody knowing."""

        turns = 0

        def commit(self, *given: Any) -> Sequence[Any]:
            Unlucky.turns += 1
            if Unlucky.turns % 6 == 2:
                raise AbortedError("before the commit")
            done = super().commit(*given)
            if Unlucky.turns % 6 == 5:
                raise AbortedError("the answer was lost")
            return done

    total, keys = 400, 10
    bench, hop = bench_of(kafka, 1, Flaky({n: (n // 9) % 5 for n in range(0, total, 9)}).hop)
    bench.put(*(feedback(n, key=f"k{n % keys}") for n in range(total)))
    runner = bench.hop(BatchHop, [hop], most_records=25)
    runner._producer.__class__ = Unlucky
    with running(runner):
        found = said(bench, total)
    assert sorted(map(int, found)) == list(range(total)) and in_order(found, keys)
    assert Unlucky.turns > 20


def test_when_a_worker_stops_with_records_waiting_then_the_next_knows_their_keys(kafka: KafkaBroker) -> None:
    later = RetryLater((4.0,))
    bench, hop = bench_of(kafka, 1, lambda bench: Flaky({0: 2}).hop(bench, later))
    (first,) = later.topics(bench.source.name)
    bench.put(feedback(0, key="a"), feedback(1, key="b"))
    with running(bench.hop(BatchHop, [hop])):
        assert len(bench.read(first, 1)) == 1
    bench.put(feedback(2, key="a"), feedback(3, key="b"))
    with running(bench.hop(BatchHop, [hop])):
        assert bench.comments(bench.middle, 4) == ["1", "3", "0", "2"]
    assert len(bench.read(first, 2)) == 2


def test_when_hops_are_fused_then_a_later_step_that_fails_takes_the_whole_record_with_it(kafka: KafkaBroker) -> None:
    left = {"0": 2}

    def audited(event: FeedbackGiven) -> Iterator[Event]:
        if left.get(event.comment, 0) > 0:
            left[event.comment] -= 1
            raise ValueError("not yet")
        yield AuditRecorded(tenant="acme", actor=event.answer_id, action="a", target=event.comment, outcome="ok")

    bench = Bench(kafka.bootstrap)
    hops = [Hop((bench.source,), copy, (bench.middle,), retries=LATER), Hop((bench.middle,), audited, (bench.sink,))]
    make_retry_topics(bench, hops)
    bench.put(feedback(0, key="a"), feedback(1, key="b"), feedback(2, key="a"))
    with running(bench.hop(BatchHop, hops)):
        assert bench.comments(bench.sink, 3) == ["1", "0", "2"]
        assert bench.comments(bench.middle, 3) == ["1", "0", "2"]


def test_when_the_group_speaks_the_classic_protocol_then_topic_and_retry_topics_come_together(
    kafka: KafkaBroker,
) -> None:
    bench, hop = bench_of(kafka, 4, Flaky({n: 1 + n % 3 for n in range(0, 120, 7)}).hop)
    bench.put(*(feedback(n, key=f"k{n % 12}") for n in range(120)))

    def worker(slot: str) -> BatchHop:
        made = settings_for(kafka.bootstrap, slot=slot)
        classic = made.kafka.model_copy(update={"group_protocol": "classic"})
        runner: BatchHop = bench.hop(BatchHop, [hop], made.model_copy(update={"kafka": classic}), most_records=10)
        return runner

    with running(worker("a")), running(worker("b")):
        found = said(bench, 120)
    assert sorted(map(int, found)) == list(range(120)) and in_order(found, 12)


def test_when_a_retry_topic_has_other_partitions_than_its_topic_then_the_hop_says_so(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap, partitions=2)
    hop = Flaky({}).hop(bench)
    ensure(settings_for(kafka.bootstrap), topics=[bench.source], hops=[hop])
    with pytest.raises(UnevenTopicsError, match="wanted 2 partitions"):
        bench.hop(BatchHop, [hop]).run(threading.Event())
