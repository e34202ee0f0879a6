"""Hops over plain events for tests of the engine: no models, no index, topics of their own for every test."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from adapters.host import SystemClock
from adapters.schema_registry import MemorySchemaIds
from schemas.codec import Codec
from schemas.measures import AuditRecorded, FeedbackGiven
from streams.batches import BatchHop, HopPlan
from streams.clients import consumer_config, producer_config
from streams.hop import Hop
from streams.keyed import KeyedHop
from streams.pipeline import BoundHop, Origin, Pipeline
from streams.retries import ErrorPolicy
from streams.settings import Settings, load
from topics.topic import Topic

DEADLINE_S = 30.0


def by_answer(event: FeedbackGiven) -> str:
    return event.answer_id


def copy(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
    """The simplest step."""
    yield FeedbackGiven(tenant=event.tenant, answer_id=event.answer_id, rating=event.rating, comment=event.comment)


def audit(event: FeedbackGiven) -> Iterator[AuditRecorded]:
    """A second step, to be fused behind the first."""
    yield AuditRecorded(tenant=event.tenant, actor=event.answer_id, action="copy", target=event.comment, outcome="ok")


def settings_for(bootstrap: str, **worker: Any) -> Settings:
    return load(kafka={"bootstrap": bootstrap, "deadline_s": 10.0}, worker={"drain_s": 5.0, **worker})


def feedback(n: int, key: str = "k") -> FeedbackGiven:
    return FeedbackGiven(tenant="acme", event_id=f"e{n}", answer_id=key, rating="up", comment=str(n))


def _no_port(name: str) -> Any:
    raise KeyError(name)


@dataclass
class Bench:
    """Topics, a codec and the means to put and read events; one per test."""

    bootstrap: str
    partitions: int = 1
    codec: Codec = field(default_factory=lambda: Codec(MemorySchemaIds()))
    name: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    def __post_init__(self) -> None:
        self.source = Topic[FeedbackGiven](f"test.{self.name}.in.v1", (FeedbackGiven,), by_answer)
        self.middle = Topic[FeedbackGiven](f"test.{self.name}.mid.v1", (FeedbackGiven,), by_answer)
        self.sink = Topic[AuditRecorded](f"test.{self.name}.out.v1", (AuditRecorded,), lambda e: str(e.actor))
        names = [name for topic in (self.source, self.middle, self.sink) for name in (topic.name, topic.dead_letters)]
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        for future in admin.create_topics([NewTopic(name, self.partitions, 1) for name in names]).values():
            future.result(DEADLINE_S)

    @property
    def group(self) -> str:
        return f"test.{self.name}"

    def put(self, *events: FeedbackGiven) -> None:
        producer = Producer(producer_config(load(kafka={"bootstrap": self.bootstrap}).kafka))
        for event in events:
            value = self.codec.encode(self.source.subject, self.source.events, event)
            while True:
                try:
                    producer.produce(self.source.name, key=self.source.key(event).encode(), value=value)
                    break
                except BufferError:
                    producer.poll(0.1)
        assert producer.flush(DEADLINE_S) == 0

    def put_bytes(self, value: bytes, key: bytes = b"k", headers: tuple[tuple[str, bytes], ...] = ()) -> None:
        producer = Producer(producer_config(load(kafka={"bootstrap": self.bootstrap}).kafka))
        producer.produce(self.source.name, key=key, value=value, headers=list(headers))
        assert producer.flush(DEADLINE_S) == 0

    def hop(self, kind: type[Any], hops: list[Hop], settings: Settings | None = None, **plan: Any) -> Any:
        chosen = settings or settings_for(self.bootstrap)
        policy = ErrorPolicy(attempts=2, backoff_s=0.01)
        bound = [BoundHop(hop, _no_port) for hop in hops]
        pipeline = Pipeline(bound, self.codec, Origin(SystemClock(), "test"), policy)
        return kind(HopPlan(self.group, pipeline, **plan), chosen, SystemClock())

    def read(self, topic: str, count: int, timeout_s: float = DEADLINE_S) -> list[Any]:
        """The first `count` committed records of a topic, fewer where the time is up; then whatever else is there."""
        kafka = load(kafka={"bootstrap": self.bootstrap}).kafka
        consumer = Consumer(consumer_config(kafka, f"read-{uuid.uuid4().hex}", **{"enable.partition.eof": True}))
        consumer.subscribe([topic])
        found, ended, until = list[Any](), set[int](), time.monotonic() + timeout_s
        while time.monotonic() < until and (len(found) < count or len(ended) < self.partitions):
            message = consumer.poll(0.2)
            if message is None:
                continue
            if message.error() is None:
                found.append(message)
                ended.discard(message.partition())
            elif message.error().code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
        consumer.close()
        return found

    def comments(self, topic: Topic[Any], count: int) -> list[str]:
        """What the copied events say, in order."""
        events = [self.codec.decode(message.value(), topic.events) for message in self.read(topic.name, count)]
        return [
            event.comment if isinstance(event, FeedbackGiven) else str(getattr(event, "target", "")) for event in events
        ]


@contextmanager
def running(hop: BatchHop | KeyedHop) -> Iterator[threading.Event]:
    """A hop in a thread, stopped and joined at the end; a failure of the hop fails the test."""
    stop, failed = threading.Event(), list[BaseException]()

    def guarded() -> None:
        try:
            hop.run(stop)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(DEADLINE_S)
        # Also where the test failed already: why the hop died is the reason then.
        if failed:
            raise failed[0]
    assert not thread.is_alive(), "the hop did not stop in time"


def eventually(check: Callable[[], bool], timeout_s: float = DEADLINE_S) -> None:
    """Waits until a check holds."""
    until = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.02)
