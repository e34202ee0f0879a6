"""capture: which document a row is, which events its change makes, and what it refuses to guess."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from adapters.memory import MemoryClaims
from processors.contract import Reject
from processors.ingest.capture import (
    INLINE_BYTES,
    MAX_COLUMN_CHARS,
    Captured,
    SourceMapping,
    TableMapping,
    capture,
)
from processors.ingest.heads import NO_ACCESS_VERSION
from schemas.changes import FLOOR, UNAVAILABLE, SourceRecord
from schemas.documents import AccessChanged, DocumentChanged, DocumentDeleted, DocumentHead
from tests.processors.ingest.builders import at

OPEN = TableMapping(id_columns=("id",), body="body", title="title", tenant="acme", media_type="text/markdown")
GUARDED = TableMapping(
    id_columns=("space", "id"), body="body", tenant_column="org", access_column="readers", uri_column="url"
)
MAPPING = SourceMapping({"docs": OPEN, "pages": GUARDED})

CLAIMS = MemoryClaims()


def none_of(_: str) -> list[DocumentHead]:
    return []


DOC = {"id": 7, "title": "Tea", "body": "It is hot."}
PAGE = {"org": "acme", "space": "a/b", "id": 7, "body": "It is hot.", "url": "https://x/7", "readers": ["group:a"]}


def capture_all(
    op: str, table: str, before: Any = None, after: Any = None, lsn: int | None = 40, key: Any = None
) -> list[Captured]:
    value = {"op": op, "before": before, "after": after, "source": {"table": table, "lsn": lsn}}
    record = SourceRecord(
        tenant="",
        topic=f"cdc.public.{table}",
        partition=0,
        offset=3,
        key=json.dumps(key).encode() if key else b"",
        value=json.dumps(value).encode(),
    )
    return list(capture(record, MAPPING, CLAIMS, none_of))


@pytest.mark.parametrize("op", ["c", "r", "u"])
def test_when_a_row_is_written_then_its_document_changes(op: str) -> None:
    assert capture_all(op, "docs", None, DOC) == [
        DocumentChanged(
            tenant="acme",
            document="docs/7",
            media_type="text/markdown",
            body=b"It is hot.",
            title="Tea",
            access=("*",),
            version=at(3, source=40),
        )
    ]


def test_when_a_row_is_deleted_then_its_document_is_gone_with_a_version_of_its_own() -> None:
    (event,) = capture_all("d", "docs", DOC, None)
    assert event == DocumentDeleted(
        tenant="acme", document="docs/7", reason="deleted at the source", version=at(3, source=40)
    )


def test_when_only_the_key_is_known_of_a_deleted_row_then_that_is_enough() -> None:
    (event,) = capture_all("d", "docs", {"id": 7, "title": None, "body": None}, None)
    assert event.document == "docs/7"
    (event,) = capture_all("d", "docs", None, None, key={"id": 7})
    assert event.document == "docs/7"


def test_when_the_tombstone_follows_then_it_is_the_same_delete() -> None:
    record = SourceRecord(tenant="", topic="cdc.public.docs", partition=0, offset=4, key=b'{"id": 7}', value=None)
    assert list(capture(record, MAPPING, CLAIMS, none_of)) == []


def test_when_a_table_is_not_declared_then_its_rows_are_passed_over() -> None:
    assert capture_all("c", "invoices", None, DOC) == []


def test_when_a_key_has_parts_then_no_two_of_them_look_alike() -> None:
    one = capture_all("c", "pages", None, PAGE)[0].document
    other = capture_all("c", "pages", None, {**PAGE, "space": "a", "id": "b/7"})[0].document
    assert (one, other) == ("pages/a%2Fb/7", "pages/a/b%2F7")


def test_when_a_guarded_row_is_new_then_access_and_content_go_their_own_ways() -> None:
    access, content = capture_all("c", "pages", None, PAGE)
    assert isinstance(access, AccessChanged)
    assert isinstance(content, DocumentChanged)
    assert (access.access, access.version) == (("group:a",), at(3, source=40))
    assert (content.access, content.source_uri, content.tenant) == (("group:a",), "https://x/7", "acme")


def test_when_only_the_readers_change_then_the_content_is_left_alone() -> None:
    events = capture_all("u", "pages", PAGE, {**PAGE, "readers": ["group:b"]})
    assert [type(event) for event in events] == [AccessChanged]


def test_when_only_the_content_changes_then_the_access_list_is_left_alone() -> None:
    events = capture_all("u", "pages", PAGE, {**PAGE, "body": "It is cold."})
    assert [type(event) for event in events] == [DocumentChanged]


def test_when_other_columns_change_then_there_is_nothing_to_do() -> None:
    assert capture_all("u", "pages", {**PAGE, "views": 1}, {**PAGE, "views": 2}) == []


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (["group:a", "user:b"], ("group:a", "user:b")),
        ('["group:a"]', ("group:a",)),
        ("group:a, user:b ,", ("group:a", "user:b")),
        ("", ()),
        ([], ()),
        (None, ()),
    ],
)
def test_when_readers_are_written_in_any_way_then_they_are_the_same_list(stated: Any, expected: Any) -> None:
    access = capture_all("c", "pages", None, {**PAGE, "readers": stated})[0]
    assert isinstance(access, AccessChanged)
    assert access.access == expected


def test_when_a_large_body_did_not_change_then_it_is_taken_from_the_row_as_it_was() -> None:
    (event,) = capture_all("u", "docs", DOC, {**DOC, "title": "Green tea", "body": UNAVAILABLE})
    assert isinstance(event, DocumentChanged)
    assert (event.title, event.body) == ("Green tea", b"It is hot.")


@pytest.mark.parametrize("before", [None, {"id": 7, "title": None, "body": None}])
def test_when_a_large_body_is_nowhere_then_it_is_never_indexed(before: Any) -> None:
    with pytest.raises(Reject, match="REPLICA IDENTITY FULL"):
        capture_all("u", "docs", before, {**DOC, "body": UNAVAILABLE})


def test_when_readers_change_beside_a_large_body_then_the_revocation_is_not_lost() -> None:
    events = capture_all("u", "pages", None, {**PAGE, "body": UNAVAILABLE, "readers": []})
    assert [(type(event), getattr(event, "access", None)) for event in events] == [(AccessChanged, ())]


@pytest.mark.parametrize("empty", [None, ""])
def test_when_a_row_loses_its_text_then_the_document_is_gone(empty: str | None) -> None:
    (event,) = capture_all("u", "docs", None, {**DOC, "body": empty})
    assert isinstance(event, DocumentDeleted)
    assert event.reason == "its text was emptied"


def test_when_a_table_is_truncated_then_it_is_refused_unless_declared() -> None:
    with pytest.raises(Reject, match="names no documents"):
        capture_all("t", "docs")
    mapping = SourceMapping({"docs": TableMapping(id_columns=("id",), body="b", tenant="a", truncate="ignore")})
    value = b'{"op": "t", "source": {"table": "docs"}}'
    record = SourceRecord(tenant="", topic="t", partition=0, offset=0, key=b"", value=value)
    assert list(capture(record, mapping, CLAIMS, none_of)) == []


@pytest.mark.parametrize(
    ("table", "after", "reason"),
    [
        ("docs", {"id": 7, "title": "Tea"}, "wanted column 'body' of table 'docs', got id, title"),
        ("docs", {"title": "Tea", "body": "x"}, "wanted column 'id'"),
        ("pages", {**PAGE, "org": None}, "wanted column 'org'"),
        ("pages", {**PAGE, "readers": 7}, "wanted an array in column 'readers', got int"),
        ("pages", {**PAGE, "readers": "[oops"}, "wanted a JSON array in column 'readers'"),
    ],
)
def test_when_a_row_does_not_fit_the_mapping_then_it_says_where(table: str, after: Any, reason: str) -> None:
    with pytest.raises(Reject, match=reason):
        capture_all("c", table, None, after)


def test_when_a_record_is_no_change_event_then_it_is_refused() -> None:
    record = SourceRecord(tenant="", topic="cdc.public.docs", partition=0, offset=0, key=b"", value=b"\x00garbage")
    with pytest.raises(Reject, match="wanted a JSON value"):
        list(capture(record, MAPPING, CLAIMS, none_of))


@pytest.mark.parametrize(
    "wrong",
    [{"id_columns": ()}, {"tenant": ""}, {"tenant_column": "org"}],
    ids=["no key", "no tenant", "two tenants"],
)
def test_when_a_mapping_names_no_document_then_it_is_refused_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="wanted id_columns, and either tenant or tenant_column"):
        TableMapping(**{"id_columns": ("id",), "body": "body", "tenant": "acme", **wrong})


def test_when_a_row_goes_to_another_tenant_then_the_document_it_was_is_gone() -> None:
    moved = capture_all("u", "pages", PAGE, {**PAGE, "org": "other"})
    assert [(type(event).__name__, event.tenant) for event in moved] == [
        ("DocumentDeleted", "acme"),
        ("AccessChanged", "other"),
        ("DocumentChanged", "other"),
    ]


def test_when_the_columns_of_a_name_change_then_the_document_of_the_old_name_is_gone() -> None:
    gone, _, changed = capture_all("u", "pages", PAGE, {**PAGE, "space": "c", "body": UNAVAILABLE})
    assert (gone.document, changed.document) == ("pages/a%2Fb/7", "pages/c/7")
    assert isinstance(changed, DocumentChanged) and changed.body == b"It is hot."


@pytest.mark.parametrize("extra", [0, 1])
def test_when_a_text_is_large_then_it_is_claimed(extra: int) -> None:
    body = "x" * (INLINE_BYTES + extra)
    (event,) = capture_all("c", "docs", None, {**DOC, "body": body})
    assert isinstance(event, DocumentChanged)
    if not extra:
        assert (event.body, event.claim) == (body.encode(), None)
        return
    assert event.body is None and event.claim is not None
    assert CLAIMS.get(event.claim.uri, hashlib.sha256(body.encode()).hexdigest()) == body.encode()


def test_when_a_text_was_cut_off_then_it_is_refused_and_not_indexed_in_part() -> None:
    with pytest.raises(Reject, match="cut off there; split the document"):
        capture_all("c", "docs", None, {**DOC, "body": "x" * MAX_COLUMN_CHARS})


def head(document: str, source: int, gone: bool = False) -> DocumentHead:
    return DocumentHead(
        tenant="acme", document=document, version=at(0, source=source), access_version=NO_ACCESS_VERSION,
        generation="g1", gone=gone,
    )  # fmt: skip


def test_when_a_truncated_table_is_to_delete_then_what_was_older_is_gone_and_what_is_newer_stays() -> None:
    heads = [head("docs/1", 10), head("docs/2", 40), head("docs/3", 99), head("docs/4", 10, gone=True)]
    mapping = SourceMapping({"docs": TableMapping(id_columns=("id",), body="b", tenant="acme", truncate="delete")})
    value = b'{"op": "t", "source": {"table": "docs", "lsn": 40}}'
    record = SourceRecord(tenant="", topic="t", partition=0, offset=3, key=b"", value=value)
    events = list(capture(record, mapping, CLAIMS, lambda prefix: [h for h in heads if h.document.startswith(prefix)]))
    assert [(event.document, event.version) for event in events] == [
        ("docs/1", at(3, source=40)),
        ("docs/2", at(3, source=40)),
    ]


@pytest.mark.parametrize(
    ("op", "snapshot", "lsn", "position"),
    [
        ("r", "first", 70, 50),  # A snapshot's rows are at the floor, whatever its own position is.
        ("r", "incremental", 70, 70),
        ("u", "false", 40, 50),  # In a transaction that was open while the snapshot was taken.
        ("u", "false", 60, 60),
    ],
)
def test_when_the_connector_states_a_floor_then_what_streams_is_never_older_than_its_snapshot(
    op: str, snapshot: str, lsn: int, position: int
) -> None:
    value = {"op": op, "after": DOC, FLOOR: "50", "source": {"table": "docs", "lsn": lsn, "snapshot": snapshot}}
    record = SourceRecord(
        tenant="", topic="cdc.public.docs", partition=0, offset=3, key=b"", value=json.dumps(value).encode()
    )
    (event,) = capture(record, MAPPING, CLAIMS, none_of)
    assert event.version == at(3, source=position)


@pytest.mark.parametrize(
    ("op", "said", "trail"),
    [
        ("u", {"ts_ms": 1_700_000_000_000}, {"source": 1_700_000_000_000_000}),
        ("u", {"ts_ms": 1_700_000_000_000, "ts_us": 1_700_000_000_000_123}, {"source": 1_700_000_000_000_123}),
        ("r", {"ts_ms": 1_700_000_000_000}, {}),
        ("u", {"ts_ms": "soon"}, {}),
        ("u", {}, {}),
    ],
)
def test_when_the_source_says_when_it_committed_then_the_freshness_clock_starts_there(
    op: str, said: dict[str, Any], trail: dict[str, int]
) -> None:
    source = {"table": "docs", "lsn": 40, **said}
    value = json.dumps({"op": op, "before": None, "after": {"id": 7, "body": "Tea."}, "source": source}).encode()
    record = SourceRecord(tenant="", topic="cdc.public.docs", partition=0, offset=3, key=b"", value=value)
    table = TableMapping(id_columns=("id",), body="body", tenant="acme")
    (event,) = capture(record, SourceMapping({"docs": table}), CLAIMS, none_of)
    assert event.trail == trail
