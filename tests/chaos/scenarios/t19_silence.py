"""T19: a partition falls silent without an error; the watchdog finds it, and a new consumer reads on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

from tests.chaos.brokers import shared_broker
from tests.chaos.checker import Findings, Rules
from tests.chaos.copying import CopyRun, Plan
from tests.chaos.history import Operation
from tests.chaos.scenario import Form, Outcome, Scenario, control_outcome, judged
from tests.chaos.source import Flow

RATE: Final = 200.0
# The engine's own patience is 30 s; the pass line of 30 s needs a shorter one, and a run of seconds a shorter still.
PATIENCE_S: Final = (2.0, 10.0)
NEVER_S: Final = 3_600.0
WITHIN_S: Final = 30.0
FALLS_WITHIN_S: Final = 60.0
LOOK_S: Final = 0.2


def silenced(
    patience_s: float, wait_s: float, seed: int, folder: Path
) -> tuple[Findings, list[Operation], dict[str, Any]]:
    """A copy by one worker, a partition of which falls silent in the middle of the flow."""
    spec = {"defence": "silent-partition", "batch": 50, "worker": {"stall_s": patience_s}}
    plan = Plan(shared_broker().bootstrap, Flow(rate=RATE), slots=("a",), spec=spec)
    with CopyRun(plan, folder, seed) as run:
        until = time.monotonic() + FALLS_WITHIN_S
        while fell(run.fleet.operations()) is None and time.monotonic() < until:
            time.sleep(LOOK_S)
        time.sleep(wait_s)
        findings = run.finish(Rules(), drain_s=WITHIN_S if patience_s < NEVER_S else 3.0)
        return findings, run.fleet.operations(), run.figures()


def fell(operations: list[Operation]) -> float | None:
    """When the partition fell silent; None where it has not yet. A slow machine takes its time until then."""
    return next((one.at for one in operations if one.op == "fault" and one.fields.get("what") == "silence"), None)


def healed_after(operations: list[Operation]) -> float | None:
    """Seconds from the silence to the assignment of the consumer that took over; None where there was none."""
    silent = fell(operations)
    after = [one.at for one in operations if one.op == "assign" and silent is not None and one.at > silent]
    return round(after[0] - silent, 1) if after and silent is not None else None


def run(form: Form, seed: int, folder: Path) -> Outcome:
    """Once in the short form, five times in the long one."""
    patience_s = form.pick(*PATIENCE_S)
    healed = []
    for n in range(form.pick(1, 5)):
        findings, operations, figures = silenced(patience_s, 2.0 + 2.5 * patience_s, seed + n, folder / str(n))
        outcome = judged(findings, patience_s=patience_s, **figures)
        healed.append(healed_after(operations))
        outcome.figures["healed after s"] = healed
        outcome.require(healed[-1] is not None, "no consumer was replaced")
        outcome.require((healed[-1] or 0.0) < WITHIN_S, f"healed after {healed[-1]} s, wanted {WITHIN_S:g} s")
        if not outcome.passed:
            break
    return outcome


def control(_form: Form, seed: int, folder: Path) -> Outcome:
    """Without the watchdog: what lies on the silent partition is never copied."""
    findings, operations, _ = silenced(NEVER_S, 2.0, seed, folder)
    return control_outcome(findings, "lost", healed=healed_after(operations))


T19: Final = Scenario(
    "T19", "a partition falls silent, the watchdog wakes it", "a partition is never fetched again", run, control
)
