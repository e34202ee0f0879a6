"""What every event carries, whatever it says: who it concerns, what caused it, when each step was done with it."""

from __future__ import annotations

import hashlib
import uuid
from typing import Final, NewType

import msgspec

Micros = NewType("Micros", int)
"""Microseconds since the Unix epoch, UTC; `timestamp-micros` in Avro."""

SCHEMA_VERSION: Final = 1
"""Counts the envelope's own incompatible changes; a topic's major version counts those of its events."""

EVENT_NAMESPACE: Final = uuid.UUID("8f1a2c0e-3b74-5d1e-9c55-6a1f0d2b7e90")
"""Root of the ids of derived events (RFC 9562, UUIDv5)."""

_NAMESPACE_BYTES: Final = EVENT_NAMESPACE.bytes
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an event that has no life of its own. Use it for what is always read together.

    >>> Version(source=7, offset=1) < Version(source=7, offset=2)
    True
    """


class Version(Value, frozen=True, kw_only=True, order=True):
    """Which state of a document or of its access list: source position first, then offset. Newer is greater.

    `source` is the position that the source itself gives (the LSN of a Debezium row), 0 where there is none;
    `offset` is the record's offset in the topic where the change entered. Source: `docs/adr/0003-document-heads.md`.
    """

    source: int
    offset: int


class Event(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The envelope. A step fills `tenant` and its own fields; the engine fills the rest when it emits.

    `trail` maps a step to the moment it was done, so a receipt can say where the time went.
    """

    tenant: str
    event_id: str = ""
    occurred_at: Micros = Micros(0)
    schema_version: int = SCHEMA_VERSION
    producer_version: str = ""
    git_sha: str = ""
    trail: dict[str, Micros] = {}


def derived_id(cause: str, step: str, ordinal: int) -> str:
    """The id of the ordinal-th event that `step` makes of the event `cause`: the same in every repeat.

    >>> derived_id("a", "chunk", 0) == derived_id("a", "chunk", 0)
    True
    """
    return named_id(f"{cause}/{step}/{ordinal}")


def named_id(name: str) -> str:
    """The id of a name (UUIDv5 under EVENT_NAMESPACE). Use it where it is asked for every event.

    >>> named_id("a/chunk/0") == str(uuid.uuid5(EVENT_NAMESPACE, "a/chunk/0"))
    True
    """
    # The library's own goes through a 128-bit number and takes three times as long.
    told = hashlib.sha1(_NAMESPACE_BYTES + name.encode(), usedforsecurity=False).hexdigest()
    return f"{told[:8]}-{told[8:12]}-5{told[13:16]}-{_VARIANT[told[16]]}{told[17:20]}-{told[20:32]}"
