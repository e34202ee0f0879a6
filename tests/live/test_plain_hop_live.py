"""BatchHop without transactions: at least once, offsets never before what they stand for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from headwater.local.broker import BrokerSpec, KafkaBroker
from schemas.measures import FeedbackGiven
from streams.batches import BatchHop
from streams.hop import Hop, JourneyError
from tests.streams.bench_hops import Bench, copy, eventually, feedback, running

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]


def committed(bench: Bench) -> int:
    """The offset of the group on the first partition; -1 while the broker can't say."""
    consumer = Consumer({"bootstrap.servers": bench.bootstrap, "group.id": bench.group})
    try:
        return int(consumer.committed([TopicPartition(bench.source.name, 0)], timeout=10)[0].offset)
    except KafkaException:
        return -1
    finally:
        consumer.close()


def plain(bench: Bench, most: int = 2_000) -> BatchHop:
    step = [Hop((bench.source,), copy, (bench.middle,))]
    hop: BatchHop = bench.hop(BatchHop, step, exactly_once=False, most_records=most)
    return hop


def test_when_records_flow_then_each_is_there_in_order_and_the_offsets_follow(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap)
    bench.put(*(feedback(n) for n in range(3_000)))
    with running(plain(bench, 100)):
        assert bench.comments(bench.middle, 3_000) == [str(n) for n in range(3_000)]
        eventually(lambda: committed(bench) == 3_000)
    with running(plain(bench)):
        bench.put(feedback(3_000))
        assert bench.comments(bench.middle, 3_001)[-1] == "3000"
    assert len(bench.read(bench.middle.name, 3_001)) == 3_001


def test_when_a_hop_is_stopped_in_full_flow_then_its_successor_loses_nothing(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap)
    bench.put(*(feedback(n) for n in range(5_000)))
    for _ in range(3):
        with running(plain(bench, 50)):
            time.sleep(0.3)
    with running(plain(bench)):
        eventually(lambda: committed(bench) == 5_000)
    found = [int(comment) for comment in bench.comments(bench.middle, 5_000)]
    assert set(found) == set(range(5_000))


def test_when_the_broker_is_killed_then_nothing_is_lost_and_repeats_keep_the_order(
    tmp_path: Path, cache_folder: Path
) -> None:
    with KafkaBroker(BrokerSpec(tmp_path, cache_folder)) as broker:
        bench = Bench(broker.bootstrap)
        bench.put(*(feedback(n) for n in range(20_000)))
        with running(plain(bench, 50)):
            eventually(lambda: committed(bench) > 0)
            broker.child.kill()
            time.sleep(2.0)
            broker.start()
            eventually(lambda: committed(bench) == 20_000, 60.0)
        found = [int(comment) for comment in bench.comments(bench.middle, 20_000)]
    assert set(found) == set(range(20_000))
    first_seen = list(dict.fromkeys(found))
    assert first_seen == sorted(first_seen)


def test_when_a_hop_without_transactions_wants_what_needs_one_then_it_is_refused() -> None:
    def seen(events: list[FeedbackGiven]) -> None:
        """Wants to know what is committed."""

    def step(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
        yield event

    with pytest.raises(JourneyError, match="exactly_once"):
        Hop((), step, (), exactly_once=False, committed=seen)
