"""Three times as many questions as a worker can answer in full: with the ladder everybody hears in good time."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.asking import REPLY, Asking, Count, publish_document
from tests.live.erasure_world import World, until, world
from tests.stub_model_server import StubModelServer

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

IN_FLIGHT = 4
PAUSE_S = 0.02
"""Between two words of the model: an answer of some twenty words takes half a second, four at a time eight a second."""

RATE = 24
SECONDS = 12
WITHIN_S = 4.0
LADDER = {"QUOTES_S": "0.4", "SHED_S": "1.5", "CALM_S": "1"}
LAST_RUNG = {"SHED_S": "1.5"}


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, cache_folder: Path, small_program: tuple[str, ...]
) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("load"), cache_folder, small_program) as made:
        yield made


def overloaded(made: World, ladder: dict[str, str]) -> Count:
    """What becomes of the questions of some seconds, three times as many as the model answers."""
    with StubModelServer(REPLY, mode="slow", pause_s=PAUSE_S) as model, Asking(made) as asking:
        environment = {
            "HEADWATER_GENERATE__URL": model.url,
            "HEADWATER_GENERATE__MODEL": "stub",
            "HEADWATER_MODELS__FALLBACK": "extractive",
            "HEADWATER_WORKER__IN_FLIGHT_KEYS": str(IN_FLIGHT),
            **{f"HEADWATER_LOAD__{name}": value for name, value in ladder.items()},
        }
        workers = dataclasses.replace(made, environment=made.environment | environment)
        with workers.worker("ingest", "answer"):
            publish_document(made)
            first = asking.ask("first", 60.0)
            until(lambda: first in asking.endings(), "the first answer")
            began = time.monotonic()
            for number in range(RATE * SECONDS):
                time.sleep(max(0.0, began + number / RATE - time.monotonic()))
                asking.ask("asked", WITHIN_S)
            return asking.count()


def p99(count: Count) -> float:
    took = sorted(count.took_s["asked"])
    return took[int(0.99 * (len(took) - 1))]


def given(count: Count) -> int:
    """How many of those asked were answered."""
    return sum(number for how, number in count.outcomes["asked"].items() if how.startswith("given"))


def test_when_three_times_too_many_ask_then_the_ladder_keeps_endings_in_time(made: World) -> None:
    ways = {"without": {}, "with": LADDER, "last rung alone": LAST_RUNG}
    counts = {name: overloaded(made, ladder) for name, ladder in ways.items()}
    for name, count in counts.items():
        print(f"{name}: p99 {p99(count):.2f} s of {WITHIN_S} s; {count.line()}")
        # Exactly one ending for each, each way.
        assert count.damage == []
    without, ladder, last = counts.values()
    assert without.endings("expired") > RATE * SECONDS / 4 and p99(without) > WITHIN_S - 0.1
    assert ladder.endings("expired") == last.endings("expired") == 0
    assert max(p99(ladder), p99(last)) < WITHIN_S
    assert given(ladder) > 2 * given(without) and given(last) > given(without) / 2
    assert last.endings("overloaded") > 0
