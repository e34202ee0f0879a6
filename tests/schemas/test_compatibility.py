"""Schemas are promises: fresh against the classes, and able to read whatever a release has written."""

from __future__ import annotations

import io
import json
import random
import re
from pathlib import Path
from typing import Any

import avro.schema
import fastavro
import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from fastavro.utils import generate_many

from adapters.schema_registry import MemorySchemaIds
from schemas.codec import Codec
from schemas.rendering import avsc
from tests.schemas.builders import TOPICS, sample
from topics.measure import FEEDBACK_GIVEN
from topics.topic import Topic

AVRO = Path(__file__).parents[2] / "schemas" / "avro"
RELEASES = sorted(folder for folder in (AVRO / "released").iterdir() if folder.is_dir())
RELEASED = [path for folder in RELEASES for path in sorted(folder.glob("*.avsc"))]
BY_NAME = {topic.name: topic for topic in TOPICS}


def complaints(reader: str, writer: str) -> list[str]:
    """Why a reader's schema can't read a writer's; empty where it can."""
    checker = ReaderWriterCompatibilityChecker()
    result = checker.get_compatibility(avro.schema.parse(reader), avro.schema.parse(writer))
    return [] if result.compatibility is SchemaCompatibilityType.compatible else sorted(result.messages)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_when_a_class_changes_then_its_avsc_must_follow(topic: Topic[Any]) -> None:
    checked_in = (AVRO / f"{topic.name}.avsc").read_text(encoding="utf-8")
    assert checked_in == avsc(topic.events), f"{topic.name}.avsc is not what its classes say; run: headwater render"


def test_when_a_topic_goes_then_its_avsc_goes() -> None:
    assert {path.stem for path in AVRO.glob("*.avsc")} == set(BY_NAME)


def test_when_there_was_a_release_then_its_schemas_are_kept() -> None:
    assert RELEASED


@pytest.mark.parametrize("released", RELEASED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_when_a_release_wrote_it_then_todays_reader_reads_it(released: Path) -> None:
    topic = BY_NAME.get(released.stem)
    assert topic is not None, f"{released.stem} was released: keep it declared, or give its successor a new major"
    writer = released.read_text(encoding="utf-8")
    assert not complaints(avsc(topic.events), writer), "add fields with defaults and symbols only; else a new major"


@pytest.mark.parametrize("released", RELEASED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_when_a_release_wrote_bytes_then_todays_codec_reads_them(released: Path) -> None:
    """The checker reasons about schemas; this reads real records of the released schema."""
    topic = BY_NAME[released.stem]
    schema = fastavro.parse_schema(json.loads(released.read_text(encoding="utf-8")))
    ids = MemorySchemaIds()
    schema_id = ids.id_of(topic.subject, released.read_text(encoding="utf-8"))
    random.seed(released.stem)
    for record in generate_many(schema, 8):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema, record)
        event = Codec(ids).decode(b"\0" + schema_id.to_bytes(4, "big") + out.getvalue(), topic.events)
        assert type(event) in topic.events


def rewritten(change: str) -> str:
    """Today's schema of a topic after a change to its classes."""
    schema = json.loads(avsc(FEEDBACK_GIVEN.events))
    fields = schema[0]["fields"]
    rating = next(field for field in fields if field["name"] == "rating")
    if change == "a field without default":
        fields.append({"name": "mood", "type": "string"})
    elif change == "a field with default":
        fields.append({"name": "mood", "type": "string", "default": ""})
    elif change == "another type":
        next(field for field in fields if field["name"] == "comment")["type"] = "long"
    elif change == "a record renamed":
        schema[0]["name"] = "FeedbackTaken"
    elif change == "a symbol removed":
        rating["type"]["symbols"].remove("down")
    elif change == "a symbol added":
        rating["type"]["symbols"].append("sideways")
    return json.dumps(schema)


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ("a field without default", True),
        ("another type", True),
        ("a record renamed", True),
        ("a field with default", False),
        ("a symbol added", False),
        # The default of the enum takes the place of what went.
        ("a symbol removed", False),
    ],
)
def test_when_a_class_changes_so_then_the_check_says_whether_it_may(change: str, refused: bool) -> None:
    changed = rewritten(change)
    assert changed != json.dumps(json.loads(avsc(FEEDBACK_GIVEN.events)))
    assert bool(complaints(changed, avsc(FEEDBACK_GIVEN.events))) is refused


def test_when_an_old_reader_meets_a_new_writer_then_new_fields_and_words_do_not_hurt() -> None:
    """Consumers are upgraded first; one that was not still reads, unless a record is new to it."""
    assert not complaints(avsc(FEEDBACK_GIVEN.events), rewritten("a field with default"))
    assert not complaints(avsc(FEEDBACK_GIVEN.events), rewritten("a symbol added"))


def test_when_a_topic_is_released_then_its_file_is_named_by_it() -> None:
    for path in RELEASED:
        assert re.fullmatch(r"rag(\.[a-z-]+)+\.v\d+", path.stem), path


def test_when_builders_make_events_then_they_are_of_their_class() -> None:
    assert [type(sample(event)) for topic in TOPICS for event in topic.events] == [
        event for topic in TOPICS for event in topic.events
    ]
