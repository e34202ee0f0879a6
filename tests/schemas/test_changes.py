"""Debezium's records in our words: every dress they come in, and what is no change at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.changes import ChangeError, RowChange, SourceRecord, read_change


def record(value: Any, key: Any = None, topic: str = "cdc.public.docs") -> SourceRecord:
    return SourceRecord(
        tenant="",
        topic=topic,
        partition=0,
        offset=5,
        key=b"" if key is None else json.dumps(key).encode(),
        value=None if value is None else value if isinstance(value, bytes) else json.dumps(value).encode(),
    )


def envelope(op: str, before: Any = None, after: Any = None, **source: Any) -> dict[str, Any]:
    return {
        "before": before,
        "after": after,
        "source": {"version": "3.6.1.Final", "connector": "postgresql", "table": "docs", "lsn": 77, **source},
        "op": op,
        "ts_ms": 1,
        "transaction": None,
    }


def wrapped(payload: Any) -> dict[str, Any]:
    return {"schema": {"type": "struct", "fields": []}, "payload": payload}


ROW = {"id": 1, "body": "text"}


@pytest.mark.parametrize("dress", [lambda value: value, wrapped], ids=["bare", "wrapped"])
@pytest.mark.parametrize(
    ("op", "before", "after", "operation"),
    [
        ("c", None, ROW, "upsert"),
        ("r", None, ROW, "upsert"),
        ("u", {"id": 1, "body": "old"}, ROW, "upsert"),
        ("d", ROW, None, "delete"),
        ("t", None, None, "truncate"),
    ],
)
def test_when_an_envelope_comes_then_it_is_read_in_either_dress(
    dress: Any, op: str, before: Any, after: Any, operation: Any
) -> None:
    found = read_change(record(dress(envelope(op, before, after)), dress({"id": 1})))
    assert found == RowChange(
        operation=operation, table="docs", position=77, key={"id": 1}, before=before or {}, after=after or {}
    )


@pytest.mark.parametrize(
    ("value", "operation", "position"),
    [
        ({**ROW, "__op": "c", "__lsn": 8, "__table": "docs"}, "upsert", 8),
        ({**ROW, "__op": "u", "__source_lsn": "9"}, "upsert", 9),
        ({**ROW, "__deleted": "false"}, "upsert", 0),
        ({**ROW, "__deleted": "true", "__op": "d", "__lsn": 10}, "delete", 10),
        ({**ROW, "__deleted": True}, "delete", 0),
    ],
)
def test_when_a_row_comes_unwrapped_then_its_fields_say_what_happened(
    value: dict[str, Any], operation: str, position: int
) -> None:
    found = read_change(record(value))
    assert found is not None
    assert (found.operation, found.position, found.table) == (operation, position, "docs")
    assert (found.before if operation == "delete" else found.after) == ROW


@pytest.mark.parametrize(
    "value",
    [
        None,
        envelope("m") | {"message": {"prefix": "x", "content": "eA=="}},
        {"ts_ms": 1_700_000_000_000},
        wrapped({"ts_ms": 1}),
    ],
    ids=["tombstone", "message", "heartbeat", "wrapped heartbeat"],
)
def test_when_a_record_changes_no_row_then_it_says_nothing(value: Any) -> None:
    assert read_change(record(value, {"id": 1})) is None


def test_when_a_snapshot_has_no_position_then_it_is_zero() -> None:
    found = read_change(record(envelope("r", None, ROW, lsn=None, snapshot="last")))
    assert found is not None
    assert found.position == 0


def test_when_the_source_names_no_table_then_the_topic_does() -> None:
    found = read_change(record(envelope("c", None, ROW, table=None), topic="cdc.public.pages"))
    assert found is not None
    assert found.table == "pages"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\x00\x00\x00\x00\x01abc", "wanted a JSON value"),
        (b"\xff\xfe", "wanted a JSON value"),
        (b"[1, 2]", "wanted a JSON object as value, got list"),
        (wrapped(None), "wanted a JSON object as value, got NoneType"),
        ({"id": 1, "body": "x"}, "got an object with the fields body, id"),
        ({}, "got an object with no fields"),
        (envelope("x", None, ROW), "wanted op to be one of c, u, r, d, t or m, got 'x'"),
        ({**ROW, "__op": "z"}, "wanted __op"),
        (envelope("c", None, [1]), "wanted after to be an object or null, got list"),
        (envelope("c", None, ROW, lsn="0/16B3748"), "wanted the LSN as a number"),
        (envelope("c", None, ROW, lsn=-4), "wanted the LSN as a number"),
        (envelope("c", None, ROW, lsn=True), "wanted the LSN as a number"),
    ],
)
def test_when_a_record_is_no_change_event_then_the_error_says_what_came(value: Any, reason: str) -> None:
    with pytest.raises(ChangeError, match=reason):
        read_change(record(value))


def test_when_the_key_is_no_json_then_the_error_says_so() -> None:
    broken = SourceRecord(tenant="", topic="t", partition=0, offset=0, key=b"\x01", value=b'{"op": "c"}')
    with pytest.raises(ChangeError, match="wanted a JSON key"):
        read_change(broken)
