"""Classes to Avro: every form there is, and a clear error for those there are not."""

from __future__ import annotations

import json
import sys
from typing import Any, Literal, cast

import avro.schema
import fastavro
import msgspec
import pytest

from schemas.documents import ChunkCreated, DocumentHead
from schemas.envelope import Event, Micros, Value
from schemas.errors import RenderingError
from schemas.measures import FeedbackGiven
from schemas.rendering import avsc, full_name, render, wire_text, without
from tests.schemas.builders import EVENTS, TOPICS
from topics.topic import Topic

Colour = Literal["red", "green", "UNKNOWN"]
Bare = Literal["red", "green"]


class Part(Value, frozen=True, kw_only=True):
    """A part."""

    name: str


class Whole(Event, frozen=True, kw_only=True):
    """One of each.

    This paragraph is not part of the contract.
    """

    text: str
    number: int = 3
    share: float = 0.5
    flag: bool = True
    raw: bytes = b"\xff\x00"
    when: Micros = Micros(0)
    colour: Colour = "red"
    other_colour: Colour
    part: Part
    parts: tuple[Part, ...] = ()
    counts: dict[str, int] = {}
    maybe: Part | None = None
    perhaps: str | None


def fields_of(event: type[Event]) -> dict[str, Any]:
    return {field["name"]: field for field in render((event,))[0]["fields"]}


@pytest.mark.parametrize(
    ("field", "rendered"),
    [
        ("text", {"type": "string"}),
        ("number", {"type": "long", "default": 3}),
        ("share", {"type": "double", "default": 0.5}),
        ("flag", {"type": "boolean", "default": True}),
        ("raw", {"type": "bytes", "default": "\u00ff\u0000"}),
        ("when", {"type": {"type": "long", "logicalType": "timestamp-micros"}, "default": 0}),
        ("other_colour", {"type": "rag.test_rendering.v1.Colour"}),
        ("parts", {"type": {"type": "array", "items": "rag.test_rendering.v1.Part"}, "default": []}),
        ("counts", {"type": {"type": "map", "values": "long"}, "default": {}}),
        ("maybe", {"type": ["null", "rag.test_rendering.v1.Part"], "default": None}),
        ("perhaps", {"type": ["null", "string"]}),
    ],
)
def test_when_a_field_has_this_type_then_it_renders_so(field: str, rendered: dict[str, Any]) -> None:
    assert fields_of(Whole)[field] == {"name": field, **rendered}


def test_when_a_literal_is_used_first_then_it_is_a_named_enum_with_unknown_as_default() -> None:
    colour = fields_of(Whole)["colour"]
    assert colour["default"] == "red"
    assert colour["type"]["name"] == "Colour"
    assert colour["type"]["symbols"] == ["red", "green", "UNKNOWN"]
    assert colour["type"]["default"] == "UNKNOWN"


def test_when_a_class_has_prose_then_its_first_paragraph_is_its_doc() -> None:
    assert render((Whole,))[0]["doc"] == "One of each."
    assert "doc" not in wire_text((Whole,))


def test_when_a_class_renders_then_its_module_is_its_domain() -> None:
    assert full_name(DocumentHead) == "rag.documents.v1.DocumentHead"
    assert full_name(FeedbackGiven) == "rag.measures.v1.FeedbackGiven"


def test_when_a_union_has_one_member_then_it_is_a_union_still() -> None:
    assert len(render((FeedbackGiven,))) == 1


def refused() -> list[tuple[str, Any, str]]:
    return [
        ("a set", set[str], "has an Avro form for Odd.field, got set"),
        ("a pair", tuple[int, int], "Odd.field"),
        ("two types", int | str, "use str, int"),
        ("keys that are no text", dict[int, str], "Odd.field"),
        ("a literal without a name", Literal["x", "y", "UNKNOWN"], "named Literal"),
        ("a literal without UNKNOWN", Bare, "old readers see"),
    ]


@pytest.mark.parametrize(("hint", "message"), [pytest.param(*row[1:], id=row[0]) for row in refused()])
def test_when_a_type_has_no_form_then_the_error_names_the_field(
    hint: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = msgspec.defstruct("Odd", [("field", hint)], bases=(Event,), module=__name__, frozen=True, kw_only=True)
    monkeypatch.setattr(sys.modules[__name__], "Odd", odd, raising=False)
    with pytest.raises(RenderingError, match=message):
        render((cast("type[Event]", odd),))


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_when_a_topic_renders_then_two_avro_libraries_read_it(topic: Topic[Any]) -> None:
    text = avsc(topic.events)
    fastavro.parse_schema(json.loads(text))
    avro.schema.parse(text)
    assert [record["name"] for record in json.loads(text)] == [event.__name__ for event in topic.events]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_when_an_event_renders_then_it_has_the_envelope_first(event: type[Event]) -> None:
    names = list(fields_of(event))
    assert names[:7] == list(fields_of(ChunkCreated))[:7]
    assert names[0] == "tenant"


def test_when_an_attribute_is_taken_out_then_defaults_stay() -> None:
    assert without([{"doc": "x", "default": {"doc": "kept"}}], "doc") == [{"default": {"doc": "kept"}}]
