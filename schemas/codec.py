"""Event <-> bytes: Avro with the Confluent framing. The only module that knows the wire.

A record is 0x00, four bytes of schema id (big-endian), then the Avro union of the topic: a branch number and a record.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any, Final, Protocol

import fastavro
import msgspec

from schemas.envelope import Event
from schemas.errors import SchemaError, SchemaRefusedError, SchemaUnknownError, UndecodableError, UnencodableError
from schemas.rendering import Schema, full_name, wire_text, without

__all__ = [
    "Codec",
    "SchemaError",
    "SchemaIds",
    "SchemaRefusedError",
    "SchemaUnknownError",
    "UndecodableError",
    "UnencodableError",
]

MAGIC: Final = 0
FRAME: Final = struct.Struct(">BI")
BYTES: Final = (bytes,)
RECENT: Final = 1_024
"""How many events are kept of the topics that are read several times: more than one batch of documents has heads."""

Events = tuple[type[Event], ...]


class SchemaIds(Protocol):
    """A schema registry, as far as a codec needs one. Implementations keep what they were told: ids never change.

    Both raise SchemaUnknownError where the registry has no such thing, and the adapter's own error where it is away.
    """

    def id_of(self, subject: str, schema: str) -> int: ...

    def schema_of(self, schema_id: int) -> str: ...


@dataclass(frozen=True)
class _Branch:
    """One record of a union, parsed; `resolve` is our schema where the writer's differs, None where it is the same."""

    event: type[Event] | None
    name: str
    schema: Schema
    resolve: Schema | None = None


class Codec:
    """Turns events into a topic's bytes and back. Use one per process: it parses each schema once.

    >>> from adapters.schema_registry import MemorySchemaIds
    >>> from schemas.measures import FeedbackGiven
    >>> codec = Codec(MemorySchemaIds())
    >>> data = codec.encode("t-value", (FeedbackGiven,), FeedbackGiven(tenant="acme", answer_id="a1", rating="up"))
    >>> data[:5], codec.decode(data, (FeedbackGiven,)).rating
    (b'\\x00\\x00\\x00\\x00\\x01', 'up')

    The writer's schema comes from the registry by id and is resolved to ours, so old records stay readable.
    Events of the topics in `again`, given by their unions, are read by several in one process (a hop and views): what
    was decoded lately is handed out again. Safe to share between threads: the caches are filled twice at worst.
    """

    def __init__(self, registry: SchemaIds, again: Collection[Events] = ()) -> None:
        self._registry = registry
        self._again = frozenset(again)
        self._decoded_lately = lru_cache(RECENT)(self._decoded)
        self._writers: dict[tuple[str, Events], dict[type[Event], tuple[bytes, Schema]]] = {}
        self._ours: dict[Events, tuple[_Branch, ...]] = {}
        self._foreign: dict[int, Schema] = {}
        self._readers: dict[tuple[int, Events], tuple[_Branch, ...]] = {}

    def register(self, subject: str, events: Events) -> int:
        """The id of a topic's schema, asked for now and not at the first event. Use it before subscribing."""
        schema_id = self._registry.id_of(subject, wire_text(events))
        self._writers[subject, events] = {
            event: (FRAME.pack(MAGIC, schema_id) + _zigzag(ordinal), branch.schema)
            for ordinal, (event, branch) in enumerate(zip(events, self._branches(events), strict=True))
        }
        return schema_id

    def encode(self, subject: str, events: Events, event: Event) -> bytes:
        """The bytes of an event on the topic whose subject and closed union are given.

        Raises UnencodableError for an event that is not one of them or does not fit its class, and what `id_of` raises.
        """
        if (subject, events) not in self._writers:
            self.register(subject, events)
        frame, schema = self._writers[subject, events].get(type(event)) or _not_carried(subject, events, event)
        out = BytesIO()
        out.write(frame)
        try:
            fastavro.schemaless_writer(out, schema, msgspec.to_builtins(event, builtin_types=BYTES))
        except Exception as error:
            raise UnencodableError(
                f"wanted a {type(event).__name__} that fits its schema, got event {event.event_id!r}: {error}"
            ) from error
        return out.getvalue()

    def decode(self, data: bytes, events: Events) -> Event:
        """The event in a record's value, as our classes know it, whichever version wrote it.

        Raises UndecodableError for bytes that are none, SchemaUnknownError for an id the registry does not have, and
        the registry's own error where it is away: that one says nothing about the bytes.
        """
        return self._decoded_lately(data, events) if events in self._again else self._decoded(data, events)

    def _decoded(self, data: bytes, events: Events) -> Event:
        if len(data) <= FRAME.size:
            raise UndecodableError(f"wanted at least {FRAME.size + 1} bytes (framing and a record), got {len(data)}")
        magic, schema_id = FRAME.unpack_from(data)
        if magic != MAGIC:
            raise UndecodableError(
                f"wanted a record framed with 0x00 and a schema id, got first byte 0x{magic:02x};"
                " produce with the Confluent framing or through headwater.Client"
            )
        branches = self._readers.get((schema_id, events)) or self._learn(schema_id, events)
        source = BytesIO(data)
        source.seek(FRAME.size)
        branch = _branch_at(source, branches, schema_id, events)
        event = _read(source, branch, schema_id)
        if source.tell() != len(data):
            raise UndecodableError(
                f"wanted one {branch.name}, got one and {len(data) - source.tell()} bytes more (schema {schema_id})"
            )
        return event

    def decode_foreign(self, data: bytes) -> Any:
        """The record in a value that somebody else framed and wrote, as plain values by field name.

        Raises UndecodableError for bytes that are none, and what the registry raises.
        """
        if len(data) <= FRAME.size or data[0] != MAGIC:
            raise UndecodableError(f"wanted a record framed with 0x00 and a schema id, got {data[:8]!r}")
        _, schema_id = FRAME.unpack_from(data)
        if schema_id not in self._foreign:
            self._foreign[schema_id] = fastavro.parse_schema(json.loads(self._registry.schema_of(schema_id)))
        try:
            return fastavro.schemaless_reader(BytesIO(data[FRAME.size :]), self._foreign[schema_id], None)
        except Exception as error:
            raise UndecodableError(f"wanted a record of schema {schema_id}, got other bytes: {error}") from error

    def _branches(self, events: Events) -> tuple[_Branch, ...]:
        if events not in self._ours:
            self._ours[events] = _parse(wire_text(events), {full_name(event): event for event in events})
        return self._ours[events]

    def _learn(self, schema_id: int, events: Events) -> tuple[_Branch, ...]:
        """Fetches a writer's schema and lays it beside ours, once per id and topic."""
        text = self._registry.schema_of(schema_id)
        try:
            theirs = _parse(text, {full_name(event): event for event in events})
        except Exception as error:
            raise UndecodableError(f"schema {schema_id} is no Avro that can be read: {error}") from error
        ours = {branch.name: branch.schema for branch in self._branches(events)}
        learned = tuple(
            branch
            if ours.get(branch.name) == branch.schema
            else _Branch(branch.event, branch.name, branch.schema, ours.get(branch.name))
            for branch in theirs
        )
        self._readers[schema_id, events] = learned
        return learned


def _parse(text: str, classes: dict[str, type[Event]]) -> tuple[_Branch, ...]:
    """The records of a union, each usable alone. Logical types go: times stay microseconds, as in our classes."""
    schema = without(without(json.loads(text), "logicalType"), "doc")
    named: dict[str, Any] = {}
    branches = []
    for part in schema if isinstance(schema, list) else [schema]:
        parsed = fastavro.parse_schema(part, named_schemas=named)
        # Later records name types that earlier ones defined: each carries all that are known so far.
        known = {**parsed, "__named_schemas": dict(named)} if isinstance(parsed, dict) else parsed
        name = str(known["name"]) if isinstance(known, dict) else str(known)
        branches.append(_Branch(classes.get(name), name, known))
    return tuple(branches)


def _branch_at(source: BytesIO, branches: tuple[_Branch, ...], schema_id: int, events: Events) -> _Branch:
    try:
        ordinal = fastavro.schemaless_reader(source, "long", None)
    except Exception as error:
        raise UndecodableError(f"wanted the number of a record in schema {schema_id}, got cut-off bytes") from error
    if not isinstance(ordinal, int) or not 0 <= ordinal < len(branches):
        raise UndecodableError(f"wanted a record number below {len(branches)} in schema {schema_id}, got {ordinal}")
    branch = branches[ordinal]
    if branch.event is None:
        wanted = ", ".join(event.__name__ for event in events)
        raise UndecodableError(f"wanted one of {wanted}, got a {branch.name!r} (schema {schema_id})")
    return branch


def _read(source: BytesIO, branch: _Branch, schema_id: int) -> Event:
    assert branch.event is not None
    try:
        fields = fastavro.schemaless_reader(source, branch.schema, branch.resolve)
        return msgspec.convert(fields, branch.event, builtin_types=BYTES)
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise UndecodableError(
            f"wanted a {branch.name!r} (schema {schema_id}), got bytes that are cut off or damaged: {reason}"
        ) from error


def _not_carried(subject: str, events: Events, event: Event) -> tuple[bytes, Schema]:
    names = ", ".join(each.__name__ for each in events)
    raise UnencodableError(f"wanted one of {names} for subject {subject!r}, got a {type(event).__name__}")


def _zigzag(number: int) -> bytes:
    """Avro's long, for branch numbers."""
    out = BytesIO()
    fastavro.schemaless_writer(out, "long", number)
    return out.getvalue()
