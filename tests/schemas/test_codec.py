"""Events to bytes and back: framing, old and new writers, everything that can be wrong with a record."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.schema_registry import MemorySchemaIds
from schemas.codec import RECENT, Codec, SchemaUnknownError, UndecodableError, UnencodableError
from schemas.documents import Block, ChunkEmbedded, DocumentDeleted
from schemas.envelope import Event, Micros
from schemas.measures import CostRecorded, FeedbackGiven
from schemas.rendering import render, wire_text
from tests.schemas.builders import EVENTS, TOPICS, anything, sample
from topics.ingest import CHUNK_EMBEDDED, DOCUMENT_CHANGED, DOCUMENT_PARSED
from topics.measure import FEEDBACK_GIVEN

SUBJECT, UNION = CHUNK_EMBEDDED.subject, CHUNK_EMBEDDED.events


@pytest.fixture
def ids() -> MemorySchemaIds:
    return MemorySchemaIds()


@pytest.fixture
def codec(ids: MemorySchemaIds) -> Codec:
    return Codec(ids)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_when_any_event_travels_then_it_comes_back_equal(event: type[Event], data: st.DataObject) -> None:
    codec = Codec(MemorySchemaIds())
    topic = next(topic for topic in TOPICS if event in topic.events)
    sent = data.draw(anything(event))
    assert codec.decode(codec.encode(topic.subject, topic.events, sent), topic.events) == sent


def test_when_encoded_then_the_frame_is_a_zero_and_the_id_in_four_bytes(codec: Codec, ids: MemorySchemaIds) -> None:
    for ordinal in range(300):
        ids.id_of("other", json.dumps(f"string{ordinal}"))
    assert codec.encode(SUBJECT, UNION, sample(ChunkEmbedded))[:5] == b"\x00" + (301).to_bytes(4, "big")


def test_when_a_topic_registers_then_the_schema_is_the_rendered_one_without_prose(
    codec: Codec, ids: MemorySchemaIds
) -> None:
    schema_id = codec.register(SUBJECT, UNION)
    assert json.loads(ids.schema_of(schema_id)) == json.loads(wire_text(UNION))
    assert '"doc"' not in ids.schema_of(schema_id)


def test_when_encoded_by_the_clients_serializer_then_it_decodes(codec: Codec, ids: MemorySchemaIds) -> None:
    """Plain Kafka: another program writes with Confluent's own serializer and times as datetimes."""
    from datetime import UTC, datetime

    from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
    from confluent_kafka.schema_registry.avro import AvroSerializer
    from confluent_kafka.serialization import MessageField, SerializationContext

    client = SchemaRegistryClient.new_client({"url": "mock://codec"})
    context = SerializationContext("rag.feedback.given.v1", MessageField.VALUE)
    fields = {"tenant": "acme", "answer_id": "a1", "rating": "up", "occurred_at": datetime(2026, 1, 1, tzinfo=UTC)}
    text = wire_text(FEEDBACK_GIVEN.events)
    data = AvroSerializer(client, Schema(text, "AVRO"))(fields, context)
    assert data is not None
    assert ids.id_of("theirs", text) == int.from_bytes(data[1:5], "big"), "both registries gave their first id"
    assert codec.decode(data, FEEDBACK_GIVEN.events) == FeedbackGiven(
        tenant="acme", answer_id="a1", rating="up", occurred_at=Micros(1_767_225_600_000_000)
    )


def damaged() -> list[tuple[str, bytes, str]]:
    good = Codec(MemorySchemaIds()).encode(SUBJECT, UNION, sample(ChunkEmbedded))
    return [
        ("empty", b"", "at least 6 bytes .* got 0"),
        ("frame only", good[:5], "at least 6 bytes .* got 5"),
        ("json", b'{"tenant": "acme"}', "first byte 0x7b; produce with the Confluent framing"),
        ("no branch", good[:5] + b"\x10", "record number below 3 in schema 1, got 8"),
        ("negative branch", good[:5] + b"\x01", "got -1"),
        ("cut branch", good[:5] + b"\xff", "cut-off"),
        ("cut off", good[:40], "cut off or damaged"),
        ("longer", good + b"!", "1 bytes more"),
        ("no utf-8", good[:6] + b"\x02\xff" + good[6:], "cut off or damaged"),
    ]


@pytest.mark.parametrize(("data", "message"), [pytest.param(*row[1:], id=row[0]) for row in damaged()])
def test_when_bytes_are_no_event_then_the_error_says_what_came(codec: Codec, data: bytes, message: str) -> None:
    codec.register(SUBJECT, UNION)
    with pytest.raises(UndecodableError, match=message):
        codec.decode(data, UNION)


@settings(max_examples=300, deadline=None)
@given(body=st.binary(min_size=1, max_size=80))
def test_when_bytes_are_random_then_they_are_an_event_or_undecodable(body: bytes) -> None:
    codec = Codec(MemorySchemaIds())
    codec.register(SUBJECT, UNION)
    with contextlib.suppress(UndecodableError):
        assert type(codec.decode(b"\0\0\0\0\1" + body, UNION)) in UNION


def test_when_the_record_belongs_to_another_topic_then_the_error_names_both(codec: Codec) -> None:
    data = codec.encode(SUBJECT, UNION, sample(ChunkEmbedded))
    with pytest.raises(UndecodableError, match=r"wanted one of DocumentChanged, DocumentDeleted, got a .*Embedded"):
        codec.decode(data, DOCUMENT_CHANGED.events)


def test_when_another_topics_union_shares_the_class_then_it_is_read(codec: Codec) -> None:
    deleted = DocumentDeleted(tenant="acme", document="a.md", reason="gone")
    data = codec.encode(DOCUMENT_PARSED.subject, DOCUMENT_PARSED.events, deleted)
    assert codec.decode(data, UNION) == deleted


def test_when_the_id_is_unknown_then_it_is_another_error_than_damage(codec: Codec) -> None:
    with pytest.raises(SchemaUnknownError, match="9"):
        codec.decode(b"\0\0\0\0\x09aa", UNION)


def test_when_the_registered_schema_is_no_avro_then_the_record_is_undecodable(
    codec: Codec, ids: MemorySchemaIds
) -> None:
    schema_id = ids.id_of("odd", '{"type": "nonsense"}')
    with pytest.raises(UndecodableError, match="no Avro that can be read"):
        codec.decode(b"\0" + schema_id.to_bytes(4, "big") + b"aa", UNION)


def misfits() -> list[tuple[Event, str]]:
    return [
        (sample(CostRecorded), "wanted one of .* got a CostRecorded"),
        (DocumentDeleted(tenant="acme", document=7), "wanted a DocumentDeleted that fits"),  # type: ignore[arg-type]
        (DocumentDeleted(tenant="acme", document="\ud800"), "wanted a DocumentDeleted that fits"),
        (DocumentDeleted(tenant="acme", document="d", occurred_at=Micros(2**63)), "fits its schema"),
    ]


@pytest.mark.parametrize(("event", "message"), misfits())
def test_when_an_event_does_not_fit_then_it_is_not_sent(codec: Codec, event: Event, message: str) -> None:
    with pytest.raises(UnencodableError, match=message):
        codec.encode(SUBJECT, UNION, event)


def written_by_another(codec: Codec, ids: MemorySchemaIds, schema: Any, fields: dict[str, Any]) -> Event:
    """What our reader makes of one record that another version of the class wrote."""
    import io

    import fastavro

    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), (f"{schema[0]['namespace']}.FeedbackGiven", fields))
    schema_id = ids.id_of("another", json.dumps(schema))
    return codec.decode(b"\0" + schema_id.to_bytes(4, "big") + out.getvalue(), FEEDBACK_GIVEN.events)


FIELDS = {"tenant": "acme", "answer_id": "a1", "rating": "up"}


def test_when_an_older_writer_lacked_a_field_then_our_default_fills_it(codec: Codec, ids: MemorySchemaIds) -> None:
    older = render(FEEDBACK_GIVEN.events)
    older[0]["fields"] = [field for field in older[0]["fields"] if field["name"] not in ("correction", "trail")]
    event = written_by_another(codec, ids, older, {**FIELDS, "comment": "well"})
    assert event == FeedbackGiven(tenant="acme", answer_id="a1", rating="up", comment="well")


def test_when_a_newer_writer_has_a_field_more_then_it_is_skipped(codec: Codec, ids: MemorySchemaIds) -> None:
    newer = render(FEEDBACK_GIVEN.events)
    newer[0]["fields"].insert(2, {"name": "mood", "type": ["null", "string"], "default": None})
    event = written_by_another(codec, ids, newer, {**FIELDS, "mood": "good"})
    assert event == FeedbackGiven(tenant="acme", answer_id="a1", rating="up")


def test_when_a_newer_writer_uses_a_new_word_then_we_read_unknown(codec: Codec, ids: MemorySchemaIds) -> None:
    newer = render(FEEDBACK_GIVEN.events)
    rating = next(field for field in newer[0]["fields"] if field["name"] == "rating")
    rating["type"]["symbols"].append("sideways")
    event = written_by_another(codec, ids, newer, {**FIELDS, "rating": "sideways"})
    assert isinstance(event, FeedbackGiven)
    assert event.rating == "UNKNOWN"


def test_when_a_newer_writer_has_another_record_in_its_union_then_ours_still_reads(
    codec: Codec, ids: MemorySchemaIds
) -> None:
    newer = [*render(FEEDBACK_GIVEN.events), {"type": "record", "name": "X", "namespace": "rag.x.v1", "fields": []}]
    assert written_by_another(codec, ids, newer, FIELDS) == FeedbackGiven(tenant="acme", answer_id="a1", rating="up")


def test_when_values_nest_then_they_come_back_as_our_classes(codec: Codec) -> None:
    parsed = sample(DOCUMENT_PARSED.events[0])
    back = codec.decode(codec.encode(DOCUMENT_PARSED.subject, DOCUMENT_PARSED.events, parsed), DOCUMENT_PARSED.events)
    assert isinstance(back.blocks[0], Block)  # type: ignore[attr-defined]
    assert isinstance(back.blocks, tuple)  # type: ignore[attr-defined]


def test_when_a_topic_is_read_several_times_then_its_last_events_are_decoded_once(ids: MemorySchemaIds) -> None:
    codec = Codec(ids, again=[UNION])
    events = [msgspec.structs.replace(sample(ChunkEmbedded), event_id=f"e{number}") for number in range(RECENT + 2)]
    values = [codec.encode(SUBJECT, UNION, event) for event in events]
    first = [codec.decode(value, UNION) for value in values]
    assert first == events
    assert codec.decode(values[-1], UNION) is first[-1]
    oldest = codec.decode(values[0], UNION)
    assert (oldest, oldest is first[0]) == (events[0], False), "more are kept than there is room for"
    with pytest.raises(UndecodableError):
        codec.decode(values[-1][:-1], UNION)
