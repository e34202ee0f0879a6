"""Reading topics from outside the journeys, bounded in records and time: what `tail`, `trace` and `watch` look at."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition, murmur2

from adapters.errors import AdapterError
from processors.ports import Clock
from schemas.codec import Codec, SchemaError
from schemas.envelope import Event, Micros
from schemas.failures import Headers
from streams.access import require_access
from streams.clients import consumer_config
from streams.ensure import DECLARED
from streams.errors import ClusterUnavailableError, TopicMissingError
from streams.hop import AnyTopic
from streams.settings import Kafka

__all__ = ["Reader", "Reading", "Slice", "topic_named"]

_POLL_S: Final = 0.2
_BATCH: Final = 500
_GROUP: Final = "headwater.reading.v1"

Place = tuple[str, int]
Keep = Callable[[bytes, bytes], bool]


@dataclass(frozen=True)
class Reading:
    """A record as it lies on its topic; `event` is None where it could not be decoded, `problem` then says why."""

    topic: str
    partition: int
    offset: int
    at: Micros
    key: str
    headers: Headers
    value: bytes | None
    event: Event | None = None
    problem: str = ""


@dataclass(frozen=True)
class Slice:
    """Which part of a topic to read: the newest `last` records of each partition, those of a span of time, or all.

    `keep` sees key and value before they are decoded, so that what is not wanted costs next to nothing.
    """

    last: int | None = None
    since: Micros | None = None
    until: Micros | None = None
    partition: int | None = None
    keep: Keep | None = None


EVERYTHING: Final = Slice()


def topic_named(name: str) -> AnyTopic | None:
    """The declared topic of a name, or the one whose dead letters it holds; None for a stranger's.

    >>> topic_named("rag.document.changed.v1.dlq").constant
    'DOCUMENT_CHANGED'
    """
    return next((topic for topic in DECLARED if name in (topic.name, topic.dead_letters)), None)


class Reader:
    """Reads topics without a group: nothing is committed, nobody else is disturbed. Use it as a context.

        >>> with Reader(settings.kafka, codec, clock) as reader:  # doctest: +SKIP
        ...     [r.event for r in reader.read("rag.answer.given.v1", Slice(last=1))]

    Raises ClusterUnavailableError where the cluster does not answer within the deadline, TopicMissingError.
    """

    def __init__(self, kafka: Kafka, codec: Codec, clock: Clock) -> None:
        self._codec = codec
        self._clock = clock
        self._deadline_s = kafka.deadline_s
        # Connection errors are waited out within the deadline; only those of a topic come as messages.
        # The end of a partition is told by a fetch that finds nothing: it should not wait long for something.
        own = {"enable.partition.eof": True, "fetch.wait.max.ms": 50, "error_cb": _wait_it_out}
        require_access(kafka)
        self._consumer = Consumer(consumer_config(kafka, _GROUP, **own))

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def read(self, topic: str, part: Slice = EVERYTHING) -> Iterator[Reading]:
        """What lies on a topic now, per partition in its order; what comes later is left out."""
        yield from self.read_each({topic: part})

    def read_each(self, parts: Mapping[str, Slice]) -> Iterator[Reading]:
        """The same for several topics at once, which takes hardly longer than for one; they come mixed."""
        ends = {}
        for topic, part in parts.items():
            for place, (low, high) in self._bounds(topic, part.partition).items():
                start = max(low, high - part.last) if part.last is not None else self._at(place, part.since, low, high)
                end = self._at(place, part.until, high, high)
                if start < end:
                    ends[place] = (start, end)
        if ends:
            yield from self._until(ends, parts)

    def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """First and next offset of every partition."""
        return {partition: bounds for (_, partition), bounds in self._bounds(topic, None).items()}

    def follow(
        self, topics: Iterable[str], stop: threading.Event, listening: Callable[[], None] = lambda: None
    ) -> Iterator[Reading]:
        """What comes from now on, until `stop` is set. A cluster that goes away is waited for.

        `listening` is called once what "now" means is fixed: whatever is written after it will be seen.
        """
        ends = {place: high for topic in topics for place, (_, high) in self._bounds(topic, None).items()}
        self._consumer.assign([TopicPartition(topic, partition, high) for (topic, partition), high in ends.items()])
        listening()
        while not stop.is_set():
            for message in self._batch():
                if message.error() is None:
                    yield self._reading(message)

    def _bounds(self, topic: str, only: int | None) -> dict[Place, tuple[int, int]]:
        """First and next offsets. A broker that just came back has partitions without a leader: it is asked again."""
        until = self._clock.monotonic() + self._deadline_s
        while True:
            try:
                return {
                    (topic, p): self._consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=self._deadline_s)
                    for p in self._partitions(topic)
                    if only is None or p == only
                }
            except KafkaException as error:
                if self._clock.monotonic() > until:
                    raise self._away(topic, error.args[0].str()) from error
                threading.Event().wait(_POLL_S)

    def _partitions(self, topic: str) -> list[int]:
        try:
            found = self._consumer.list_topics(topic, timeout=self._deadline_s).topics.get(topic)
        except KafkaException as error:
            raise self._away(topic, error.args[0].str()) from error
        if found is None or found.error is not None or not found.partitions:
            raise TopicMissingError(topic)
        return sorted(found.partitions)

    def partition_of(self, topic: AnyTopic, event_key: str) -> int:
        """The partition in which everything about a document, or whatever else is keyed so, lies."""
        return int(murmur2(event_key.encode(), len(self._partitions(topic.name))))

    def _at(self, place: Place, moment: Micros | None, otherwise: int, high: int) -> int:
        """The offset of the first record at or after a moment."""
        if moment is None:
            return otherwise
        # Kafka keeps milliseconds.
        asked = TopicPartition(place[0], place[1], moment // 1000)
        try:
            offset = self._consumer.offsets_for_times([asked], timeout=self._deadline_s)[0].offset
        except KafkaException as error:
            raise self._away(place[0], error.args[0].str()) from error
        return int(offset) if offset >= 0 else high

    def _until(self, ends: dict[Place, tuple[int, int]], parts: Mapping[str, Slice]) -> Iterator[Reading]:
        self._consumer.assign([TopicPartition(topic, p, start) for (topic, p), (start, _) in ends.items()])
        unfinished = {place: high for place, (_, high) in ends.items()}
        heard_at = self._clock.monotonic()
        while unfinished:
            batch = self._batch()
            heard_at = self._clock.monotonic() if batch else heard_at
            if self._clock.monotonic() - heard_at > self._deadline_s:
                raise self._away(next(iter(unfinished))[0], "nothing")
            for message in batch:
                if _wanted(message, unfinished, parts):
                    yield self._reading(message)
                _cross_off(message, unfinished)
        self._consumer.unassign()

    def _batch(self) -> list[Message]:
        first = self._consumer.poll(_POLL_S)
        if first is None:
            return []
        messages = [first, *self._consumer.consume(_BATCH - 1, 0)]
        for message in messages:
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF and not error.retriable():
                raise self._away(message.topic() or "a topic", error.str())
        return [m for m in messages if m.error() is None or m.error().code() == KafkaError._PARTITION_EOF]

    def _reading(self, message: Message) -> Reading:
        name = str(message.topic())
        event, problem = self._decoded(topic_named(name), message.value())
        return Reading(
            topic=name,
            partition=int(message.partition() or 0),
            offset=int(message.offset() or 0),
            at=Micros(int(message.timestamp()[1]) * 1000),
            key=(message.key() or b"").decode(errors="replace"),
            headers=tuple((header, value or b"") for header, value in message.headers() or ()),
            value=message.value(),
            event=event,
            problem=problem,
        )

    def _decoded(self, topic: AnyTopic | None, value: bytes | None) -> tuple[Event | None, str]:
        if topic is None:
            return None, "not a topic of Headwater"
        if value is None:
            return None, "tombstone"
        try:
            return self._codec.decode(value, topic.events), ""
        except (SchemaError, AdapterError) as error:
            return None, str(error)

    def _away(self, topic: str, cause: Any) -> ClusterUnavailableError:
        return ClusterUnavailableError(
            f"reading {topic!r}: wanted its records within {self._deadline_s:g} s, got: {cause}"
        )


def _wait_it_out(_: KafkaError) -> None:
    """An error of a connection: librdkafka makes a new one by itself."""


def _wanted(message: Message, unfinished: dict[Place, int], parts: Mapping[str, Slice]) -> bool:
    end = unfinished.get((message.topic(), message.partition()), 0)
    if message.error() is not None or message.offset() >= end:
        return False
    keep = parts[str(message.topic())].keep
    return keep is None or keep(message.key() or b"", message.value() or b"")


def _cross_off(message: Message, unfinished: dict[Place, int]) -> None:
    """The end of a partition comes as an error item: transaction markers and compaction leave no record to end with."""
    place = (message.topic(), message.partition())
    if message.error() is not None or message.offset() + 1 >= unfinished.get(place, 0):
        unfinished.pop(place, None)
