"""Index generations over real Kafka: built beside the one that serves, promoted, rolled back, retired."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.local.broker import BrokerSpec, KafkaBroker
from headwater.local.parts import REGISTRY, OwnPart
from headwater.local.ports import choose_port
from schemas.documents import DocumentHead
from schemas.queries import AnswerGiven
from streams.ensure import ensure
from streams.generations import GenerationError
from streams.promotion import GateError
from streams.settings import child_environment, load
from streams.tombstones import bury_heads
from tests.live.generation_world import TENANT, World, folder_of, other
from topics.ingest import DOCUMENT_HEAD

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

PLACES = ("harbour", "quarry", "orchard", "mill", "chapel", "viaduct", "lighthouse", "bakery")
LONG = " It was built by hand, is painted every spring, and is looked after by the keeper of the place." * 12


def text(place: str, colour: str) -> str:
    """A document of several paragraphs, so that another bound on chunks cuts it elsewhere; the last stays whole."""
    body = "\n\n".join(f"Paragraph {n} about the {place}.{LONG}" for n in range(3))
    return f"# The {place}\n\n{body}\n\n## Door\n\nThe door of the {place} has the colour {colour}.\n"


@pytest.fixture(scope="module")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, cache_folder: Path, small_program: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    with KafkaBroker(BrokerSpec(tmp_path_factory.mktemp("kafka"), cache_folder, quick=True)) as broker:
        registry = OwnPart(REGISTRY, tmp_path_factory.mktemp("registry"))
        registry.begin(choose_port("the registry"), (("HEADWATER_KAFKA__BOOTSTRAP", broker.bootstrap),), small_program)
        try:
            registry.await_ready(30.0)
            yield broker.bootstrap, registry.url
        finally:
            registry.stop()


@pytest.fixture
def world(cluster: tuple[str, str], tmp_path: Path) -> World:
    bootstrap, url = cluster
    settings = load(
        kafka={"bootstrap": bootstrap, "partitions": 2},
        registry={"url": url, "auto_register": True},
        embed={"model": "hashing"},
        index={"folder": tmp_path / "index", "open_generations": 4},
        tenants=(TENANT,),
    )
    ensure(settings)
    return World(settings)


def colour(world: World, place: str) -> tuple[str, str]:
    """The colour that an answer names, and the generation that it rests on."""
    answer = world.ask(f"Which colour has the door of the {place}?")
    assert isinstance(answer, AnswerGiven), answer
    return answer.text.rsplit("colour ", 1)[1].split(".")[0], answer.generation


def test_when_generations_come_and_go_then_each_answer_is_of_the_one_that_serves(world: World) -> None:
    world.publish({f"{place}.md": text(place, "red") for place in PLACES})
    with world.worker():
        world.settled("g1", len(PLACES))
        first = world.computed()
        # Another bound: other chunks; the passages that come out the same cost nothing.
        world.operator.register(other(world.settings, max_tokens=120), "g2")
        assert world.operator.late("g1", "g2", 30.0) == 0
        passages = {name: _passages(world, name) for name in ("g1", "g2")}
        assert passages["g1"] & passages["g2"]
        assert world.computed() - first == len(passages["g2"] - passages["g1"]) > 0
        assert colour(world, "mill") == ("red", "g1")
        world.operator.promote("g2", (), "test")
        _until_served_by(world, "g2")
        world.publish({"mill.md": text("mill", "blue")})
        assert world.operator.late("g2", "g1", 30.0) == 0 and world.operator.late("g1", "g2", 30.0) == 0
        assert colour(world, "mill") == ("blue", "g2")
        world.operator.rollback("test")
        _until_served_by(world, "g1")
        assert colour(world, "mill") == ("blue", "g1"), "the rollback brought back what was edited since"
        # Another width under another model's name, for one tenant only.
        world.operator.register(other(world.settings, dimension=256), "g3")
        assert world.operator.late("g1", "g3", 30.0) == 0
        world.operator.promote("g3", (TENANT,), "canary")
        _until_served_by(world, "g3")
        world.operator.rollback("the canary died")
        _until_served_by(world, "g1")
        with pytest.raises(GateError, match="'g1' serves all"):
            world.operator.retire("g1", "", 5.0)
        assert world.operator.retire("g2", "test", 30.0) == len(PLACES)
        assert not folder_of(world.settings, "g2").exists()
        assert bury_heads(world.settings, world.codec, world.entrance.clock, "g2") == 0
        assert colour(world, "chapel") == ("red", "g1")
    listed = {one.name: (one.state, one.serves, one.documents) for one in world.operator.listed()}
    assert listed == {"g1": ("living", "all", 8), "g2": ("retired", "", 0), "g3": ("living", "", 8)}


def _passages(world: World, generation: str) -> set[str]:
    """The passages of a generation: what its chunks are named by, but for how manieth of their like they are."""
    return {c.name.rpartition("-")[0] for head in world.heads(generation).walk() for c in head.chunks}


def _until_served_by(world: World, generation: str) -> None:
    until = time.monotonic() + 10.0
    while colour(world, "quarry") != ("red", generation):
        assert time.monotonic() < until, f"{generation} does not serve"
