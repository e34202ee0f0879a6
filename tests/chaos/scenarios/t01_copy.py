"""T1: a transactional copy, 2 -> 3 partitions, while random workers are killed with -9 and started again at once."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from tests.chaos.brokers import SESSION_S, shared_broker
from tests.chaos.checker import Findings, Rules
from tests.chaos.copying import CopyRun, Plan
from tests.chaos.scenario import Form, Outcome, Scenario, control_outcome, judged
from tests.chaos.source import Flow

BETWEEN_KILLS_S: Final = (0.5, 3.0)
# Transactions are short: every second kill waits so long for a worker to be in the middle of one.
AIM_S: Final = 0.5
RATE: Final = 300.0
LONG_KILLS: Final = 200
LONG_RECORDS: Final = 100_000


def killing(run: CopyRun, kills: int, seed: int, between_s: tuple[float, float], aimed: int = 2) -> None:
    """The kill schedule: a random worker at random moments; every second one (`aimed`) hits an open transaction."""
    chance = random.Random(seed)
    # Where each is to hit something, the dead one's partitions have to come back first.
    aim_s = AIM_S if aimed > 1 else 2 * SESSION_S
    for number in range(kills):
        time.sleep(chance.uniform(*between_s))
        chosen = chance.choice(run.fleet.slots)
        busy = run.fleet.busy(aim_s, chance) if number % aimed == aimed - 1 else None
        run.fleet.kill(busy or chosen)


def copied(form: Form, seed: int, folder: Path, kills: int, **plan: Any) -> tuple[Findings, dict[str, Any]]:
    """One copy under the schedule; a plan with one partition is also judged by the order of the whole partition."""
    bootstrap = shared_broker().bootstrap
    flow = Flow(rate=RATE, total=form.pick(0, LONG_RECORDS * kills // LONG_KILLS))
    between_s = form.pick((0.5, 2.0), BETWEEN_KILLS_S)
    with CopyRun(Plan(bootstrap, flow, **plan), folder, seed) as run:
        killing(run, kills, seed, between_s)
        rules = Rules(order="partition" if run.plan.partitions == (1, 1) else "key")
        return run.finish(rules), run.figures()


def run(form: Form, seed: int, folder: Path) -> Outcome:
    """The copy, and a second one over one partition for the order of all of it."""
    findings, figures = copied(form, seed, folder / "keys", form.pick(6, LONG_KILLS))
    outcome = judged(findings, **figures)
    outcome.require(figures["kills in an open transaction"] > 0, "no kill found an open transaction")
    ordered, more = copied(form, seed + 1, folder / "order", form.pick(3, 20), partitions=(1, 1))
    outcome.figures["one partition"] = f"{ordered.line()}; {more['kills']} kills"
    outcome.require(not ordered.damage, f"one partition: {ordered.line()}\n{ordered.examples()}")
    return outcome


def damaged(seed: int, folder: Path, **plan: Any) -> Findings:
    """A short copy without a defence, all of whose kills hit something."""
    with CopyRun(Plan(shared_broker().bootstrap, Flow(rate=RATE), **plan), folder, seed) as run:
        killing(run, 2, seed, (0.5, 1.0), aimed=1)
        return run.finish(Rules())


def control(form: Form, seed: int, folder: Path) -> Outcome:
    """Three times without a defence: offsets first (lost), no transaction (duplicates), aborted records read."""
    plans: dict[str, dict[str, Any]] = {
        "lost": {"spec": {"defence": "commit-after-produce"}},
        "duplicated": {"spec": {"defence": "transaction"}},
        "aborted_reads": {"reader_level": "read_uncommitted", "spec": {"defence": "quick-commit"}},
    }
    with ThreadPoolExecutor(len(plans)) as pool:
        runs = {kind: pool.submit(damaged, seed, folder / kind, **plan) for kind, plan in plans.items()}
        found = {kind: one.result() for kind, one in runs.items()}
    outcome = control_outcome(found["lost"], "lost", **{f"without: {kind}": one.line() for kind, one in found.items()})
    outcome.require(found["duplicated"].duplicated > 0, "no duplicates without a transaction")
    # The engine writes and aborts records of its own when it starts: only copies count here.
    copies = [place for place in found["aborted_reads"].found["aborted_reads"] if "/-1 at" not in place]
    outcome.require(bool(copies), "no aborted copy was seen by a reader of uncommitted records")
    return outcome


T01: Final = Scenario(
    "T1", "transactional copy, 2 → 3 partitions, 2 workers", "kill -9 of a random worker", run, control
)
