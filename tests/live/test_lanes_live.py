"""Lanes of a KeyedHop against a real broker: people first, bulk never stuck, each lane bounded by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from headwater.local.broker import KafkaBroker
from schemas.measures import FeedbackGiven
from streams.hop import Hop
from streams.keyed import KeyedHop
from tests.streams.bench_hops import DEADLINE_S, Bench, by_answer, eventually, feedback, running, settings_for
from topics.topic import Topic

pytestmark = pytest.mark.live

STEP_S = 0.05
BACKLOG = 500


@dataclass
class TwoLanes:
    """A hop that reads both lanes; its step takes `STEP_S` and notes when each was done."""

    bench: Bench
    done: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        name = self.bench.source.name.replace(".v1", ".bulk.v1")
        self.bulk = Topic[FeedbackGiven](name, (FeedbackGiven,), by_answer, lane="bulk")
        admin = AdminClient({"bootstrap.servers": self.bench.bootstrap})
        for future in admin.create_topics([NewTopic(name, self.bench.partitions, 1)]).values():
            future.result(DEADLINE_S)

    def hops(self, takes_s: float = STEP_S) -> list[Hop]:
        def slow(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
            time.sleep(takes_s)
            self.done[event.comment] = time.monotonic()
            yield event

        return [Hop((self.bench.source, self.bulk), slow, (self.bench.middle,), mode="keyed")]

    def put_bulk(self, count: int) -> None:
        source, self.bench.source = self.bench.source, self.bulk
        self.bench.put(*(feedback(n, key=f"b{n}") for n in range(count)))
        self.bench.source = source

    def ask(self, number: int) -> float:
        """Puts an interactive one and says how long it took from when the broker had it."""
        self.bench.put(feedback(number, key=f"i{number}"))
        began = time.monotonic()
        eventually(lambda: str(number) in self.done)
        return self.done[str(number)] - began

    def bulk_done(self) -> int:
        return sum(1 for comment in self.done.copy() if int(comment) < BACKLOG)


def test_when_a_backlog_of_bulk_lies_before_it_then_an_interactive_one_waits_a_few_steps_and_bulk_goes_on(
    kafka: KafkaBroker,
) -> None:
    lanes = TwoLanes(Bench(kafka.bootstrap, partitions=2))
    lanes.put_bulk(BACKLOG)
    settings = settings_for(kafka.bootstrap, in_flight_records=100, drain_s=1.0)
    with running(lanes.bench.hop(KeyedHop, lanes.hops(), settings)):
        eventually(lambda: lanes.bulk_done() >= 10)
        waits, before = [], lanes.bulk_done()
        for number in range(10):
            waits.append(lanes.ask(1_000 + number))
        advanced = lanes.bulk_done() - before
    # Alone it takes one step; four threads share the work, so behind the backlog it would wait for 125.
    print(f"interactive behind {BACKLOG} bulk: {sorted(round(wait / STEP_S, 1) for wait in waits)} steps")
    assert sorted(waits)[len(waits) // 2] < 4 * STEP_S
    assert max(waits) < 10 * STEP_S
    assert advanced > 0


def test_when_interactive_ones_never_cease_then_bulk_still_gets_its_share(kafka: KafkaBroker) -> None:
    lanes = TwoLanes(Bench(kafka.bootstrap))
    lanes.put_bulk(30)
    lanes.bench.put(*(feedback(n, key=f"i{n}") for n in range(1_000, 1_400)))
    with running(lanes.bench.hop(KeyedHop, lanes.hops(0.01), settings_for(kafka.bootstrap, drain_s=1.0))):
        eventually(lambda: len(lanes.done) >= 200)
        done = list(lanes.done)
    share = sum(1 for comment in done[50:200] if int(comment) < BACKLOG)
    # One of nine by weight.
    assert 8 <= share <= 30


def test_when_bulk_is_full_then_it_is_held_at_its_bound_and_the_other_lane_is_read(kafka: KafkaBroker) -> None:
    lanes = TwoLanes(Bench(kafka.bootstrap))
    lanes.put_bulk(BACKLOG)
    most = 0
    stuck = threading.Event()

    def waits(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
        if int(event.comment) < BACKLOG:
            stuck.wait(10)
        lanes.done[event.comment] = time.monotonic()
        yield event

    hops = [Hop((lanes.bench.source, lanes.bulk), waits, (lanes.bench.middle,), mode="keyed")]
    settings = settings_for(kafka.bootstrap, in_flight_records=40, in_flight_keys=128, drain_s=1.0)
    hop = lanes.bench.hop(KeyedHop, hops, settings, most_records=20)
    with running(hop):
        eventually(lambda: held(hop, "bulk") >= 40)
        for _ in range(20):
            most = max(most, held(hop, "bulk"))
            time.sleep(0.02)
        lanes.bench.put(*(feedback(1_000 + n, key=f"i{n}") for n in range(3)))
        eventually(lambda: held(hop, "") == 3)
        stuck.set()
        eventually(lambda: len(lanes.done) == BACKLOG + 3)
    # The mark, and what one more read may bring.
    assert most <= 40 + 20


def held(hop: KeyedHop, lane: str) -> int:
    count: Callable[[], dict[str, int]] = hop._backlog.records
    return count().get(lane, 0)
