"""The lookout on a real cluster: what it asks, and how often, of partitions that have not given a record yet."""

from __future__ import annotations

import time
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from adapters.host import SystemClock
from headwater.local.broker import KafkaBroker
from streams.clients import client_config, consumer_config
from streams.lookout import Lookout
from streams.records import Partition
from streams.settings import load
from tests.streams.bench_hops import Bench, eventually, feedback

pytestmark = pytest.mark.live

PARTITIONS = 12


class Counted:
    """A consumer whose questions to brokers are counted, each of which stops the poll thread until it is answered."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self.questions = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    def committed(self, *given: Any, **more: Any) -> Any:
        self.questions += 1
        return self._consumer.committed(*given, **more)

    def get_watermark_offsets(self, at: TopicPartition, *, cached: bool = False, **more: Any) -> Any:
        self.questions += not cached
        return self._consumer.get_watermark_offsets(at, cached=cached, **more)


def test_when_most_partitions_wait_their_turn_then_asking_where_they_begin_is_one_question(kafka: KafkaBroker) -> None:
    """Under backlog the records of one partition come first; a question for each of the others held all of it up."""
    bench = Bench(kafka.bootstrap, partitions=PARTITIONS)
    bench.put(*(feedback(n, key=str(n)) for n in range(PARTITIONS * 20)))
    settings = load(kafka={"bootstrap": kafka.bootstrap}).kafka
    places: list[Partition] = [(bench.source.name, number) for number in range(PARTITIONS)]
    consumer = Counted(Consumer(consumer_config(settings, bench.group)))
    consumer.commit(offsets=[TopicPartition(*places[0], 3)], asynchronous=False)
    consumer.assign([TopicPartition(*place) for place in places])
    lookout = Lookout(30.0, SystemClock(), client_config(settings))

    def knows_all() -> bool:
        time.sleep(0.05)
        return lookout.look(consumer, places, ()) == [] and len(lookout.positions) == PARTITIONS

    eventually(knows_all)
    eventually(lambda: knows_all() and all(end > 0 for _, end in lookout.positions.values()))
    eventually(knows_all)
    begins = {place: begin for place, (begin, _) in lookout.positions.items()}
    assert begins == {place: 3 if place == places[0] else 0 for place in places}
    # Ends are learned four at a time, and each time one question serves all that is new: never one a partition.
    assert consumer.questions <= PARTITIONS / 2
    consumer.close()
