"""A worker beside a model server is told to stop: what it has begun it ends, what it has not the next one does."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.asking import REPLY, Asking, publish_document
from tests.live.erasure_world import World, until, world
from tests.stub_model_server import StubModelServer

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

QUESTIONS = 60
IN_FLIGHT = 8


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, cache_folder: Path, small_program: tuple[str, ...]
) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("drain"), cache_folder, small_program) as made:
        yield made


def beside(made: World, model: StubModelServer) -> World:
    """The same world, for workers that ask this server."""
    environment = {
        "HEADWATER_GENERATE__URL": model.url,
        "HEADWATER_GENERATE__MODEL": "stub",
        "HEADWATER_WORKER__IN_FLIGHT_KEYS": str(IN_FLIGHT),
        "HEADWATER_WORKER__DRAIN_S": "10",
    }
    return dataclasses.replace(made, environment=made.environment | environment)


def test_when_it_is_told_to_stop_then_no_question_is_lost_and_none_is_answered_twice(made: World) -> None:
    with StubModelServer(REPLY, mode="slow", pause_s=0.1) as model, Asking(made) as asking:
        workers = beside(made, model)
        with workers.worker("ingest", "answer") as first:
            publish_document(made)
            # One of them hangs for longer than the grace: it is cut off, and asked again by the next.
            model.modes = ["hang"]
            for _ in range(QUESTIONS):
                asking.ask("asked", 120.0)
            until(lambda: len(asking.endings()) >= IN_FLIGHT, "the first answers")
            first.terminate()
            assert first.wait(40) == 0
        answered, requests = asking.endings(), model.counts.requests
        assert IN_FLIGHT <= len(answered) < QUESTIONS - 1
        # All that was begun was ended, but for the one that hung.
        assert model.counts.answered == len(answered) == requests - 1
        assert model.open == 0
        with workers.worker("ingest", "answer"):
            until(lambda: len(asking.endings()) == QUESTIONS, "the rest")
            until(lambda: model.open == 0, "the last generation to end")
        endings = asking.endings()
    print(f"{len(answered)} answered by the first, {QUESTIONS - len(answered)} by the second")
    assert {len(found) for found in endings.values()} == {1}
    assert model.counts.answered == QUESTIONS
    assert asking.letters() == []
