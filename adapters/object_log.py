"""The local index's own log: every object it holds, vector included, appended and check-summed, on one file.

Keywords and matrices are built from it, so a write that reached this file survives a kill -9, and what was
cut off in the middle of a write is dropped when the file is opened again.

File: MAGIC, then records. Record: length, CRC-32 of the body, CRC-32 of those two (little-endian), body (MessagePack).
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from adapters.errors import AdapterError
from processors.ports import IndexObject

__all__ = ["IndexFolderError", "ObjectLog", "Opened", "Record", "Regranted", "Removed", "Written"]

MAGIC: Final = b"headwater objects 1\n"
_HEADER: Final = struct.Struct("<III")
_CHECKED: Final = struct.Struct("<II")


class IndexFolderError(AdapterError):
    """The folder of the local index is held by another process, or what it holds can't be read."""


class Written(msgspec.Struct, frozen=True, tag="w", array_like=True):
    """An object in full. `seq` numbers every operation on the index, and only grows."""

    seq: int
    object: IndexObject


class Removed(msgspec.Struct, frozen=True, tag="r", array_like=True):
    """Objects that are gone."""

    seq: int
    tenant: str
    object_ids: tuple[str, ...]


class Regranted(msgspec.Struct, frozen=True, tag="a", array_like=True):
    """An object whose access list is another one now; its vector stays where it is."""

    seq: int
    tenant: str
    object_id: str
    access: tuple[str, ...]


class Opened(msgspec.Struct, frozen=True, tag="o", array_like=True):
    """Opens a compacted log: sequence numbers go on after `seq`, whatever was left out."""

    seq: int


Record = Written | Removed | Regranted | Opened

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final[msgspec.msgpack.Decoder[Record]] = msgspec.msgpack.Decoder(Record)


class ObjectLog:
    """An append-only file of records. Use it through LocalIndex; one writer at a time.

    `append` hands the bytes to the operating system before it returns: they survive the process, not a power cut
    (the Kafka log does, and rebuilds this one). Raises IndexFolderError where the file is damaged, OSError where it
    can't be written; then nothing of the records was kept.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = os.fstat(self._fd).st_size
        if self._size < len(MAGIC):
            os.ftruncate(self._fd, 0)
            self._size = 0
            self._write(MAGIC)

    @property
    def size(self) -> int:
        """Bytes that hold."""
        return self._size

    def replay(self) -> Iterator[Record]:
        """Every record from the start. A record that was cut off at the end is dropped from the file."""
        data = self._path.read_bytes()
        if not data.startswith(MAGIC):
            raise IndexFolderError(self._damaged(0, "it does not begin as a log of this version does"))
        at = len(MAGIC)
        while (end := self._end_of(data, at)) is not None:
            yield self._record(data, at, end)
            at = end
        if at < len(data):
            os.ftruncate(self._fd, at)
            self._size = at

    def append(self, records: Iterable[Record]) -> int:
        """Adds the records in one write and returns where they begin; see `truncate`."""
        before = self._size
        try:
            self._write(b"".join(map(_framed, records)))
        except OSError:
            self.truncate(before)
            raise
        return before

    def truncate(self, size: int) -> None:
        """Takes back what was appended after `size`."""
        os.ftruncate(self._fd, size)
        self._size = size

    def rewrite(self, records: Iterable[Record]) -> None:
        """Replaces the whole log at once: a crash leaves either the old or the new one."""
        fresh = self._path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        other = ObjectLog(fresh)
        try:
            other._write(b"".join(map(_framed, records)))
            fresh.replace(self._path)
        except OSError:
            other.close()
            fresh.unlink(missing_ok=True)
            raise
        os.close(self._fd)
        self._fd, self._size = other._fd, other._size

    def close(self) -> None:
        os.close(self._fd)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        self._size += len(data)

    def _end_of(self, data: bytes, at: int) -> int | None:
        """Where the record at `at` ends, None where the file ends before it does."""
        if at + _HEADER.size > len(data):
            return None
        length, crc, check = _HEADER.unpack_from(data, at)
        if zlib.crc32(_CHECKED.pack(length, crc)) != check:
            if not data[at:].strip(b"\0"):
                return None
            raise IndexFolderError(self._damaged(at, "the header of a record does not match its checksum"))
        end = at + _HEADER.size + length
        if end > len(data):
            return None
        if zlib.crc32(memoryview(data)[at + _HEADER.size : end]) != crc:
            raise IndexFolderError(self._damaged(at, "a record does not match its checksum"))
        return int(end)

    def _record(self, data: bytes, at: int, end: int) -> Record:
        try:
            return _DECODER.decode(memoryview(data)[at + _HEADER.size : end])
        except msgspec.DecodeError as error:
            raise IndexFolderError(self._damaged(at, f"a record is of another version ({error})")) from error

    def _damaged(self, at: int, why: str) -> str:
        return (
            f"wanted the log of the local index in {str(self._path)!r}, found damage at byte {at}: {why}; "
            f"remove the folder {str(self._path.parent)!r}: the index is rebuilt from the Kafka log"
        )


def _framed(record: Record) -> bytes:
    body = _ENCODER.encode(record)
    crc = zlib.crc32(body)
    return _HEADER.pack(len(body), crc, zlib.crc32(_CHECKED.pack(len(body), crc))) + body
