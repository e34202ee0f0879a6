"""T8, T9 and T13 with the model server as what fails: each question ends once, in time, whatever the server does."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from streams.settings import Settings
from tests.live.asking import REPLY, Asking, answering, publish_document
from tests.live.erasure_world import World, world
from tests.stub_model_server import Mode, StubModelServer

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

# A request that the server calls wrong is no outage: it is a dead letter, and its asker hears so.
OUTAGES = tuple(mode for mode in get_args(Mode) if mode != "refuse")


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, cache_folder: Path, small_program: tuple[str, ...]
) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("models"), cache_folder, small_program) as made:
        yield made


@pytest.fixture
def model() -> Iterator[StubModelServer]:
    with StubModelServer(REPLY, pause_s=0.05) as server:
        yield server


def with_model(world: World, model: StubModelServer, **generate: Any) -> Settings:
    """The world's settings, with its answers written by that server."""
    section = world.settings.generate.model_copy(update={"url": model.url, "model": "stub", **generate})
    return world.settings.model_copy(update={"generate": section})


def storm(asking: Asking, model: StubModelServer, rounds: int, seed: int = 7) -> None:
    """Every behaviour several times, in an order of chance, switched while questions are being answered."""
    chance = random.Random(seed)
    modes = [mode for _ in range(rounds) for mode in chance.sample(OUTAGES, len(OUTAGES))]
    for number, mode in enumerate(modes):
        model.mode = mode
        for _ in range(4):
            asking.ask(mode, chance.uniform(1.5, 5.0), lane=chance.choice(("interactive", "bulk")))
        time.sleep(chance.uniform(0.05, 0.3))
        if number % 12 == 5:
            model.down()
            asking.ask("down", chance.uniform(1.0, 3.0))
            time.sleep(chance.uniform(0.1, 0.5))
            model.up()
    model.mode = "ok"


def test_when_the_model_does_everything_wrong_then_each_question_ends_once_and_in_time(
    made: World, model: StubModelServer
) -> None:
    with answering(with_model(made, model)), Asking(made) as asking:
        publish_document(made)
        storm(asking, model, rounds=3)
        found = asking.count()
    print(f"{model.counts.requests} requests: {found.line()}")
    assert found.damage == []
    assert found.endings("given") > 0


def test_when_some_wait_long_for_a_model_that_is_away_then_one_in_a_hurry_hears_in_time(
    made: World, model: StubModelServer
) -> None:
    """The patient must not keep the hop from reading what came after them."""
    with answering(with_model(made, model)), Asking(made) as asking:
        publish_document(made)
        model.mode = "500"
        for _ in range(12):
            asking.ask("patient", 12.0)
        for _ in range(20):
            time.sleep(0.25)
            asking.ask("in a hurry", 1.5)
        found = asking.count()
    print(found.line())
    assert found.damage == []


def test_when_one_generation_hangs_then_the_others_are_answered(made: World, model: StubModelServer) -> None:
    with answering(with_model(made, model)), Asking(made) as asking:
        publish_document(made)
        model.modes = ["hang", "stalls", "mute"]
        for _ in range(3):
            asking.ask("hung", 8.0)
        time.sleep(0.5)
        for _ in range(100):
            asking.ask("other", 8.0)
        found = asking.count()
    print(found.line())
    assert found.damage == []
    assert found.outcomes["other"] == {"given": 100}


def test_when_the_server_calls_the_request_wrong_then_its_asker_hears_and_the_others_go_on(
    made: World, model: StubModelServer
) -> None:
    with answering(with_model(made, model)), Asking(made, letters_allowed=2) as asking:
        publish_document(made)
        model.modes = ["refuse", "ok", "refuse", "ok"]
        for _ in range(4):
            asking.ask("wrong or not", 5.0)
        found = asking.count()
    assert found.damage == []
    assert found.outcomes["wrong or not"] == {"given": 2, "unavailable": 2}
