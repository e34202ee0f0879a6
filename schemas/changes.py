"""A source's own record, and Debezium's change events in our words.

Debezium writes JSON in several dresses: the envelope (`before`, `after`, `source`, `op`), bare or wrapped in
`{schema, payload}`, or the row alone with `__op` and `__deleted` where its transform unwraps. All become a RowChange.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

import msgspec

from schemas.envelope import Event, Micros, Value
from schemas.errors import SchemaError

__all__ = ["FLOOR", "UNAVAILABLE", "ChangeError", "Row", "RowChange", "SourceRecord", "read_change"]

Row = dict[str, Any]
Operation = Literal["upsert", "delete", "truncate"]

UNAVAILABLE: Final = "__debezium_unavailable_value"
"""Stands for a large column (TOAST) that this update did not touch, and whose text it therefore does not carry."""

FLOOR: Final = "headwater_floor"
"""Added to every record by the connectors that we write: the LSN at which the source was added or renewed."""

OPERATIONS: Final[dict[str, Operation]] = {"c": "upsert", "u": "upsert", "r": "upsert", "d": "delete", "t": "truncate"}
_POSITION: Final = re.compile(r"\d{1,20}")


class ChangeError(SchemaError):
    """A record is not a change event; the message says what came instead."""


class SourceRecord(Event, frozen=True, kw_only=True):
    """A record of another system's topic, its bytes untouched; `value` is None for a tombstone."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes | None = None


class RowChange(Value, frozen=True, kw_only=True):
    """What happened to a row. `key` holds its primary key; `position` is the LSN, 0 where the source gives none.

    A connector of ours states a floor: rows of its snapshot are exactly there, and no change is below. A change of a
    transaction that was open during the snapshot has a lower LSN than the snapshot, and yet is newer.
    Source: `docs/adr/0012-rows-as-documents.md`.

    Rows that are not known are empty: `before` without REPLICA IDENTITY FULL, `after` of a delete. `committed_at` is
    the source's own time of the commit, 0 where it says none; a row of a snapshot was committed nobody knows when.
    """

    operation: Operation
    table: str
    position: int
    key: Row
    before: Row
    after: Row
    committed_at: Micros = Micros(0)


def read_change(record: SourceRecord) -> RowChange | None:
    """The change that a record tells of; None for what is no change of a row: tombstones, messages, heartbeats.

    >>> value = b'{"op": "c", "after": {"id": 1}, "source": {"table": "docs", "lsn": 7}}'
    >>> read_change(SourceRecord(tenant="", topic="t", partition=0, offset=0, key=b"", value=value)).position
    7

    Raises ChangeError. A tombstone follows the delete that it repeats, so it says nothing of its own.
    """
    if record.value is None:
        return None
    value = _payload(record.value, "value")
    key = _payload(record.key, "key") if record.key else {}
    if "op" in value:
        return _enveloped(value, key, record)
    if "__op" in value or "__deleted" in value:
        return _unwrapped(value, key, record)
    if "ts_ms" in value and "before" not in value and "after" not in value:
        return None
    raise ChangeError(
        f"wanted a Debezium change event (op, or __op and __deleted), got an object with {_some(value)}; "
        "unwrapping needs add.fields=op,lsn and delete.tombstone.handling.mode=rewrite"
    )


def _payload(data: bytes, what: str) -> Row:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ChangeError(f"wanted a JSON {what}, got {data[:40]!r}: {error}; use Debezium's JSON converter") from error
    if isinstance(found, dict) and found.keys() == {"schema", "payload"}:
        found = found["payload"]
    if not isinstance(found, dict):
        raise ChangeError(f"wanted a JSON object as {what}, got {type(found).__name__}")
    return found


def _enveloped(value: Row, key: Row, record: SourceRecord) -> RowChange | None:
    operation = value["op"]
    if operation == "m":
        return None
    if operation not in OPERATIONS:
        raise ChangeError(f"wanted op to be one of {', '.join(OPERATIONS)} or m, got {operation!r}")
    source = _row(value, "source")
    return RowChange(
        operation=OPERATIONS[operation],
        table=str(source.get("table") or record.topic.rsplit(".", 1)[-1]),
        position=_placed(operation, source, _position(value.get(FLOOR))),
        key=key,
        before=_row(value, "before"),
        after=_row(value, "after"),
        committed_at=_moment(source, "") if operation != "r" else Micros(0),
    )


def _unwrapped(value: Row, key: Row, record: SourceRecord) -> RowChange | None:
    deleted = str(value.get("__deleted", "false")).lower() == "true"
    operation = "d" if deleted else value.get("__op", "u")
    if operation not in OPERATIONS:
        raise ChangeError(f"wanted __op to be one of {', '.join(OPERATIONS)}, got {operation!r}")
    row = {name: column for name, column in value.items() if not name.startswith("__")}
    return RowChange(
        operation=OPERATIONS[operation],
        table=str(value.get("__table") or value.get("__source_table") or record.topic.rsplit(".", 1)[-1]),
        position=_position(value.get("__lsn", value.get("__source_lsn"))),
        key=key,
        before=row if operation == "d" else {},
        after={} if operation == "d" else row,
        committed_at=_moment(value, "__source_") if operation != "r" else Micros(0),
    )


def _row(value: Row, name: str) -> Row:
    found = value.get(name) or {}
    if not isinstance(found, dict):
        raise ChangeError(f"wanted {name} to be an object or null, got {type(found).__name__}")
    return found


def _placed(operation: str, source: Row, floor: int) -> int:
    lsn = _position(source.get("lsn"))
    if floor and operation == "r" and source.get("snapshot") != "incremental":
        return floor
    return max(lsn, floor)


def _position(lsn: object) -> int:
    """The LSN as a number, 0 where there is none (snapshots of some connectors)."""
    if lsn is None:
        return 0
    if isinstance(lsn, bool) or not _POSITION.fullmatch(str(lsn)):
        raise ChangeError(f"wanted the LSN as a number that is not negative, got {lsn!r}")
    return int(str(lsn))


def _moment(row: Row, prefix: str) -> Micros:
    """When a change was committed, as finely as it is said; what is no time is none."""
    for name, per_micro in ((f"{prefix}ts_us", 1), (f"{prefix}ts_ms", 1_000)):
        said = row.get(name)
        if isinstance(said, int) and not isinstance(said, bool) and said > 0:
            return Micros(said * per_micro)
    return Micros(0)


def _some(value: Row) -> str:
    names = sorted(value)[:5]
    return f"the fields {', '.join(names)}" if names else "no fields"
