"""Topics read from outside: parts of them, dead letters, what can't be decoded, what comes later."""

from __future__ import annotations

import threading
import time

import pytest
from confluent_kafka import Producer, murmur2

from adapters.schema_registry import MemorySchemaIds
from headwater.local.broker import KafkaBroker
from headwater.local.ports import choose_port
from schemas.codec import Codec
from streams.errors import ClusterUnavailableError, TopicMissingError
from streams.publishing import Publisher
from streams.reading import Reader, Slice, topic_named
from streams.settings import Kafka
from tests.streams.answerer import entrance
from tests.streams.test_publishing import changed, own_topic


def test_when_a_topic_is_not_ours_then_it_has_no_declaration() -> None:
    assert topic_named("somebody.elses") is None


@pytest.mark.live
def test_when_a_topic_is_read_then_parts_of_it_can_be_chosen(kafka: KafkaBroker) -> None:
    settings = Kafka(bootstrap=kafka.bootstrap, deadline_s=10.0)
    topic, codec, clock = own_topic(settings), Codec(MemorySchemaIds()), entrance().clock
    with Publisher(settings, codec, entrance()) as publisher:
        for n in range(20):
            publisher.publish(topic, changed(f"{n % 3}.txt", title=str(n)))
        # Kafka keeps milliseconds: stay clear of the one in which the last record was written.
        time.sleep(0.01)
        middle = clock.now()
        publisher.publish(topic, changed("late.txt"))
    with Reader(settings, codec, clock) as reader:
        assert len(list(reader.read(topic.name))) == 21
        assert [r.key for r in reader.read(topic.name, Slice(since=middle))] == ["acme|late.txt"]
        assert len(list(reader.read(topic.name, Slice(until=middle)))) == 20
        assert len(list(reader.read(topic.name, Slice(last=1)))) <= 4
        only = list(
            reader.read(topic.name, Slice(partition=murmur2(b"acme|1.txt", 4), keep=lambda k, _: k == b"acme|1.txt"))
        )
        assert len(only) == 7
        assert sum(high - low for low, high in reader.bounds(topic.name).values()) == 21


@pytest.mark.live
def test_when_a_record_cant_be_decoded_then_it_is_read_with_its_reason(kafka: KafkaBroker) -> None:
    settings = Kafka(bootstrap=kafka.bootstrap, deadline_s=10.0)
    topic = own_topic(settings)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(topic.name, b"junk", key=b"k", partition=0)
    producer.produce(topic.name, None, key=b"k", partition=0)
    assert producer.flush(10) == 0
    with Reader(settings, Codec(MemorySchemaIds()), entrance().clock) as reader:
        junk, tombstone = list(reader.read(topic.name, Slice(partition=0)))
    assert (junk.event, junk.value) == (None, b"junk")
    assert junk.problem == "not a topic of Headwater"
    assert tombstone.value is None


@pytest.mark.live
def test_when_a_topic_is_followed_then_only_what_comes_later_is_read(kafka: KafkaBroker) -> None:
    settings = Kafka(bootstrap=kafka.bootstrap, deadline_s=10.0)
    topic, codec, stop = own_topic(settings), Codec(MemorySchemaIds()), threading.Event()
    seen: list[str] = []

    def follow() -> None:
        with Reader(settings, codec, entrance().clock) as reader:
            for reading in reader.follow([topic.name], stop):
                seen.append(reading.key)

    with Publisher(settings, codec, entrance()) as publisher:
        publisher.publish(topic, changed("early.txt"))
        thread = threading.Thread(target=follow)
        thread.start()
        deadline = time.monotonic() + 15
        while not seen and time.monotonic() < deadline:
            publisher.publish(topic, changed("late.txt"))
            time.sleep(0.05)
    stop.set()
    thread.join(10)
    assert set(seen) == {"acme|late.txt"}


@pytest.mark.live
def test_when_a_topic_is_missing_then_reading_says_how_to_make_it(kafka: KafkaBroker) -> None:
    settings = Kafka(bootstrap=kafka.bootstrap, deadline_s=10.0)
    with Reader(settings, Codec(MemorySchemaIds()), entrance().clock) as reader, pytest.raises(TopicMissingError):
        list(reader.read("rag.test.absent.v1"))


def test_when_no_broker_is_there_then_reading_ends_within_its_deadline() -> None:
    away = Kafka(bootstrap=f"127.0.0.1:{choose_port('nothing')}", deadline_s=0.5)
    with Reader(away, Codec(MemorySchemaIds()), entrance().clock) as reader, pytest.raises(ClusterUnavailableError):
        list(reader.read("rag.document.changed.v1"))
