"""Topics are values: their names, keys and settings agree with each other and with the code that uses them."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import topics.answer
import topics.ingest
import topics.measure
from processors.ingest.keep import keep
from processors.ingest.memories import MemoryLimits
from schemas.documents import DocumentChanged
from streams.memory_view import MemoryView
from tests.schemas.builders import TOPICS, sample
from topics.ingest import CHUNK_CREATED, DOCUMENT_CHANGED, DOCUMENT_HEAD, INGEST_TOPICS, MEMORY_KEPT
from topics.topic import Topic

ROOMS = (topics.ingest, topics.answer, topics.measure)
# A note names its document by its owner and its own name.
INGEST_CHAIN = [
    topic
    for topic in INGEST_TOPICS
    if topics.ingest.by_document in (topic.route, topic.key) and topic is not MEMORY_KEPT
]


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_when_a_topic_is_declared_then_name_constant_and_first_event_are_the_same_words(topic: Topic[Any]) -> None:
    lane = f"\\.{topic.lane}" if topic.lane else ""
    assert re.fullmatch(rf"rag\.[a-z]+\.[a-z]+{lane}\.v\d+", topic.name)
    assert topic.constant.replace("_", "").lower() == topic.events[0].__name__.lower() + topic.lane
    assert any(vars(room).get(topic.constant) is topic for room in ROOMS)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_when_an_event_travels_then_key_and_route_are_text(topic: Topic[Any]) -> None:
    for event in topic.events:
        one = sample(event)
        assert isinstance(topic.key(one), str)
        assert topic.key(one)
        assert isinstance(topic.routed(one), str)


@pytest.mark.parametrize("topic", [topic for topic in TOPICS if topic.lane], ids=lambda topic: topic.name)
def test_when_a_topic_is_a_lane_then_its_sibling_carries_the_same(topic: Topic[Any]) -> None:
    sibling = next(one for one in TOPICS if one.name == topic.name.replace(f".{topic.lane}", ""))
    assert (sibling.events, sibling.key, sibling.retention) == (topic.events, topic.key, topic.retention)


def test_when_topics_are_listed_then_each_is_there_once() -> None:
    names = [topic.name for topic in TOPICS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.__name__)
def test_when_a_room_declares_a_topic_then_its_list_has_it(room: Any) -> None:
    declared = {value.name for value in vars(room).values() if isinstance(value, Topic) and not value.raw}
    listed = next(value for name, value in vars(room).items() if name.endswith("_TOPICS"))
    assert declared == {topic.name for topic in listed}


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_when_a_topic_is_compacted_then_time_does_not_take_its_records(topic: Topic[Any]) -> None:
    assert topic.cleanup == "delete" or topic.retention is None


@pytest.mark.parametrize("topic", INGEST_CHAIN, ids=lambda topic: topic.name)
def test_when_a_document_goes_its_way_then_it_stays_in_one_partition(topic: Topic[Any]) -> None:
    first = DOCUMENT_CHANGED.routed(sample(DOCUMENT_CHANGED.events[0]))
    assert {topic.routed(sample(event)) for event in topic.events} == {first}


def test_when_a_note_becomes_a_document_then_both_have_one_key() -> None:
    note = sample(MEMORY_KEPT.events[0])
    (document,) = keep(replace(note, owner="0" * 32), MemoryView(1), MemoryLimits())
    assert isinstance(document, DocumentChanged)
    assert DOCUMENT_CHANGED.routed(document) == MEMORY_KEPT.routed(replace(note, owner="0" * 32))


def test_when_a_head_is_keyed_then_generations_do_not_share_a_key() -> None:
    head = sample(DOCUMENT_HEAD.events[0])
    assert DOCUMENT_HEAD.key(head) == f"{head.generation}|{head.tenant}|{head.document}"
    assert DOCUMENT_HEAD.routed(head) == f"{head.tenant}|{head.document}"


def test_when_a_topic_has_companions_then_they_are_named_after_it() -> None:
    assert CHUNK_CREATED.dead_letters == "rag.chunk.created.v1.dlq"
    assert CHUNK_CREATED.subject == "rag.chunk.created.v1-value"


def test_when_a_room_is_read_then_it_does_nothing_but_declare() -> None:
    """Values only: no call but of Topic, timedelta and what gives names their type."""
    for room in ROOMS:
        tree = ast.parse(Path(str(room.__file__)).read_text(encoding="utf-8"))
        statements = [statement for statement in tree.body if not isinstance(statement, ast.FunctionDef)]
        nodes = [node for statement in statements for node in ast.walk(statement)]
        called = {ast.unparse(node.func).partition("[")[0] for node in nodes if isinstance(node, ast.Call)}
        assert called <= {"Topic", "timedelta"}
