"""Sweeping: a new producer closes what its predecessors may have left open on the brokers (`docs/adr/0009`).

A broker that starts again may take a transaction for finished without having written its end marker into a partition
that had no leader at that moment (Kafka 4.3.1, `KRaftMetadataCache.getPartitionLeaderEndpoint`: a partition without a
leader looks like a deleted one, and the marker is skipped). Then readers of committed records wait there for ever, the
group's offsets stay "unstable", and the next commit of the same producer id would bring the dead records back to life.

The way of a sweep:
1. Begin, and write one record without a value into every partition this producer ever writes to.
2. Add the group's offsets, so that their partition takes part; whether the broker takes the offset does not matter.
3. Abort: each of those partitions gets an end marker of this producer id, which closes whatever was open before it.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, Final, Protocol

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams.clients import consumer_config
from streams.errors import TopicMissingError
from streams.routing import Router
from streams.settings import Kafka

__all__ = ["SWEEP_KEY", "Reach", "group_metadata", "sweep"]

SWEEP_KEY: Final = b"headwater.sweep"
"""A compacted topic refuses a record without a key."""


class SendOffsets(Protocol):
    """Adds offsets to the open transaction within a time."""

    def __call__(self, offsets: list[TopicPartition], *, timeout_s: float) -> None: ...


@dataclass(frozen=True)
class Reach:
    """Where a transactional producer writes: the offsets of its group on a topic it reads, and its output topics."""

    group: str
    source: str
    topics: tuple[str, ...]


def group_metadata(kafka: Kafka, reach: Reach) -> Any:
    """The group's name as a transaction wants it, without being a member: nobody is fenced by it.

    Its coordinator is asked something first. On a new cluster it takes a moment to exist, and a transaction that asks
    for it meanwhile may never hear of it (librdkafka#5456). Raises KafkaException where none answers in time.
    """
    consumer = Consumer(consumer_config(kafka, reach.group, **{"isolation.level": "read_uncommitted"}))
    try:
        consumer.committed([TopicPartition(reach.source, 0)], timeout=kafka.deadline_s)
        return consumer.consumer_group_metadata()
    finally:
        consumer.close()


def sweep(producer: Any, router: Router, reach: Reach, send_offsets: SendOffsets, timeout_s: float) -> None:
    """Closes what was left open under the producer's id. Use it right after `init_transactions`, before reading.

    The caller reads its committed offsets afterwards: a commit that was promised and not carried out is undone here.
    Raises KafkaException, StuckError, ClusterUnavailableError; the producer is of no use then.
    """
    # Asked before, since the time of the transaction runs: on a slow cluster it would be over before it began.
    places: list[tuple[str, int]] = []
    for topic in reach.topics:
        with contextlib.suppress(TopicMissingError):
            places += [(topic, partition) for partition in range(router.count(topic))]
    producer.begin_transaction()
    for topic, partition in places:
        producer.produce(topic, key=SWEEP_KEY, value=None, partition=partition)
    # An abort throws away what is not sent yet, and a partition that got nothing would get no marker.
    producer.flush(timeout_s)
    with contextlib.suppress(KafkaException):
        send_offsets([TopicPartition(reach.source, 0, 0)], timeout_s=timeout_s)
    producer.abort_transaction(timeout_s)
