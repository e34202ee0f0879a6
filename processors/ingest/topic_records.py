"""Records of any topic with a declared mapping, for the capture step: value, key and tombstone become a change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from processors.contract import Reject
from processors.ingest.mapping import TopicMapping, mapped, tombstoned
from schemas.changes import SourceRecord
from schemas.documents import DocumentChanged, DocumentDeleted
from schemas.errors import UndecodableError

__all__ = ["captured"]


def captured(
    record: SourceRecord, mapping: TopicMapping, avro: Callable[[bytes], Any]
) -> DocumentChanged | DocumentDeleted:
    """The change that a record of a mapped topic tells of; `avro` reads framed Avro. Raises Reject with the reason."""
    if record.value is None:
        return tombstoned(mapping, record.key)
    found = _avro(record.value, avro) if mapping.format == "avro" else _json(record.value)
    if not isinstance(found, dict):
        raise Reject(f"wanted an object on topic {record.topic!r}, got {type(found).__name__}")
    return mapped(found, mapping, record.key, record.offset)


def _json(value: bytes) -> Any:
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Reject(f"wanted JSON, got {value[:40]!r}: {error}; declare format: avro if that is what it is") from error


def _avro(value: bytes, avro: Callable[[bytes], Any]) -> Any:
    try:
        return avro(value)
    except UndecodableError as error:
        raise Reject(str(error)) from error
