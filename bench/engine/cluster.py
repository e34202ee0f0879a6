"""The broker that all share, and what is asked of it from outside: topics, backlogs, how far a group or a topic is."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaException,
    Producer,
    TopicPartition,
    murmur2,
)
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from adapters.schema_registry import MemorySchemaIds
from bench.engine.contenders import SESSION_MS
from headwater.local.broker import BrokerSpec, KafkaBroker
from schemas.codec import Codec
from schemas.measures import FeedbackGiven
from streams.settings import user_cache
from topics.topic import Topic

ASK_S: Final = 10.0
LEADERS_S: Final = 30.0
DENSITY_SAMPLE: Final = 5_000
WORDS: Final = 4_096
VALUE_BYTES: Final = 1_000
# The Avro envelope of an event, so that the value on the wire has the same size.
ENVELOPE_BYTES: Final = 90
# A machine at its limit must not make the broker miss its own heartbeats; sessions of the contenders are short.
PROPERTIES: Final = (
    ("broker.session.timeout.ms", "18000"),
    ("broker.heartbeat.interval.ms", "2000"),
    ("group.consumer.session.timeout.ms", str(SESSION_MS)),
    ("group.consumer.min.session.timeout.ms", str(SESSION_MS)),
    ("group.consumer.heartbeat.interval.ms", "500"),
    ("group.consumer.min.heartbeat.interval.ms", "500"),
    ("group.min.session.timeout.ms", str(SESSION_MS)),
)


def feedback_topic(name: str) -> Topic[FeedbackGiven]:
    """The declaration of a topic of plain events."""
    return Topic(name, (FeedbackGiven,), lambda event: event.answer_id)


def codec() -> Codec:
    """A codec whose schema id is the same in all processes: there is one schema."""
    made = Codec(MemorySchemaIds())
    topic = feedback_topic("bench.any.v1")
    made.encode(topic.subject, topic.events, FeedbackGiven(tenant="t", answer_id="a", rating="up", comment=""))
    return made


class Texts:
    """Values of 1,000 bytes that compress like prose, about 2.5 to 1; cheap to make."""

    def __init__(self, seed: int = 1) -> None:
        chance = random.Random(seed)
        letters = "etaoinshrdlucmfwypvbgk"
        words = ["".join(chance.choices(letters, k=chance.randrange(2, 11))) for _ in range(WORDS)]
        self._text = " ".join(chance.choices(words, k=800_000)).encode()
        self._most = len(self._text) - VALUE_BYTES

    def value(self, number: int, size: int = VALUE_BYTES) -> bytes:
        """A value; another number is nearly always another text."""
        start = number * 613 % self._most
        return self._text[start : start + size]


class Cluster:
    """One broker under load. Use `running`."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.texts = Texts()
        self._admin = AdminClient({"bootstrap.servers": bootstrap})

    def topic(self, word: str, partitions: int) -> str:
        """A new topic."""
        name = f"bench.{word}.{uuid.uuid4().hex[:6]}.v1"
        quickly_gone = {"file.delete.delay.ms": "100", "segment.bytes": str(256 * 1024**2)}
        for future in self._admin.create_topics([NewTopic(name, partitions, 1, config=quickly_gone)]).values():
            future.result(ASK_S)
        self.ends(name, partitions)
        return name

    def warm(self) -> None:
        """Has the broker make what it makes at first use: its topics of offsets and of transactions."""
        topic = self.topic("warm", 1)
        with self.consumer(**{"group.id": "bench-warm"}) as consumer:
            if not until(lambda: _committed(consumer, TopicPartition(topic, 0, 0)), LEADERS_S):
                raise RuntimeError(f"the broker took no offsets within {LEADERS_S:g} s")
        producer: Any = Producer({"bootstrap.servers": self.bootstrap, "transactional.id": "bench-warm"})
        producer.init_transactions(LEADERS_S)

    def drop(self, *names: str) -> None:
        """Deletes topics: gigabytes that nobody needs any more."""
        for future in self._admin.delete_topics(list(names)).values():
            future.result(ASK_S)

    def fill(self, topic: str, count: int, partitions: int, avro: bool = False) -> None:
        """Writes a backlog of values of 1,000 bytes, key = number, uncompressed.

        Events (`avro`) lie where their key says, as on every topic of the product: the next one has them in the same
        partition, and a batch writes to as many partitions as it was read from.
        """
        events, declared = codec(), feedback_topic(topic)
        producer: Any = Producer(
            {"bootstrap.servers": self.bootstrap, "linger.ms": 20, "queue.buffering.max.messages": 500_000}
        )
        for number in range(count):
            value = event_value(events, declared, self.texts, number) if avro else self.texts.value(number)
            key = str(number).encode()
            while True:
                try:
                    producer.produce(topic, value, key, murmur2(key, partitions) if avro else number % partitions)
                    break
                except BufferError:
                    producer.poll(0.05)
        if producer.flush(60.0):
            raise RuntimeError(f"the backlog of {topic!r} was not written within a minute")

    def ends(self, topic: str, partitions: int, *, committed: bool = False) -> list[int]:
        """Per partition the offset after the last record: of all written ones, or of those that may be read."""
        level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
        wanted = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in range(partitions)}
        give_up = time.monotonic() + LEADERS_S
        while True:
            found = self._admin.list_offsets(wanted, isolation_level=level, request_timeout=ASK_S)
            try:
                told = {place.partition: future.result(ASK_S).offset for place, future in found.items()}
                return [told[partition] for partition in range(partitions)]
            except KafkaException:
                # A topic made a moment ago has no leader yet.
                if time.monotonic() > give_up:
                    raise
                # Asking for it by name is what makes the client forget that it had none.
                self._admin.list_topics(topic, timeout=ASK_S)
                time.sleep(0.1)

    def written(self, topic: str, partitions: int) -> int:
        """How many offsets a topic has used."""
        return sum(self.ends(topic, partitions))

    def done(self, group: str, topic: str, partitions: int) -> int:
        """How many records a group has committed."""
        wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, p) for p in range(partitions)])
        answer = self._admin.list_consumer_group_offsets([wanted], request_timeout=ASK_S)[group].result(ASK_S)
        return sum(max(0, place.offset) for place in answer.topic_partitions)

    def members(self, group: str) -> int:
        """How many workers a group has that were given a partition."""
        found = self._admin.describe_consumer_groups([group], request_timeout=ASK_S)[group].result(ASK_S)
        return sum(1 for member in found.members if member.assignment.topic_partitions)

    def density(self, topic: str, partitions: int) -> float:
        """How many of a topic's offsets are records and no markers of transactions, by a sample of each partition."""
        records = spans = 0
        ends = self.ends(topic, partitions, committed=True)
        with self.consumer(**{"isolation.level": "read_committed"}) as consumer:
            for partition, end in enumerate(ends):
                consumer.assign([TopicPartition(topic, partition, max(0, end // 2 - DENSITY_SAMPLE // 2))])
                offsets = [one.offset() for one in consumer.consume(min(DENSITY_SAMPLE, max(1, end // 2)), 5.0)]
                if len(offsets) > 1:
                    records += len(offsets) - 1
                    spans += offsets[-1] - offsets[0]
        return records / spans if spans else 1.0

    @contextmanager
    def consumer(self, **more: Any) -> Iterator[Any]:
        """A consumer that is told what to read."""
        config = {"bootstrap.servers": self.bootstrap, "group.id": f"bench-{uuid.uuid4().hex[:6]}"}
        one = Consumer({**config, "enable.auto.commit": False, **more})
        try:
            yield one
        finally:
            one.close()


def event_value(events: Codec, declared: Topic[FeedbackGiven], texts: Texts, number: int) -> bytes:
    """An event of 1,000 bytes on the wire; its `answer_id` is its number."""
    text = texts.value(number, VALUE_BYTES - ENVELOPE_BYTES).decode()
    event = FeedbackGiven(tenant="bench", event_id=f"e{number}", answer_id=str(number), rating="up", comment=text)
    return events.encode(declared.subject, declared.events, event)


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """A broker of its own, gone afterwards; put the folder in memory, or the disk is what is measured."""
    spec = BrokerSpec(folder / "broker", user_cache(), heap_mb=1_024, properties=PROPERTIES)
    with KafkaBroker(spec) as broker:
        cluster = Cluster(broker.bootstrap)
        cluster.warm()
        yield cluster


def _committed(consumer: Any, place: TopicPartition) -> bool:
    """Whether a commit went through; the coordinator of a young broker is still loading."""
    try:
        consumer.commit(offsets=[place], asynchronous=False)
    except KafkaException:
        return False
    return True


def until(check: Any, within_s: float, every_s: float = 0.1) -> bool:
    """Waits until a check holds; whether it did in time."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(every_s)
    return False
