"""T8, T9 and T13 with the model server as what fails: each question ends once, in time, whatever the server does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.asking import REPLY, Asking, answering, publish_document
from tests.live.bad_models import LADDER, one_by_one, storm, with_model
from tests.live.erasure_world import World, world
from tests.model_process import ModelProcess

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, cache_folder: Path, small_program: tuple[str, ...]
) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("models"), cache_folder, small_program) as made:
        yield made


@pytest.fixture
def model() -> Iterator[ModelProcess]:
    with ModelProcess(REPLY, pause_s=0.05) as server:
        yield server


def test_when_the_model_does_everything_wrong_then_each_question_ends_once_and_in_time(
    made: World, model: ModelProcess
) -> None:
    with answering(with_model(made, model)), Asking(made) as asking:
        publish_document(made)
        storm(asking, model, rounds=3)
        found = asking.count()
    print(f"{model.counts.requests} requests: {found.line()}")
    assert found.damage == []
    assert found.endings("given") > 0


def test_when_each_wrong_lasts_then_none_makes_dead_letters(made: World, model: ModelProcess) -> None:
    with answering(with_model(made, model)), Asking(made) as asking:
        publish_document(made)
        one_by_one(asking, model)
        found = asking.count()
    print(found.line())
    assert found.damage == []
    assert found.outcomes["ok"] == {"given": 4}


def test_when_some_wait_long_for_a_model_that_is_away_then_one_in_a_hurry_hears_in_time(
    made: World, model: ModelProcess
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


def test_when_one_generation_hangs_then_the_others_are_answered(made: World, model: ModelProcess) -> None:
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
    made: World, model: ModelProcess
) -> None:
    with answering(with_model(made, model)), Asking(made, letters_allowed=2) as asking:
        publish_document(made)
        model.modes = ["refuse", "ok", "refuse", "ok"]
        for _ in range(4):
            asking.ask("wrong or not", 5.0)
        found = asking.count()
    assert found.damage == []
    assert found.outcomes["wrong or not"] == {"given": 2, "unavailable": 2}


def test_when_all_of_the_ladder_is_on_then_nobody_hears_that_a_model_is_away(made: World, model: ModelProcess) -> None:
    with ModelProcess(REPLY) as small:
        settings = with_model(made, model, small_url=small.url, **LADDER)
        with answering(settings), Asking(made) as asking:
            publish_document(made)
            storm(asking, model, rounds=2, seed=11)
            found = asking.count()
    print(f"{model.counts.requests} + {small.counts.requests} requests: {found.line()}")
    assert found.damage == []
    # In time all the same: on a machine that others load, what the ladder reserves may not be enough for each.
    assert found.endings("expired") <= len(asking.deadlines) // 50
    assert found.endings("given+fallback:small") > 0


def test_when_every_model_is_away_then_the_sources_are_quoted(made: World, model: ModelProcess) -> None:
    with ModelProcess(REPLY, mode="hang") as small:
        settings = with_model(made, model, small_url=small.url, **LADDER)
        with answering(settings), Asking(made) as asking:
            publish_document(made)
            model.down()
            for _ in range(40):
                asking.ask("away", 4.0)
                time.sleep(0.02)
            found = asking.count()
            model.up()
    print(found.line())
    assert found.damage == []
    assert found.outcomes["away"] == {"given+fallback:extractive": 40}


def test_when_one_tenant_asks_too_much_then_its_questions_are_answered_overloaded_at_once(
    made: World, model: ModelProcess
) -> None:
    model.mode, model.pause_s = "slow", 0.2
    with answering(with_model(made, model, tenant_at_once=2, tenant_waiting=4)), Asking(made) as asking:
        publish_document(made)
        for _ in range(20):
            asking.ask("many", 20.0)
        found = asking.count()
    print(found.line())
    assert found.damage == []
    assert found.outcomes["many"]["overloaded"] >= 10
    assert found.outcomes["many"]["given"] >= 6
