"""A model server that misbehaves in every way while questions fly, and the settings that meet it."""

from __future__ import annotations

import random
import time
from typing import Any, Final, get_args

from streams.model_settings import Models
from streams.settings import Settings
from tests.live.asking import Asking
from tests.live.erasure_world import World
from tests.model_process import ModelProcess
from tests.stub_model_server import Mode

OUTAGES: Final[tuple[Mode, ...]] = tuple(mode for mode in get_args(Mode) if mode != "refuse")
"""All but a request that the server calls wrong, which is no outage: it is a dead letter, and its asker hears so."""

LADDER: Final[dict[str, Any]] = {
    "small_model": "little",
    "fallback": "extractive",
    "attempts": 2,
    "backoff_ms": 50,
    "first_word_s": 0.6,
    "silence_s": 0.5,
    "slow_s": 0.5,
    "reserve_ms": 700,
    "hedge_ms": 300,
    "breaker": "memory",
    "breaker_rest_s": 0.5,
}
"""Everything that may stand around a model, tight enough for questions of a second and a half."""


def with_model(world: World, model: ModelProcess, **models: Any) -> Settings:
    """The world's settings, with its answers written by that server."""
    generate = world.settings.generate.model_copy(update={"url": model.url, "model": "stub"})
    return world.settings.model_copy(update={"generate": generate, "models": Models(**models)})


def storm(asking: Asking, model: ModelProcess, rounds: int, seed: int = 7) -> None:
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


def one_by_one(asking: Asking, model: ModelProcess) -> None:
    """Every behaviour for so long that all tries of a question meet it: none is saved by the next one."""
    for mode in OUTAGES:
        model.mode = mode
        for _ in range(4):
            asking.ask(mode, 2.0)
        time.sleep(1.2)
    model.mode = "ok"
