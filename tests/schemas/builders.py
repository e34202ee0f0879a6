"""Events of every class, made from their own annotations: a sample to look at, and any there could be."""

from __future__ import annotations

import types
import typing
from typing import Any, Literal, TypeVar, Union

import msgspec
from hypothesis import strategies as st

from schemas.envelope import Event, Micros, Value
from topics.answer import ANSWER_TOPICS
from topics.ingest import INGEST_TOPICS
from topics.measure import MEASURE_TOPICS
from topics.topic import Topic

E = TypeVar("E", bound=msgspec.Struct)

TOPICS: tuple[Topic[Any], ...] = (*INGEST_TOPICS, *ANSWER_TOPICS, *MEASURE_TOPICS)
EVENTS: tuple[type[Event], ...] = tuple(dict.fromkeys(event for topic in TOPICS for event in topic.events))

LONGS = st.integers(min_value=-(2**63), max_value=2**63 - 1)
# Surrogates are no text in UTF-8: an event that holds one is refused, which has a test of its own.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def subjects_and_events() -> list[tuple[str, tuple[type[Event], ...]]]:
    return [(topic.subject, topic.events) for topic in TOPICS]


def sample(record: type[E]) -> E:
    """An event with every field filled, the same each time."""
    return record(**{name: _sample(hint, name) for name, hint in typing.get_type_hints(record).items()})


def anything(record: type[E]) -> st.SearchStrategy[E]:
    """Any event of a class, defaults included."""
    hints = typing.get_type_hints(record)
    required = {field.name for field in msgspec.structs.fields(record) if field.required}
    return st.fixed_dictionaries(
        {name: _strategy(hint) for name, hint in hints.items() if name in required},
        optional={name: _strategy(hint) for name, hint in hints.items() if name not in required},
    ).map(lambda values: record(**values))


def _parts(hint: Any) -> tuple[Any, Any]:
    """What a container holds, and the container: tuple, dict, Union; else the hint itself."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return tuple, arguments[0]
    if origin is dict:
        return dict, arguments[1]
    if origin in (Union, types.UnionType):
        return Union, next(part for part in arguments if part is not types.NoneType)
    return origin, hint


def _sample(hint: Any, name: str) -> Any:
    plain = {str: f"{name} ü", int: 7, float: 0.5, bool: True, bytes: b"\x00\xff", Micros: 1_700_000_000_000_001}
    if hint in plain:
        return plain[hint]
    if isinstance(hint, type) and issubclass(hint, Value):
        return sample(hint)
    container, inner = _parts(hint)
    if container is Literal:
        return typing.get_args(hint)[0]
    made = _sample(inner, name)
    return {tuple: (made, made), dict: {"one": made}}.get(container, made)


def _strategy(hint: Any) -> st.SearchStrategy[Any]:
    plain = {
        str: TEXTS,
        int: LONGS,
        Micros: LONGS,
        float: st.floats(allow_nan=False),
        bool: st.booleans(),
        bytes: st.binary(max_size=16),
    }
    if hint in plain:
        return plain[hint]
    if isinstance(hint, type) and issubclass(hint, Value):
        return anything(hint)
    container, inner = _parts(hint)
    if container is Literal:
        return st.sampled_from(typing.get_args(hint))
    made = _strategy(inner)
    if container is tuple:
        return st.lists(made, max_size=3).map(tuple)
    return st.dictionaries(TEXTS, made, max_size=3) if container is dict else st.none() | made
