"""T18: a rolling restart of all workers under load, by SIGTERM: nobody notices."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tests.chaos.brokers import shared_broker
from tests.chaos.checker import Findings, Rules
from tests.chaos.copying import CopyRun, Plan
from tests.chaos.scenario import Form, Outcome, Scenario, control_outcome, judged
from tests.chaos.source import Flow

SLOTS: Final = ("a", "b", "c")
# What a container is given by default is 10 s and more; `worker.drain_s` is 5 s in these runs.
GRACE_S: Final = 8.0
BETWEEN_S: Final = 0.5
EXACTLY_ONCE: Final = Rules()
AT_LEAST_ONCE: Final = Rules(exactly_once=False)


def rolling(run: CopyRun, rounds: int) -> list[float]:
    """Restarts one worker after the other, each when the one before is back; the seconds each took to end."""
    took = []
    for slot in run.fleet.slots * rounds:
        time.sleep(BETWEEN_S)
        took.append(run.fleet.stop(slot, GRACE_S))
        run.fleet.start(slot)
        run.fleet.await_ready()
    return took


def restarted(
    seed: int, folder: Path, rounds: int, rules: Rules, slots: Sequence[str] = SLOTS, **spec: Any
) -> tuple[Findings, dict[str, Any]]:
    """One rolling restart and what it showed; an error is whatever a worker said of itself before it ended."""
    plan = Plan(shared_broker().bootstrap, Flow(rate=300.0), (3, 3), slots, spec=spec)
    with CopyRun(plan, folder, seed) as run:
        took = rolling(run, rounds)
        findings = run.finish(rules)
        operations = run.fleet.operations()
        written = findings.output
    notes = [one["text"] for one in operations if one.op == "note"]
    errors = [one["text"] for one in operations if one.op == "note" and one.state == "fail"]
    figures = {
        "records": findings.source,
        "restarted": len(took),
        # The workers that are there at the end were stopped too.
        "unclean ends": len(took) + len(slots) - notes.count("ended"),
        "errors": len(errors) + sum(run.fleet.restarts.values()),
        "slowest end, s": round(max(took), 2),
        "written twice": written - findings.source,
    }
    return findings, figures


def _require(outcome: Outcome, figures: dict[str, Any]) -> None:
    outcome.require(figures["unclean ends"] == 0, "a worker did not end by itself")
    outcome.require(figures["errors"] == 0, "a worker failed")
    outcome.require(figures["slowest end, s"] < GRACE_S, "a worker took longer than the grace")


def run(form: Form, seed: int, folder: Path) -> Outcome:
    """Batch hops in transactions, then keyed hops with work in flight: what has started finishes and is committed."""
    rounds = form.pick(1, 10)
    findings, figures = restarted(seed, folder / "batch", rounds, EXACTLY_ONCE)
    outcome = judged(findings, **figures)
    _require(outcome, figures)
    hop = {"runner": "keyed", "handler": "each:5"}
    keyed, more = restarted(seed, folder / "keyed", rounds, AT_LEAST_ONCE, form.pick(SLOTS[:2], SLOTS), **hop)
    outcome.figures["keyed"] = (
        f"{keyed.line()}; written twice: {more['written twice']}; slowest {more['slowest end, s']} s"
    )
    outcome.require(not keyed.damage, f"keyed: {keyed.line()}\n{keyed.examples()}")
    _require(outcome, more)
    return outcome


def control(form: Form, seed: int, folder: Path) -> Outcome:
    """Without transactions, what a worker had not committed when it was told to end is done again."""
    findings, _ = restarted(seed, folder, 1, EXACTLY_ONCE, defence="transaction")
    return control_outcome(findings, "duplicated", **{"without transactions": findings.line()})


T18: Final = Scenario("T18", "rolling restart of all workers under load", "SIGTERM", run, control, alone=False)
