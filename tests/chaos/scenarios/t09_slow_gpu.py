"""T9: batches that take several poll intervals: nobody is evicted, nothing is rebalanced, nothing is done twice."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

from tests.chaos.brokers import shared_broker
from tests.chaos.checker import Findings, Rules
from tests.chaos.copying import CopyRun, Plan
from tests.chaos.membership import await_settled, disturbances
from tests.chaos.scenario import Form, Outcome, Scenario, control_outcome, judged
from tests.chaos.slow_steps import noted
from tests.chaos.source import Flow

RATE: Final = 20.0
# All that has come meanwhile, as on a GPU: the longer a batch takes, the larger the next.
BATCH: Final = 2_000


def slow_run(form: Form, seed: int, folder: Path, batches: int, **spec: Any) -> tuple[Findings, dict[str, Any]]:
    """Two workers, each with a few slow batches after they settled; what they began, and whether they stayed."""
    bootstrap = shared_broker().bootstrap
    batch_s, interval_s = form.pick(2.0, 45.0), form.pick(1.0, 10.0)
    begun = folder / "begun.txt"
    given = {
        "batch": BATCH,
        "handler": f"gpu:{batch_s * 1000:g}:{begun}",
        "kafka": {"max_poll_interval_ms": int(interval_s * 1000)},
        **spec,
    }
    with CopyRun(Plan(bootstrap, Flow(rate=RATE), spec=given), folder, seed) as run:
        # The first batch may have begun before the second worker came, whose coming is a rebalance of its own.
        await_settled(run.fleet.operations, len(run.fleet.slots))
        time.sleep(batch_s)
        mark, before = time.monotonic(), noted(begun)
        time.sleep(batches * batch_s)
        moved = disturbances(run.fleet.operations(), mark)
        # What was in hand while they settled may have been begun by both.
        again = [what for what, times in noted(begun).items() if times > 1 and what not in before]
        findings = run.finish(Rules(), drain_s=3 * batch_s + 20.0)
        figures = {"batch s": batch_s, "poll interval s": interval_s, "rebalances": moved, "begun twice": len(again)}
        return findings, {**figures, **run.figures()}


def run(form: Form, seed: int, folder: Path) -> Outcome:
    findings, figures = slow_run(form, seed, folder, form.pick(2, 4))
    outcome = judged(findings, **figures)
    outcome.require(figures["rebalances"] == 0, f"{figures['rebalances']} rebalances")
    outcome.require(figures["begun twice"] == 0, f"{figures['begun twice']} records were worked on twice")
    outcome.require(figures["restarts"] == 0, "a worker died")
    return outcome


def control(form: Form, seed: int, folder: Path) -> Outcome:
    """Without polling beside the handler: evicted, and the work done again."""
    findings, figures = slow_run(form, seed, folder, 2, defence="polling")
    outcome = control_outcome(findings, **figures)
    harm = figures["rebalances"] + figures["begun twice"] + figures["restarts"]
    outcome.passed, outcome.words = harm > 0, "" if harm else "nobody was evicted"
    return outcome


T09: Final = Scenario("T9", "slow GPU batches", "batches longer than the poll interval", run, control)
