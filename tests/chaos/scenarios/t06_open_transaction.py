"""T6: kill -9 between produce and commit: how long are readers of committed records held back by what is left open?

A slot that starts again under its stable transactional id takes it back at once; under another id, everybody waits for
the transaction's own timeout.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.chaos.brokers import shared_broker
from tests.chaos.checker import Findings, Rules
from tests.chaos.copying import CopyRun, Plan
from tests.chaos.rows import ends
from tests.chaos.scenario import Form, Outcome, Scenario, judged
from tests.chaos.source import Flow

FREE_WITHIN_S: Final = 2.0
# Long enough to be told from a start; the broker looks for transactions that are over every half second.
TIMEOUT_MS: Final = 6_000
LOOKS_EVERY_S: Final = 0.5
LOOK_S: Final = 0.02
AIM_S: Final = 5.0
TRIES: Final = 4
# What is written stays uncommitted for a while, so that a kill finds it.
SPEC: Final = {"defence": "quick-commit", "transaction_timeout_ms": TIMEOUT_MS}


@dataclass(frozen=True)
class Wait:
    """How long readers stood behind what a dead worker left, seconds: since the kill, since its successor was up.

    `since_up` is None where the successor took so long to start that the transaction's timeout was over before it.
    """

    since_kill: float
    since_up: float | None


def held_back(run: CopyRun, chance: random.Random, within_s: float) -> Wait | None:
    """Kills the worker in an open transaction, and waits until readers are past what it left.

    None where the kill left nothing open.
    """
    run.fleet.busy(AIM_S, chance)
    run.fleet.kill("a")
    began = time.monotonic()
    bootstrap, sink = run.plan.bootstrap, run.sink
    left = ends(bootstrap, sink)
    if ends(bootstrap, sink, committed=True) == left:
        return None
    while time.monotonic() - began < within_s:
        stable = ends(bootstrap, sink, committed=True)
        if all(stable[partition] >= end for partition, end in left.items()):
            break
        time.sleep(LOOK_S)
    free = time.monotonic()
    # Starting Python takes as long as the machine likes; what is judged begins where the engine does.
    up = next((one.at for one in run.fleet.operations() if one.op == "init" and one.at > began), free)
    return Wait(free - began, free - up if up < free else None)


def killed(
    seed: int, folder: Path, hits: int, says: Callable[[Wait], bool], **spec: Any
) -> tuple[Findings, list[Wait]]:
    """Kills until so many left something open that says something; how long each held the readers back."""
    chance = random.Random(seed)
    plan = Plan(shared_broker().bootstrap, Flow(rate=100.0), (1, 3), ("a",), spec={**SPEC, **spec})
    with CopyRun(plan, folder, seed) as run:
        waits = list[Wait]()
        for _ in range(hits * TRIES):
            wait = held_back(run, chance, 3 * TIMEOUT_MS / 1000)
            waits += [wait] if wait and says(wait) else []
            if len(waits) == hits:
                break
            run.await_seen(run.reader.seen + 1)
        return run.finish(Rules()), waits


def run(form: Form, seed: int, folder: Path) -> Outcome:
    wanted = form.pick(1, 20)
    findings, waits = killed(seed, folder, wanted, lambda wait: wait.since_up is not None)
    slowest = max((wait.since_up or 0.0 for wait in waits), default=0.0)
    outcome = judged(findings, **{"left open": len(waits)})
    outcome.figures["readers held back at most, s after the slot was up"] = round(slowest, 2)
    outcome.figures["s after the kill"] = round(max((wait.since_kill for wait in waits), default=0.0), 2)
    outcome.require(len(waits) == wanted, "too few kills left a transaction open")
    outcome.require(slowest < FREE_WITHIN_S, f"readers were held back for {slowest:.1f} s after the slot was up")
    return outcome


def control(form: Form, seed: int, folder: Path) -> Outcome:
    """With a new id at every start, readers wait for the timeout of the transaction: too long, but no longer."""
    findings, waits = killed(seed, folder, 1, lambda _: True, defence="stable-id")
    slowest = max((wait.since_kill for wait in waits), default=0.0)
    outcome = judged(findings, **{"a new id at every start": f"readers held back for {slowest:.2f} s"})
    outcome.require(slowest > FREE_WITHIN_S, "the control held nobody back")
    most = TIMEOUT_MS / 1000 + 2 * LOOKS_EVERY_S
    outcome.require(slowest < most, f"held back for longer than the transaction's timeout: {slowest:.1f} s")
    return outcome


T06: Final = Scenario("T6", "what a dead worker left open", "kill -9 between produce and commit", run, control)
