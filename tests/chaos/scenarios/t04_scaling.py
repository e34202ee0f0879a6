"""T4: workers come and go every few seconds while each batch takes two: 1 -> 3 -> 1 -> 2, over and over."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tests.chaos.brokers import shared_broker
from tests.chaos.checker import Findings, Rules
from tests.chaos.copying import CopyRun, Plan
from tests.chaos.history import Operation
from tests.chaos.scenario import Form, Outcome, Scenario, control_outcome, judged
from tests.chaos.source import Flow

STEPS: Final = (("a", "b", "c"), ("a",), ("a", "b"), ("a",))
# The short form may share its machine with anything: there it is the limit of the design, not the target.
PAUSE_P99_S: Final = {"short": 3.0, "long": 1.0}
PARTITIONS: Final = (6, 6)


def scaling(run: CopyRun, steps: int, every_s: float) -> None:
    """Brings the fleet to the next size of the cycle, `steps` times."""
    for wanted in itertools.islice(itertools.cycle(STEPS), steps):
        there = run.fleet.slots
        for slot in there:
            if slot not in wanted:
                run.fleet.stop(slot)
        run.fleet.start(*(slot for slot in wanted if slot not in there))
        run.fleet.await_ready()
        time.sleep(every_s)


def pauses(operations: Iterable[Operation]) -> list[float]:
    """How long partitions belonged to nobody: from being taken from one worker to being given to another."""
    left: dict[tuple[str, int], float] = {}
    found = []
    for operation in operations:
        places = [tuple(place) for place in operation.fields.get("partitions", ())]
        if operation.op in ("revoke", "lost"):
            left |= dict.fromkeys(places, operation.at)
        if operation.op == "assign":
            found += [operation.at - left.pop(place) for place in places if place in left]
    return found


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that so large a share of them does not exceed; 0 where there are none."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)] if ordered else 0.0


def scaled(form: Form, seed: int, folder: Path, steps: int, **spec: Any) -> tuple[Findings, dict[str, Any]]:
    handler, every_s = form.pick(("slow:1000", 3.0), ("slow:2000", 5.0))
    spec = {"handler": handler, "batch": 500, **spec}
    plan = Plan(shared_broker().bootstrap, Flow(rate=200.0), PARTITIONS, ("a",), spec=spec)
    with CopyRun(plan, folder, seed) as run:
        scaling(run, steps, every_s)
        findings = run.finish(Rules())
        operations = run.fleet.operations()
    moved = pauses(operations)
    figures = {
        "records": findings.source,
        "rebalances": steps,
        "partitions moved": len(moved),
        "pause p50, s": round(percentile(moved, 0.5), 3),
        "pause p99, s": round(percentile(moved, 0.99), 3),
        "restarts": sum(run.fleet.restarts.values()),
    }
    return findings, figures


def run(form: Form, seed: int, folder: Path) -> Outcome:
    findings, figures = scaled(form, seed, folder, form.pick(3, 20))
    outcome = judged(findings, **figures)
    outcome.require(figures["partitions moved"] > 0, "no partition moved")
    outcome.require(figures["restarts"] == 0, "a worker died by itself")
    most_s = PAUSE_P99_S[form.name]
    outcome.require(figures["pause p99, s"] < most_s, f"rebalance pause p99 is not below {most_s:g} s")
    return outcome


def control(form: Form, seed: int, folder: Path) -> Outcome:
    """A ledger without epochs commits what it read before the partition was taken away."""
    findings, figures = scaled(Form(), seed, folder, 4, defence="epochs")
    return control_outcome(findings, **{"without epochs": findings.line(), "moved": figures["partitions moved"]})


T04: Final = Scenario(
    "T4", "workers come and go, slow batches", "1 → 3 → 1 → 2 workers, over and over", run, control, alone=False
)
