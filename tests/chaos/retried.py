"""Retry topics in a run: made, waited for, read again from the beginning, filled with what is old."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from typing import Final

from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas.envelope import Micros
from streams.clients import client_config, producer_config
from streams.deferred import Deferred
from streams.records import Record
from streams.retries import RetryLater
from streams.settings import load
from tests.chaos.copying import CopyRun
from tests.chaos.rows import by_partition, consumer_of, drained, ends, read_topic, unread, usable

LATER: Final = (0.1, 0.3)
WITHIN_S: Final = 240.0
LOOK_S: Final = 0.3


def retry_topics(run: CopyRun) -> tuple[str, ...]:
    return RetryLater(LATER).topics(run.topic)


def settled(run: CopyRun, within_s: float = WITHIN_S) -> bool:
    """Waits until the group has committed all of its topic and of its retry topics; whether it did in time."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if drained(run.plan.bootstrap, run.group, run.topic) and all(_read(run, name) for name in retry_topics(run)):
            return True
        time.sleep(LOOK_S)
    return False


def _read(run: CopyRun, topic: str) -> bool:
    """Whether the last record of each partition is committed; what is behind it are the marks of transactions."""
    bootstrap = run.plan.bootstrap
    last = {place: rows[-1].offset for place, rows in by_partition(read_topic(bootstrap, topic)).items()}
    with consumer_of(bootstrap, **{"group.id": run.group}) as asking:
        found = asking.committed([TopicPartition(*place) for place in last], timeout=10.0) if last else []
    return all(one.offset > last[one.topic, one.partition] for one in found)


def reset(run: CopyRun) -> None:
    """Sets the offsets of a group that has no member to 0, on its topic and its retry topics."""
    bootstrap = run.plan.bootstrap
    names = (run.topic, *retry_topics(run))
    places = [TopicPartition(name, partition, 0) for name in names for partition in ends(bootstrap, name)]
    admin = AdminClient(client_config(load(kafka={"bootstrap": bootstrap}).kafka))
    wanted = [ConsumerGroupTopicPartitions(run.group, places)]
    for future in admin.alter_consumer_group_offsets(wanted).values():
        future.result(30.0)


def originals(run: CopyRun) -> list[Record]:
    """The records of the source, with their bytes."""
    bootstrap, found = run.plan.bootstrap, list[Record]()
    wanted = ends(bootstrap, run.topic)
    with consumer_of(bootstrap) as consumer:
        consumer.assign([TopicPartition(run.topic, partition, 0) for partition in wanted])
        until = time.monotonic() + WITHIN_S
        while unread(consumer, run.topic, wanted) and time.monotonic() < until:
            for message in filter(usable, consumer.consume(500, 0.2)):
                headers = tuple(message.headers() or ())
                place = (message.topic(), message.partition(), message.offset())
                found.append(Record(*place, message.key(), message.value(), headers))
    return found


def strew(run: CopyRun, records: Iterable[Record], chance: random.Random) -> int:
    """Writes records into the retry topics once more, in any order; how many."""
    producer = Producer(producer_config(load(kafka={"bootstrap": run.plan.bootstrap}).kafka))
    shuffled: Sequence[Record] = chance.sample(found := list(records), len(found))
    for record in shuffled:
        headers = list(Deferred(record).headers(attempts=1, not_before=Micros(0)))
        name = chance.choice(retry_topics(run))
        producer.produce(name, key=record.key, value=record.value, headers=headers, partition=record.partition)
    if producer.flush(WITHIN_S):
        raise TimeoutError("the retry topics took not all of it")
    return len(shuffled)
