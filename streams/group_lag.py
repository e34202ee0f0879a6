"""How far a group is behind, asked from outside: nothing is joined, nothing is committed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from processors.ports import Clock
from streams.clients import consumer_config
from streams.errors import ClusterUnavailableError
from streams.settings import Kafka

__all__ = ["Behind", "GroupLag"]

_ASK_S: Final = 5.0
_POLL_S: Final = 0.1
# One record of each partition is wanted, not what follows it.
_FETCH_BYTES: Final = 16_384


@dataclass(frozen=True)
class Behind:
    """Where a group stands in a partition; `committed` is -1 where it never was, `records` what it has not handled."""

    committed: int
    records: int


class GroupLag:
    """Asks where groups stand. Use it for pacing and audits; close it.

    Markers of transactions and aborted records take offsets too: behind the last record of an idle partition they are
    no lag, so the first record that is really there is looked for. Raises ClusterUnavailableError.
    """

    def __init__(self, kafka: Kafka, clock: Clock) -> None:
        self._kafka = kafka
        self._clock = clock
        self._consumers: dict[str, Any] = {}

    def of(self, group: str, topic: str) -> Mapping[int, Behind]:
        """Where a group stands in each partition of a topic."""
        try:
            return self._of(self._consumer(group), topic)
        except KafkaException as error:
            raise ClusterUnavailableError(f"asking where {group!r} stands: {error.args[0]}") from error

    def close(self) -> None:
        """Lets the clients go."""
        for consumer in self._consumers.values():
            consumer.close()
        self._consumers = {}

    def _of(self, consumer: Any, topic: str) -> dict[int, Behind]:
        found = consumer.list_topics(topic, timeout=_ASK_S).topics[topic]
        asked = [TopicPartition(topic, partition) for partition in sorted(found.partitions)]
        ends, begins, committed = {}, {}, {}
        for place in consumer.committed(asked, timeout=_ASK_S):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, place.partition), timeout=_ASK_S)
            committed[place.partition] = max(-1, place.offset)
            ends[place.partition], begins[place.partition] = high, max(low, place.offset)
        late = {partition: begin for partition, begin in begins.items() if begin < ends[partition]}
        first = self._first(consumer, topic, late) if late else {}
        return {
            partition: Behind(committed[partition], end - first[partition] if partition in first else 0)
            for partition, end in ends.items()
        }

    def _first(self, consumer: Any, topic: str, late: dict[int, int]) -> dict[int, int]:
        """The first record at or behind an offset, of those partitions that have one."""
        consumer.assign([TopicPartition(topic, partition, offset) for partition, offset in late.items()])
        first: dict[int, int] = {}
        unknown, until = set(late), self._clock.monotonic() + _ASK_S
        while unknown:
            message = consumer.poll(_POLL_S)
            if message is not None and message.error() is None:
                first.setdefault(message.partition(), message.offset())
            if message is not None and _tells(message):
                unknown.discard(message.partition())
            if self._clock.monotonic() > until:
                raise ClusterUnavailableError(f"looking for the first unread record of {topic!r}: no answer")
        consumer.unassign()
        return first

    def _consumer(self, group: str) -> Any:
        if group not in self._consumers:
            own: dict[str, Any] = {"group.protocol": "classic", "enable.partition.eof": True, "fetch.wait.max.ms": 20}
            own |= {"max.partition.fetch.bytes": _FETCH_BYTES, "queued.max.messages.kbytes": 256}
            self._consumers[group] = Consumer(consumer_config(self._kafka, group, **own))
        return self._consumers[group]


def _tells(message: Any) -> bool:
    """Whether a message is a record, or says that there is none."""
    return message.error() is None or message.error().code() == KafkaError._PARTITION_EOF
