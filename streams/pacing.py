"""The pacing gate of sources: as long as too much is published and not indexed yet, they wait; nothing is dropped."""

from __future__ import annotations

import threading
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition
from prometheus_client import Gauge

from processors.ports import Clock
from streams.clients import consumer_config
from streams.errors import ClusterUnavailableError
from streams.settings import Settings
from topics.ingest import CHUNK_CREATED, CHUNK_EMBEDDED, DOCUMENT_CHANGED, DOCUMENT_PARSED, DOCUMENT_REDACTED

__all__ = ["Pace"]

BACKLOG: Final = Gauge("headwater_capture_backlog_documents", "Published and not yet indexed, as sources see it.")

# The steps by their groups; where they are fused, only the first has read anything.
_GROUPS: Final = (
    ("headwater.ingest.parse.v1", DOCUMENT_CHANGED.name, 1),
    ("headwater.ingest.redact.v1", DOCUMENT_PARSED.name, 1),
    ("headwater.ingest.chunk.v1", DOCUMENT_REDACTED.name, 1),
    # Records here are chunks: about so many make a document.
    ("headwater.ingest.embed.v1", CHUNK_CREATED.name, 10),
    ("headwater.ingest.index.v1", CHUNK_EMBEDDED.name, 10),
)
_LOOK_EVERY_S: Final = 0.25
_ASK_S: Final = 5.0


class Pace:
    """How many documents may be published now. Use one per process that is a source; threads may share it.

        >>> pace = Pace(settings, clock)  # doctest: +SKIP
        >>> pace.wait()                   # doctest: +SKIP

    The backlog is asked for a few times a second; between two looks what went through this gate counts as not indexed.
    A step that never ran counts from the beginning of its topic only if it is the first; the others may be fused.
    Raises ClusterUnavailableError where the cluster does not say.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._most = settings.sources.max_backlog
        self._kafka = settings.kafka
        self._clock = clock
        self._lock = threading.Lock()
        self._consumers: dict[str, Any] = {}
        self._looked_at = float("-inf")
        self._backlog = 0

    def room(self) -> int:
        """How many may go through now."""
        with self._lock:
            now = self._clock.monotonic()
            if now - self._looked_at >= _LOOK_EVERY_S:
                self._backlog = self._ask()
                self._looked_at = self._clock.monotonic()
                BACKLOG.set(self._backlog)
            return max(0, self._most - self._backlog)

    def take(self) -> bool:
        """Goes through, if there is room; says whether it did."""
        if not self.room():
            return False
        with self._lock:
            self._backlog += 1
        return True

    def wait(self) -> None:
        """Goes through as soon as there is room, however long that takes."""
        while not self.take():
            threading.Event().wait(_LOOK_EVERY_S)

    def close(self) -> None:
        """Lets the clients go."""
        for consumer in self._consumers.values():
            consumer.close()
        self._consumers = {}

    def _ask(self) -> int:
        try:
            return sum(self._lag(group, topic, n == 0) // per for n, (group, topic, per) in enumerate(_GROUPS))
        except KafkaException as error:
            raise ClusterUnavailableError(f"asking how far the index is: {error.args[0]}") from error

    def _lag(self, group: str, topic: str, first: bool) -> int:
        consumer = self._consumer(group)
        metadata = consumer.list_topics(topic, timeout=_ASK_S).topics[topic]
        asked = [TopicPartition(topic, partition) for partition in metadata.partitions]
        lag = 0
        for place in consumer.committed(asked, timeout=_ASK_S):
            if place.offset < 0 and not first:
                continue
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, place.partition), timeout=_ASK_S)
            lag += high - max(low, place.offset)
        return lag

    def _consumer(self, group: str) -> Any:
        if group not in self._consumers:
            # It asks for offsets and never joins.
            self._consumers[group] = Consumer(consumer_config(self._kafka, group, **{"group.protocol": "classic"}))
        return self._consumers[group]
