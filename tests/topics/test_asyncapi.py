"""The AsyncAPI document says what the code does: the same channels, operations that exist, schemas that parse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fastavro
import pytest
import yaml

from headwater.cli.asyncapi import asyncapi
from schemas.rendering import full_name
from streams.answer import ANSWER
from streams.ensure import DECLARED, declarations
from streams.hop import Journey
from streams.ingest import INGEST
from streams.measure import MEASURE
from streams.settings import Kafka
from topics.topic import Topic

JOURNEYS = (INGEST, ANSWER, MEASURE)
PAGE = Path(__file__).parents[2] / "docs" / "asyncapi.yaml"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The checked-in document, read as any tool would."""
    loaded: dict[str, Any] = yaml.safe_load(PAGE.read_text(encoding="utf-8"))
    return loaded


def resolve(document: dict[str, Any], reference: str) -> Any:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def references(part: Any) -> list[str]:
    if isinstance(part, list):
        return [found for each in part for found in references(each)]
    if not isinstance(part, dict):
        return []
    own = [part["$ref"]] if "$ref" in part else []
    return own + [found for each in part.values() for found in references(each)]


def test_when_topics_are_declared_then_they_are_the_channels(document: dict[str, Any]) -> None:
    assert {channel["address"] for channel in document["channels"].values()} == {topic.name for topic in DECLARED}


@pytest.mark.parametrize("topic", DECLARED, ids=lambda topic: topic.name)
def test_when_a_channel_is_described_then_ensure_creates_it_so(document: dict[str, Any], topic: Topic[Any]) -> None:
    channel = document["channels"][topic.name]
    binding = channel["bindings"]["kafka"]
    declared = declarations(Kafka(), [topic])[0]
    assert set(channel["messages"]) == {event.__name__ for event in topic.events}
    assert (binding["topic"], binding["bindingVersion"]) == (topic.name, "0.5.0")
    assert (binding["partitions"], binding["replicas"]) == (declared.partitions, declared.replication)
    assert binding["topicConfiguration"]["cleanup.policy"] == declared.config["cleanup.policy"].split(",")


@pytest.mark.parametrize("journey", JOURNEYS, ids=lambda journey: journey.name)
def test_when_a_hop_reads_or_writes_then_there_is_an_operation(document: dict[str, Any], journey: Journey) -> None:
    declared = {topic.name for topic in DECLARED}
    wanted = {
        (f"{journey.name}.{hop.name}", action, topic.name)
        for hop in journey
        for action, ours in (("receive", hop.reads), ("send", hop.writes))
        for topic in ours
        if topic.name in declared
    }
    found = {
        (name.rsplit(".", 2)[0], operation["action"], operation["channel"]["$ref"].removeprefix("#/channels/"))
        for name, operation in document["operations"].items()
        if name.startswith(f"{journey.name}.")
    }
    assert found == wanted


def test_when_hops_are_fused_then_they_share_the_group_of_the_first(document: dict[str, Any]) -> None:
    operation = document["operations"]["ingest.embed.receive.chunk_created"]
    assert operation["bindings"]["kafka"]["groupId"]["enum"] == ["headwater.ingest.parse.v1"]


def test_when_it_refers_then_there_is_something_there(document: dict[str, Any]) -> None:
    found = references(document)
    assert found
    for reference in found:
        assert resolve(document, reference)


def test_when_a_message_is_described_then_its_schema_stands_alone(document: dict[str, Any]) -> None:
    for name, message in document["components"]["messages"].items():
        event = next(event for topic in DECLARED for event in topic.events if event.__name__ == name)
        assert message["name"] == full_name(event)
        fastavro.parse_schema(json.loads(json.dumps(message["payload"]["schema"])))


def test_when_rendered_twice_then_the_document_is_the_same() -> None:
    assert asyncapi("1", DECLARED, JOURNEYS) == asyncapi("1", DECLARED, JOURNEYS)
