"""Kafka's requests in a byte stream: found by their size fields, so that a proxy can keep back one of them.

A request is int32 size, int16 api key, int16 version, int32 correlation id, then what depends on the kind; an answer is
int32 size, int32 correlation id, then its body.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

PRODUCE: Final = 0
INIT_PRODUCER_ID: Final = 22
ADD_PARTITIONS_TO_TXN: Final = 24
ADD_OFFSETS_TO_TXN: Final = 25
END_TXN: Final = 26
TXN_OFFSET_COMMIT: Final = 28

_HEADER: Final = struct.Struct(">ihhi")
_SIZE: Final = struct.Struct(">i")
# What is kept back is a few hundred bytes; whatever says it is larger goes through untouched.
MOST_KEPT_BYTES: Final = 1 << 20


class FrameError(Exception):
    """Bytes that are no Kafka request or answer."""


@dataclass(frozen=True)
class Request:
    """One whole request as it came, its size field included."""

    api_key: int
    version: int
    correlation: int
    frame: bytes


@dataclass(frozen=True)
class EndTxn:
    """What an EndTxn of version 0 or 1 asks for (the ones that librdkafka speaks)."""

    transactional_id: str
    producer_id: int
    epoch: int
    commits: bool

    @classmethod
    def of(cls, request: Request) -> EndTxn:
        """Reads it. Raises FrameError for another kind, or a later version, whose layout differs."""
        if request.api_key != END_TXN or request.version > 1:
            raise FrameError(f"wanted an EndTxn v0 or v1, got api key {request.api_key} v{request.version}")
        _, at = _text(request.frame, _HEADER.size)
        transactional_id, at = _text(request.frame, at)
        producer_id, epoch, commits = struct.unpack_from(">qh?", request.frame, at)
        return cls(transactional_id, producer_id, epoch, commits)


def end_txn_error(answer: bytes) -> int:
    """The error code in the answer to an EndTxn of version 0 or 1; 0 says that it was done."""
    correlation_and_throttle = 8
    return int(struct.unpack_from(">h", answer, _SIZE.size + correlation_and_throttle)[0])


class RequestSplitter:
    """Cuts a stream into what may go on at once and the whole requests of wanted kinds, in their order.

    >>> whole = _HEADER.pack(8, END_TXN, 1, 7)
    >>> splitter = RequestSplitter(lambda api_key: api_key == END_TXN)
    >>> [[piece.correlation for piece in splitter.feed(part)] for part in (whole[:5], whole[5:])]
    [[], [7]]
    """

    def __init__(self, wanted: Callable[[int], bool]) -> None:
        self._wanted = wanted
        self._kept = b""
        self._passing = 0

    def feed(self, data: bytes) -> Iterator[bytes | Request]:
        """What these bytes complete; at most one header, or one request of a wanted kind, is kept back."""
        data = self._kept + data
        at = 0
        while at < len(data):
            if self._passing:
                piece = data[at : at + self._passing]
                self._passing -= len(piece)
                at += len(piece)
                yield piece
                continue
            found = self._request(data, at)
            if found is None:
                break
            if isinstance(found, int):
                self._passing = found
                continue
            at += len(found.frame)
            yield found
        self._kept = data[at:]

    def _request(self, data: bytes, at: int) -> Request | int | None:
        """A wanted request, or how many bytes pass, or None where more must come first."""
        if len(data) - at < _HEADER.size:
            return None
        size, api_key, version, correlation = _HEADER.unpack_from(data, at)
        whole = _SIZE.size + int(size)
        if size < _HEADER.size - _SIZE.size:
            raise FrameError(f"wanted a Kafka request, got one of {size} bytes; is the other side a Kafka client?")
        if whole > MOST_KEPT_BYTES or not self._wanted(api_key):
            return whole
        if len(data) - at < whole:
            return None
        return Request(api_key, version, correlation, data[at : at + whole])


class AnswerSplitter:
    """Finds the answer with one correlation id among those that come before it."""

    def __init__(self, correlation: int) -> None:
        self._correlation = correlation
        self._kept = b""

    def feed(self, data: bytes) -> bytes | None:
        """The answer, whole, once it is there. Raises FrameError where one before it is too large to wait for."""
        self._kept += data
        while len(self._kept) >= 2 * _SIZE.size:
            size, correlation = struct.unpack_from(">ii", self._kept)
            whole = _SIZE.size + size
            if not 0 < whole <= MOST_KEPT_BYTES:
                raise FrameError(f"wanted an answer of at most {MOST_KEPT_BYTES} bytes, got one of {whole}")
            if len(self._kept) < whole:
                return None
            answer, self._kept = self._kept[:whole], self._kept[whole:]
            if correlation == self._correlation:
                return answer
        return None


def _text(frame: bytes, at: int) -> tuple[str, int]:
    """A nullable string with an int16 length, and where the next field begins."""
    (length,) = struct.unpack_from(">h", frame, at)
    begin = at + 2
    end = begin + max(length, 0)
    return frame[begin:end].decode(), end
