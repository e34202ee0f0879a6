"""T8: what the workers depend on goes away for a while, longer than the poll interval, and comes back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

from tests.chaos.brokers import shared_broker
from tests.chaos.checker import Findings, Rules
from tests.chaos.copying import CopyRun, Plan
from tests.chaos.dependency import Dependency
from tests.chaos.membership import await_settled, disturbances, resident_mb
from tests.chaos.rows import read_topic
from tests.chaos.scenario import Form, Outcome, Scenario, control_outcome, judged
from tests.chaos.source import Flow

RATE: Final = 300.0
RESUME_WITHIN_S: Final = 5.0
GROWTH_MB: Final = 64.0
"""What a worker may grow by: what it fetches ahead (16 MB) and holds (16 MB a lane), twice."""
POLL_INTERVAL_MS: Final = 3_000
"""Shorter than the outage: whoever waits for the dependency without polling is evicted."""
LOOK_S: Final = 0.05


def plan(bootstrap: str, handler: str, runner: str, rate: float = RATE) -> Plan:
    """Two workers of one kind of hop, whose steps need the dependency."""
    spec = {"handler": handler, "runner": runner, "kafka": {"max_poll_interval_ms": POLL_INTERVAL_MS}}
    return Plan(bootstrap, Flow(rate=rate), spec=spec)


def outage(dependency: Dependency, runs: list[CopyRun], down_s: float) -> dict[str, Any]:
    """Takes the dependency away and gives it back; how it went, over all workers."""
    for run in runs:
        await_settled(run.fleet.operations, len(run.fleet.slots))
    workers = [run.fleet.pid(slot) for run in runs for slot in run.fleet.slots]
    before, mark = {pid: resident_mb(pid) for pid in workers}, time.monotonic()
    dependency.down()
    most = dict.fromkeys(workers, 0.0)
    while time.monotonic() - mark < down_s:
        most = {pid: max(peak, resident_mb(pid)) for pid, peak in most.items()}
        time.sleep(LOOK_S)
    seen = {run: run.reader.seen for run in runs}
    dependency.up()
    up, resumed = time.monotonic(), 0.0
    while any(run.reader.seen == seen[run] for run in runs) and time.monotonic() - up < 3 * RESUME_WITHIN_S:
        time.sleep(LOOK_S)
    resumed = time.monotonic() - up
    return {
        "outage s": down_s,
        "resumed after s": round(resumed, 2),
        "most growth MB": round(max(most[pid] - before[pid] for pid in workers), 1),
        "disturbances": sum(disturbances(run.fleet.operations(), mark) for run in runs),
        "restarts": sum(sum(run.fleet.restarts.values()) for run in runs),
    }


def run(form: Form, seed: int, folder: Path) -> Outcome:
    """A batch hop and a keyed hop side by side."""
    bootstrap = shared_broker().bootstrap
    with Dependency() as dependency:
        batch = plan(bootstrap, f"asks:{dependency.port}", "batch")
        keyed = plan(bootstrap, f"asks-each:{dependency.port}", "keyed", RATE / 3)
        with CopyRun(batch, folder / "batch", seed) as first, CopyRun(keyed, folder / "keyed", seed + 1) as second:
            figures = outage(dependency, [first, second], form.pick(5.0, 60.0))
            outcome = judged(first.finish(Rules()), **figures, records=first.source.written)
            others = second.finish(Rules(exactly_once=False))
            outcome.require(not others.damage, f"keyed: {others.line()}\n{others.examples()}")
            outcome.figures["keyed"] = others.line()
            letters = [read_topic(bootstrap, topic) for topic in (first.letters, second.letters)]
            outcome.figures["dead letters"] = sum(map(len, letters))
    _require(outcome)
    return outcome


def _require(outcome: Outcome) -> None:
    figures = outcome.figures
    outcome.require(figures["dead letters"] == 0, f"{figures['dead letters']} records became dead letters")
    outcome.require(figures["disturbances"] == 0, "a worker left its group")
    outcome.require(figures["restarts"] == 0, "a worker died")
    outcome.require(figures["resumed after s"] < RESUME_WITHIN_S, "it took too long to resume")
    outcome.require(figures["most growth MB"] < GROWTH_MB, "memory grew")


def control(form: Form, seed: int, folder: Path) -> Outcome:
    """The outage looks like a fault of the records: they become dead letters, and are missing."""
    bootstrap = shared_broker().bootstrap
    with Dependency() as dependency:
        blind = plan(bootstrap, f"asks-blindly:{dependency.port}", "batch")
        with CopyRun(blind, folder / "blind", seed) as first:
            figures = outage(dependency, [first], form.pick(2.0, 10.0))
            findings: Findings = first.finish(Rules())
            return control_outcome(findings, "lost", **figures)


T08: Final = Scenario("T8", "dependency away for 60 s", "connections cut and refused", run, control)
