"""One word per step, everywhere: the table of names, walked from the journeys and never from a list."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

import topics.answer
import topics.ingest
import topics.measure
from streams import metrics
from streams.answer import ANSWER
from streams.hop import Hop, event_classes
from streams.ingest import INGEST
from streams.measure import MEASURE
from streams.selection import select
from tests.house.tree import ROOT, tree

JOURNEYS = (INGEST, ANSWER, MEASURE)
HOPS = [pytest.param(journey.name, hop, id=f"{journey.name}.{hop.name}") for journey in JOURNEYS for hop in journey]
WORDS = [hop.name for journey in JOURNEYS for hop in journey]
TOPIC_ROOMS = (topics.ingest, topics.answer, topics.measure)


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    composed = yaml.safe_load((ROOT / "infra" / "docker-compose.yml").read_text(encoding="utf-8"))
    found: dict[str, Any] = composed["services"]
    return found


def test_when_steps_are_named_then_no_two_share_a_word() -> None:
    assert len(set(WORDS)) == len(WORDS)
    assert all(re.fullmatch(r"[a-z]+", word) for word in WORDS)


@pytest.mark.parametrize(("journey", "hop"), HOPS)
def test_when_a_hop_is_named_then_its_function_has_a_file_of_that_name(journey: str, hop: Hop) -> None:
    path = Path("processors", journey, f"{hop.name}.py")
    assert (ROOT / path).is_file(), f"wanted {path} for the hop {hop.name!r}"
    assert hop.step.__module__ == f"processors.{journey}.{hop.name}"
    defined = [node.name for node in tree(path).body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    assert hop.name in defined


@pytest.mark.parametrize(("journey", "hop"), HOPS)
def test_when_a_hop_is_named_then_the_journey_file_says_it(journey: str, hop: Hop) -> None:
    source = (ROOT / "streams" / f"{journey}.py").read_text(encoding="utf-8")
    assert re.search(rf"^from processors\.{journey}\.{hop.name} import .*\b{hop.name}\b", source, re.MULTILINE)


@pytest.mark.parametrize(("journey", "hop"), HOPS)
def test_when_a_step_takes_events_then_the_topics_it_reads_carry_them(journey: str, hop: Hop) -> None:
    carried = {event for topic in hop.reads for event in topic.events}
    assert set(event_classes(hop.step)) == carried, f"{hop.name} takes what its topics do not carry, or the reverse"


@pytest.mark.parametrize(("journey", "hop"), HOPS)
def test_when_a_step_writes_a_topic_then_the_constant_and_the_event_are_its_words(journey: str, hop: Hop) -> None:
    assert hop.writes
    for topic in hop.writes:
        assert any(vars(room).get(topic.constant) is topic for room in TOPIC_ROOMS), topic.name
        assert topic.events[0].__name__.lower() == topic.constant.replace("_", "").lower()


@pytest.mark.parametrize(("journey", "hop"), HOPS)
def test_when_there_is_a_step_then_there_is_a_test_of_it(journey: str, hop: Hop) -> None:
    path = Path("tests", "processors", journey, f"test_{hop.name}.py")
    assert (ROOT / path).is_file(), f"wanted {path} for the step {hop.name!r}"
    names = [node.name for node in tree(path).body if isinstance(node, ast.FunctionDef)]
    assert any(name.startswith("test_") for name in names)


@pytest.mark.parametrize(("journey", "hop"), HOPS)
def test_when_there_is_a_step_then_compose_runs_it(journey: str, hop: Hop, services: dict[str, Any]) -> None:
    service = services.get(f"{journey}-{hop.name}")
    assert service is not None, f"wanted the service {journey}-{hop.name} in infra/docker-compose.yml"
    assert service["command"] == ["run", f"{journey}.{hop.name}"]


def test_when_compose_runs_a_step_then_there_is_one(services: dict[str, Any]) -> None:
    stepwise = {name for name in services if name.partition("-")[0] in {journey.name for journey in JOURNEYS}}
    assert stepwise == {f"{journey.name}-{hop.name}" for journey in JOURNEYS for hop in journey}


def test_when_something_is_measured_then_its_name_or_its_label_says_the_step() -> None:
    """What every hop has is one family with the step as label, so that one dashboard shows any step there ever is."""
    families = [value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]
    assert families
    for family in families:
        prefix, subsystem, _ = family._name.split("_", 2)
        assert prefix == "headwater"
        assert subsystem in {"hop", *WORDS}, f"{family._name} is not named by a step"
        assert subsystem != "hop" or family._labelnames[0] == "hop", f"{family._name} does not say which step"


@pytest.mark.parametrize(("journey", "hop"), HOPS)
def test_when_a_step_is_run_by_its_name_then_it_is_found(journey: str, hop: Hop) -> None:
    assert select((f"{journey}.{hop.name}",))


@pytest.mark.parametrize(("journey", "hop"), HOPS)
def test_when_there_is_a_step_then_there_is_a_page_of_it(journey: str, hop: Hop) -> None:
    page = ROOT / "docs" / "steps" / f"{hop.name}.md"
    assert page.is_file(), f"wanted docs/steps/{hop.name}.md"
    text = page.read_text(encoding="utf-8")
    assert f"{journey}.{hop.name}" in text or f"processors/{journey}/{hop.name}.py" in text


def test_when_there_is_a_page_then_there_is_a_step() -> None:
    pages = {path.stem for path in (ROOT / "docs" / "steps").glob("*.md")} - {"README"}
    assert pages == set(WORDS)
