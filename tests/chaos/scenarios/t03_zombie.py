"""T3: workers that are frozen for longer than their session, and wake up in the belief that nothing has happened."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.chaos.brokers import SESSION_S, shared_broker
from tests.chaos.checker import Findings, Rules
from tests.chaos.copying import CopyRun, Plan
from tests.chaos.history import Operation
from tests.chaos.scenario import Form, Outcome, Scenario, control_outcome, judged
from tests.chaos.source import Flow

FROZEN_S: Final = SESSION_S + 1.5
BACK_WITHIN_S: Final = 10.0
AIM_S: Final = 0.5
SLOTS: Final = ("a", "b", "c")
# Most of the time a worker has results in hand and no transaction open: that is what a zombie would commit.
HANDLER: Final = "slow:400"


@dataclass(frozen=True)
class Zombie:
    """A process that was frozen, and when it went on."""

    slot: str
    pid: int
    woke: float


def freezing(run: CopyRun, rounds: int, seed: int, aim_s: float) -> list[Zombie]:
    """Freezes two of the three workers at a time, one in an open transaction where it finds one, the other anywhere."""
    chance = random.Random(seed)
    zombies = []
    for _ in range(rounds):
        time.sleep(chance.uniform(0.5, 1.5))
        first = run.fleet.busy(aim_s, chance) or chance.choice(SLOTS)
        second = chance.choice([slot for slot in SLOTS if slot != first])
        for slot in (first, second):
            run.fleet.pause(slot)
        time.sleep(FROZEN_S)
        for slot in (first, second):
            run.fleet.resume(slot)
            zombies.append(Zombie(slot, run.fleet.pid(slot), time.monotonic()))
        time.sleep(2.0)
    return zombies


def came_back(zombie: Zombie, operations: list[Operation]) -> float | None:
    """Seconds until the very process committed again; None where it never did."""
    mine = [one for one in operations if one.fields.get("pid") == zombie.pid and one.at > zombie.woke]
    return next((one.at - zombie.woke for one in mine if one.op == "commit" and one.state == "ok"), None)


def refused(zombie: Zombie, operations: list[Operation]) -> bool:
    """Whether what it had in hand when it woke was refused, or given up by itself."""
    mine = [one for one in operations if one.fields.get("pid") == zombie.pid and one.at > zombie.woke]
    first = next((one for one in mine if one.op in ("commit", "abort", "revoke", "lost", "assign")), None)
    return first is not None and not (first.op == "commit" and first.state == "ok")


def frozen(form: Form, seed: int, folder: Path, rounds: int, **spec: Any) -> tuple[Findings, dict[str, Any]]:
    plan = Plan(
        shared_broker().bootstrap, Flow(rate=300.0), (3, 3), SLOTS, spec={"handler": HANDLER, "batch": 500, **spec}
    )
    with CopyRun(plan, folder, seed) as run:
        # The broker takes care of a transaction that is older than its timeout: a control needs results in hand.
        zombies = freezing(run, rounds, seed, 0.0 if spec.get("defence") else AIM_S)
        findings = run.finish(Rules())
        operations = run.fleet.operations()
        back = [came_back(zombie, operations) for zombie in zombies]
        figures = {
            "records": run.source.written,
            "zombies": len(zombies),
            "refused or given up": sum(refused(zombie, operations) for zombie in zombies),
            "back at work by themselves": sum(seconds is not None for seconds in back),
            "slowest back, s": round(max((seconds or 0.0 for seconds in back), default=0.0), 1),
            "restarts": sum(run.fleet.restarts.values()),
        }
    return findings, figures


def run(form: Form, seed: int, folder: Path) -> Outcome:
    findings, figures = frozen(form, seed, folder, form.pick(1, 20))
    outcome = judged(findings, **figures)
    outcome.require(figures["back at work by themselves"] == figures["zombies"], "a zombie did not come back by itself")
    outcome.require(figures["refused or given up"] > 0, "no zombie had anything to refuse")
    outcome.require(figures["slowest back, s"] < BACK_WITHIN_S, "a zombie took too long to come back")
    return outcome


def control(form: Form, seed: int, folder: Path) -> Outcome:
    """Neither compares epochs nor names its member: nobody can tell a zombie."""
    findings, _ = frozen(form, seed, folder, 1, defence="fence")
    return control_outcome(findings, "duplicated", **{"without the fence": findings.line()})


T03: Final = Scenario(
    "T3", "zombies: frozen longer than the session, then awake", "SIGSTOP, SIGCONT", run, control, alone=False
)
