"""Which partition an event goes to: the same for Java, Debezium and us, on every topic of a journey."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from confluent_kafka import KafkaException, murmur2

from schemas.envelope import Event
from streams import headers as names
from streams.errors import ClusterUnavailableError, TopicMissingError
from streams.records import Outgoing
from topics.topic import Topic

__all__ = ["Router", "send"]

# The first question to a cluster: long enough for a cold connection, short enough for a request that waits for it.
METADATA_TIMEOUT_S: Final = 5.0
ANY_PARTITION: Final = -1
"""The client library's word for: choose by the key."""


class Router:
    """Chooses partitions by the number of partitions that the cluster has. Use one per producer; threads may share it.

        >>> Router(producer).partition(DOCUMENT_CHANGED, event)  # doctest: +SKIP
        3

    The counts are asked for once; `forget` has them asked for again, after an error that names a partition.
    """

    def __init__(self, producer: Any, timeout_s: float = METADATA_TIMEOUT_S) -> None:
        self._producer = producer
        self._timeout_s = timeout_s
        self._counts: dict[str, int] = {}

    def partition(
        self, topic: Topic[Any], event: Event, headers: Iterable[tuple[str, bytes | None]] | None = None
    ) -> int:
        """The partition of an event: murmur2 of what routes it, or the asker's own on a topic with replies.

        A reply partition that the topic does not have is ignored, since headers come from anybody.
        Raises TopicMissingError, ClusterUnavailableError.
        """
        count = self.count(topic.name)
        wanted = names.number(headers, names.REPLY_PARTITION) if topic.replies else None
        if wanted is not None and wanted < count:
            return wanted
        return int(murmur2(topic.routed(event).encode(), count))

    def count(self, topic: str) -> int:
        """How many partitions a topic has. Raises TopicMissingError, ClusterUnavailableError."""
        if topic not in self._counts:
            self._counts[topic] = self._ask(topic)
        return self._counts[topic]

    def forget(self, topic: str) -> None:
        """Have the number of partitions of a topic asked for again."""
        self._counts.pop(topic, None)

    def _ask(self, topic: str) -> int:
        try:
            metadata = self._producer.list_topics(topic, timeout=self._timeout_s)
        except KafkaException as error:
            raise ClusterUnavailableError(
                f"asking for the partitions of {topic!r}: no answer within {self._timeout_s:g} s ({error.args[0]})"
            ) from error
        found = metadata.topics.get(topic)
        if found is None or found.error is not None or not found.partitions:
            raise TopicMissingError(topic)
        return len(found.partitions)


def send(producer: Any, router: Router, out: Outgoing, on_delivery: Any = None) -> None:
    """Hands a record to a producer, for the partition where its event belongs. Raises BufferError when it has no room.

    A dead letter goes where its original key leads.
    """
    partition = ANY_PARTITION if out.partition is None else out.partition
    if out.declared is not None and out.event is not None:
        partition = router.partition(out.declared, out.event, out.headers)
    # Arguments by position, and none that says nothing: this is called for every record.
    if out.headers:
        producer.produce(out.topic, out.value, out.key, partition, on_delivery, headers=list(out.headers))
    else:
        producer.produce(out.topic, out.value, out.key, partition, on_delivery)


def has_sent(producer: Any, router: Router, out: Outgoing, on_delivery: Any = None) -> bool:
    """Sends, and says False where the producer's queue is full: poll it, outside of any `except`, and try again."""
    try:
        send(producer, router, out, on_delivery)
    except BufferError:
        return False
    return True
