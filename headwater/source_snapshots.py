"""Whether the snapshot of a source began more than once, as what it wrote tells.

A connector that ends in the middle of its snapshot begins a new one, and streams from there. Of a row that the first
one told of, and that was deleted before the second, nobody tells any more: its document would stay for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from adapters.host import SystemClock
from schemas.changes import FLOOR
from schemas.codec import Codec
from streams.reading import Reader, Slice
from streams.settings import Kafka

__all__ = ["began_anew"]

_ROW: Final = b'"op":"r"'


class _Source(msgspec.Struct):
    lsn: int | None = None
    snapshot: str = ""


class _Read(msgspec.Struct):
    """What is asked of a row of a snapshot."""

    source: _Source


def began_anew(kafka: Kafka, codec: Codec, topics: Iterable[str], floor: str) -> bool:
    """Whether the newest snapshot, the one with this floor, was begun more than once.

    It looks at every record of the topics, and decodes those of snapshots. Raises what reading raises.
    """
    mark = f'"{FLOOR}":"{floor}"'.encode()
    part = Slice(keep=lambda _, value: bool(value) and mark in value and _ROW in value)
    with Reader(kafka, codec, SystemClock()) as reader:
        for topic in topics:
            begun = {_position(reading.value) for reading in reader.read(topic, part) if reading.value}
            if len(begun - {None}) > 1:
                return True
    return False


def _position(value: bytes) -> int | None:
    """Where the log of the database was when the snapshot of a row was begun; None for rows of other snapshots."""
    try:
        source = msgspec.json.decode(value, type=_Read).source
    except msgspec.DecodeError:
        return None
    return None if source.snapshot == "incremental" else source.lsn
