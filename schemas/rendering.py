"""Event classes -> the Avro schema of a topic: the contract is read in Avro and changed in Python."""

from __future__ import annotations

import inspect
import json
import sys
import types
import typing
from typing import Any, Final, Literal, Union

import msgspec

from schemas.envelope import Event, Micros, Value
from schemas.errors import RenderingError

__all__ = [
    "Schema",
    "avsc",
    "full_name",
    "namespace",
    "render",
    "wire_text",
    "without",
]

MAJOR: Final = "v1"
"""Counts incompatible changes of a domain's records, as the last word of a topic's name does."""

UNKNOWN: Final = "UNKNOWN"
"""What an old reader sees for a symbol that it does not know yet."""

PRIMITIVES: Final[dict[Any, str]] = {str: "string", bool: "boolean", int: "long", float: "double", bytes: "bytes"}

Schema = Any
"""JSON of Avro: a name, a union (list) or a definition (dict)."""


def namespace(record: type[Any]) -> str:
    """The namespace of a class's record: its module is its domain.

    >>> from schemas.queries import QueryAsked
    >>> namespace(QueryAsked)
    'rag.queries.v1'
    """
    return f"rag.{record.__module__.rpartition('.')[2]}.{MAJOR}"


def full_name(record: type[Any]) -> str:
    """The Avro name of a class's record; `ce_type` on the wire.

    >>> from schemas.queries import QueryAsked
    >>> full_name(QueryAsked)
    'rag.queries.v1.QueryAsked'
    """
    return f"{namespace(record)}.{record.__name__}"


def render(events: tuple[type[Event], ...]) -> list[Schema]:
    """The schema of a topic: a union of named records, also where it is a union of one, so that it can grow.

    >>> from schemas.measures import FeedbackGiven
    >>> [record["name"] for record in render((FeedbackGiven,))]
    ['FeedbackGiven']

    Raises RenderingError for a type that has no Avro form here.
    """
    defined: set[str] = set()
    return [_record(event, defined) for event in events]


def avsc(events: tuple[type[Event], ...]) -> str:
    """The text of an `.avsc` file: what people read and tests compare."""
    return json.dumps(render(events), indent=2, ensure_ascii=False) + "\n"


def wire_text(events: tuple[type[Event], ...]) -> str:
    """What the registry holds: the same without descriptions, since a better sentence is not a new schema."""
    return json.dumps(without(render(events), "doc"), separators=(",", ":"), ensure_ascii=False)


def without(schema: Schema, attribute: str) -> Schema:
    """A copy of a schema without one attribute of its definitions; defaults are left alone.

    >>> without({"type": "long", "logicalType": "timestamp-micros"}, "logicalType")
    {'type': 'long'}
    """
    if isinstance(schema, list):
        return [without(part, attribute) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: part if name == "default" else without(part, attribute)
        for name, part in schema.items()
        if name != attribute
    }


def _record(record: type[msgspec.Struct], defined: set[str]) -> Schema:
    """A definition at first use, its name afterwards: Avro forbids defining a name twice."""
    name = full_name(record)
    if name in defined:
        return name
    defined.add(name)
    hints = typing.get_type_hints(record)
    fields = []
    for field in msgspec.structs.fields(record):
        rendered: dict[str, Any] = {"name": field.name}
        rendered["type"] = _type(hints[field.name], f"{record.__name__}.{field.name}", record, defined)
        if field.default is not msgspec.NODEFAULT or field.default_factory is not msgspec.NODEFAULT:
            rendered["default"] = _default(field)
        fields.append(rendered)
    doc = " ".join((inspect.getdoc(record) or "").split("\n\n")[0].split())
    return {"type": "record", "name": record.__name__, "namespace": namespace(record), "doc": doc, "fields": fields}


def _type(hint: Any, where: str, record: type[Any], defined: set[str]) -> Schema:
    if hint is Micros:
        return {"type": "long", "logicalType": "timestamp-micros"}
    if hint in PRIMITIVES:
        return PRIMITIVES[hint]
    if isinstance(hint, type) and issubclass(hint, Value):
        return _record(hint, defined)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return _enum(hint, where, record, defined)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return {"type": "array", "items": _type(arguments[0], where, record, defined)}
    if origin is dict and arguments[0] is str:
        return {"type": "map", "values": _type(arguments[1], where, record, defined)}
    if origin in (Union, types.UnionType) and len(arguments) == 2 and types.NoneType in arguments:
        there = next(part for part in arguments if part is not types.NoneType)
        return ["null", _type(there, where, record, defined)]
    raise RenderingError(
        f"wanted a type that has an Avro form for {where}, got {hint!r}; use str, int, float, bool, bytes, Micros, a"
        " Value, a named Literal, tuple[X, ...], dict[str, X] or X | None"
    )


def _enum(hint: Any, where: str, record: type[Any], defined: set[str]) -> Schema:
    """A closed set of words, named by the alias under which the class's module knows it."""
    module = vars(sys.modules[record.__module__])
    alias = next((name for name, value in module.items() if value == hint), None)
    symbols = typing.get_args(hint)
    if alias is None or UNKNOWN not in symbols:
        raise RenderingError(
            f"wanted a named Literal with the symbol {UNKNOWN!r} for {where}, got {hint!r};"
            " give it a name in its module and that symbol, which old readers see for new words"
        )
    name = f"{namespace(record)}.{alias}"
    if name in defined:
        return name
    defined.add(name)
    return {"type": "enum", "name": alias, "namespace": namespace(record), "symbols": list(symbols), "default": UNKNOWN}


def _default(field: msgspec.structs.FieldInfo) -> Any:
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if isinstance(value, bytes):
        return value.decode("latin-1")  # Avro's JSON form of bytes: one code point per byte.
    return json.loads(msgspec.json.encode(value))
