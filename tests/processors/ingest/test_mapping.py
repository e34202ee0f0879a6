"""A declared mapping: every field by its path, a reason for whatever is not as declared."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.memory import MemoryClaims
from processors.contract import Reject
from processors.ingest.capture import SourceMapping, capture
from processors.ingest.mapping import KEY, FieldMapping, TopicMapping, mapped, tombstoned
from schemas.changes import SourceRecord
from schemas.documents import DocumentChanged, DocumentDeleted
from schemas.envelope import Event
from schemas.errors import UndecodableError
from tests.processors.ingest.builders import at

FULL = FieldMapping(
    tenant_field="/owner/tenant",
    id=("/kind", "/id"),
    prefix="crm",
    body="/lines/0/text",
    title="/title",
    access="/readers",
    uri="/url",
    deleted="/gone",
    version="/seq",
)
RECORD: dict[str, Any] = {
    "owner": {"tenant": "acme"},
    "kind": "note/a",
    "id": 7,
    "lines": [{"text": "Hello."}],
    "title": "Seven",
    "readers": ["group:a", " user:b "],
    "url": "https://crm/7",
    "seq": 41,
}


def test_when_all_fields_are_declared_then_each_is_found_by_its_path() -> None:
    event = mapped(RECORD, FULL, offset=3)
    assert isinstance(event, DocumentChanged)
    assert (event.tenant, event.document, event.body, event.title) == ("acme", "crm/note%2Fa/7", b"Hello.", "Seven")
    assert (event.access, event.source_uri) == (("group:a", "user:b"), "https://crm/7")
    assert event.version == at(3, source=41)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"gone": True}, DocumentDeleted),
        ({"gone": "false"}, DocumentChanged),
        ({"lines": []}, DocumentDeleted),
        ({"lines": [{"text": {"a": 1}}]}, DocumentChanged),
    ],
)
def test_when_a_record_says_that_it_is_gone_or_empty_then_it_is_a_delete(change: Any, kind: type[Event]) -> None:
    assert type(mapped(RECORD | change, FULL)) is kind


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": None}, "wanted text or a number at '/id', got None; the record has: "),
        ({"id": [1]}, "got \\[1\\]"),
        ({"owner": {"tenant": "a|b"}}, "without '\\|'"),
        ({"seq": -1}, "not negative at '/seq', got -1"),
        ({"seq": True}, "got True"),
        ({"readers": 5}, "got int"),
        ({"lines": [{"text": b"\xff"}]}, "UTF-8"),
    ],
)
def test_when_a_field_is_not_as_declared_then_the_reason_names_it(change: Any, reason: str) -> None:
    with pytest.raises(Reject, match=reason):
        mapped(RECORD | change, FULL)


def test_when_the_access_list_is_empty_then_nobody_is_admitted_and_without_one_everybody() -> None:
    nobody = mapped(RECORD | {"readers": ""}, FULL)
    everybody = mapped({name: value for name, value in RECORD.items() if name != "readers"}, FULL)
    assert isinstance(nobody, DocumentChanged) and nobody.access == ()
    assert isinstance(everybody, DocumentChanged) and everybody.access == ("*",)


@pytest.mark.parametrize("wrong", [{"id": ()}, {"tenant": "b", "tenant_field": "/t"}, {"body": "text"}])
def test_when_a_mapping_cannot_work_then_it_is_refused_at_the_start(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="wanted"):
        FieldMapping(**{"tenant": "acme", "body": "/text", **wrong})


NOTES = TopicMapping(tenant="acme", id=(KEY,), body="/text")


def record(value: bytes | None, key: bytes = b"k1", topic: str = "crm.notes") -> SourceRecord:
    return SourceRecord(tenant="", topic=topic, partition=0, offset=5, key=key, value=value)


def captured(one: SourceRecord, mapping: TopicMapping = NOTES, avro: Any = None) -> list[Event]:
    mapped = SourceMapping(topics={"crm.notes": mapping}, avro=avro)
    return list(capture(one, mapped, MemoryClaims(), lambda _: ()))


def test_when_a_topic_is_declared_then_capture_takes_its_records_and_no_others() -> None:
    (event,) = captured(record(b'{"text": "Hello."}'))
    assert isinstance(event, DocumentChanged)
    assert (event.document, event.version) == ("k1", None)
    with pytest.raises(Reject):
        captured(record(b'{"text": "Hello."}', topic="another"))


def test_when_the_key_names_the_document_then_a_tombstone_is_its_delete() -> None:
    (event,) = captured(record(None))
    assert isinstance(event, DocumentDeleted) and event.document == "k1"
    with pytest.raises(Reject, match="/id"):
        tombstoned(FieldMapping(tenant="acme", body="/text"), b"k1")


@pytest.mark.parametrize("value", [b"no json", b"[1]", b"\xff"])
def test_when_a_record_is_no_object_then_it_is_refused_with_what_came(value: bytes) -> None:
    with pytest.raises(Reject, match="wanted"):
        captured(record(value))


def test_when_values_are_avro_then_they_are_read_by_the_registry_and_refused_where_they_are_not() -> None:
    framed = TopicMapping(tenant="acme", id=(KEY,), body="/text", format="avro")
    (event,) = captured(record(b"from avro"), framed, lambda data: {"text": data.decode()})
    assert isinstance(event, DocumentChanged) and event.body == b"from avro"

    def broken(_: bytes) -> Any:
        raise UndecodableError("wanted a record framed with 0x00")

    with pytest.raises(Reject, match="framed"):
        captured(record(b"x"), TopicMapping(tenant="acme", body="/text", format="avro"), broken)
