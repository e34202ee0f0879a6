"""Events in: stamped, in their document's partition, confirmed; and what is refused."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import murmur2

from adapters.folder_claims import FolderClaims
from adapters.schema_registry import MemorySchemaIds
from headwater.local.broker import KafkaBroker
from headwater.local.ports import choose_port
from schemas.codec import Codec
from schemas.documents import DocumentChanged, DocumentDeleted
from schemas.envelope import Event, Micros
from schemas.failures import REASON, STEP
from streams import headers as names
from streams.ensure import ensure
from streams.errors import ClusterUnavailableError, TopicMissingError
from streams.publishing import INLINE_BYTES, Entrance, Publisher, Upload, document_changed
from streams.reading import Reader
from streams.settings import Kafka, Settings
from tests.streams.answerer import entrance
from topics.ingest import DOCUMENT_CHANGED
from topics.topic import Topic


def own_topic(kafka: Kafka) -> Topic[Any]:
    topic: Topic[Any] = replace(DOCUMENT_CHANGED, name=f"rag.test.{uuid.uuid4().hex}.v1")
    ensure(Settings(kafka=kafka), topics=[topic])
    return topic


def changed(document: str = "a.txt", **more: Any) -> DocumentChanged:
    return DocumentChanged(tenant="acme", document=document, media_type="text/plain", body=b"hello", **more)


def test_when_an_event_enters_then_what_it_lacks_is_filled_in() -> None:
    clock = entrance().clock
    stamped = Entrance(clock, entrance().ids, "1.2.3", "abc").stamp(changed())
    assert uuid.UUID(stamped.event_id).version == 7
    assert abs(stamped.occurred_at - clock.now()) < 5_000_000
    assert (stamped.producer_version, stamped.git_sha) == ("1.2.3", "abc")


def test_when_an_event_has_an_id_and_a_time_then_they_are_kept() -> None:
    kept = entrance().stamp(changed(event_id="mine", occurred_at=Micros(7)))
    assert (kept.event_id, kept.occurred_at) == ("mine", 7)


@pytest.mark.parametrize(("size", "inline"), [(0, True), (INLINE_BYTES, True), (INLINE_BYTES + 1, False)])
def test_when_a_body_is_large_then_it_is_left_at_the_claim_store(tmp_path: Any, size: int, inline: bool) -> None:
    claims = FolderClaims(tmp_path)
    body = b"x" * size
    event = document_changed(Upload("acme", "a.txt", body, "text/plain", properties={"lang": "en"}), claims)
    assert event.properties == {"lang": "en", "sha256": hashlib.sha256(body).hexdigest()}
    assert (event.body == body, event.claim is None) == (inline, inline)
    if event.claim is not None:
        assert claims.get(event.claim.uri, event.claim.sha256) == body


@pytest.mark.live
def test_when_it_is_published_then_it_lies_where_java_would_put_it(kafka: KafkaBroker) -> None:
    settings = Kafka(bootstrap=kafka.bootstrap, deadline_s=10.0)
    topic, codec = own_topic(settings), Codec(MemorySchemaIds())
    with Publisher(settings, codec, entrance()) as publisher:
        put = [publisher.publish(topic, changed(f"{n}.txt"), [("lane", b"bulk")]) for n in range(6)]
        gone = publisher.publish(topic, DocumentDeleted(tenant="acme", document="0.txt"))
    assert [each.partition for each in put] == [murmur2(f"acme|{n}.txt".encode(), 4) for n in range(6)]
    assert (gone.partition, gone.offset) == (
        put[0].partition,
        max(p.offset for p in put if p.partition == gone.partition) + 1,
    )
    with Reader(settings, codec, entrance().clock) as reader:
        first = next(r for r in reader.read(topic.name) if r.key == "acme|1.txt")
    assert names.value(first.headers, names.TENANT) == b"acme"
    assert names.value(first.headers, names.EVENT_ID) == put[1].event_id.encode()
    assert names.value(first.headers, names.LANE) == b"bulk"


@pytest.mark.live
def test_when_something_is_refused_then_its_dead_letter_says_why(kafka: KafkaBroker) -> None:
    settings = Kafka(bootstrap=kafka.bootstrap, deadline_s=10.0)
    topic, codec = own_topic(settings), Codec(MemorySchemaIds())
    with Publisher(settings, codec, entrance()) as publisher:
        put = publisher.wait(publisher.refuse(topic, changed("big.txt"), "too large", "watch"))
    assert put.topic == topic.dead_letters
    with Reader(settings, codec, entrance().clock) as reader:
        letter = next(reader.read(topic.dead_letters))
    assert names.value(letter.headers, REASON) == b"too large"
    assert names.value(letter.headers, STEP) == b"watch"
    event: Event = codec.decode(letter.value or b"", topic.events)
    assert isinstance(event, DocumentChanged)
    assert event.document == "big.txt"


@pytest.mark.live
def test_when_a_topic_is_missing_then_the_error_says_how_to_make_it(kafka: KafkaBroker) -> None:
    settings = Kafka(bootstrap=kafka.bootstrap, deadline_s=10.0)
    absent: Topic[Any] = replace(DOCUMENT_CHANGED, name="rag.test.absent.v1")
    with (
        Publisher(settings, Codec(MemorySchemaIds()), entrance()) as publisher,
        pytest.raises(TopicMissingError, match="headwater topics ensure"),
    ):
        publisher.publish(absent, changed())


def test_when_no_broker_is_there_then_publishing_ends_with_an_error() -> None:
    away = Kafka(bootstrap=f"127.0.0.1:{choose_port('nothing')}", deadline_s=0.5)
    with (
        Publisher(away, Codec(MemorySchemaIds()), entrance()) as publisher,
        pytest.raises(ClusterUnavailableError),
    ):
        publisher.publish(DOCUMENT_CHANGED, changed())
