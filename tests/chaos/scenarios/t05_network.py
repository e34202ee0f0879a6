"""T5: the network between workers and brokers is slow, resets, swallows everything or only answers; then it heals.

One broker is everything to its workers: leader and both coordinators. The long form has three brokers besides, and lets
the faults come between the workers and one of them: the transaction coordinator, then the leader of an input partition.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Final

from tests.chaos.behind import broker_behind_proxy, cluster_behind_proxies, through
from tests.chaos.beside import Copies, beside, copies, joined, without
from tests.chaos.checker import Rules
from tests.chaos.copying import Plan
from tests.chaos.proxy import Front
from tests.chaos.recovery import Recovery, figures, recovery, slowest
from tests.chaos.roles import ROLES
from tests.chaos.scenario import Form, Outcome, Scenario, control_outcome, judged
from tests.chaos.source import Flow

RECOVERED_WITHIN_S: Final = 10.0
RATE: Final = 200.0
DELAY_S: Final = 0.2
RESETS_EVERY_S: Final = 0.5
# In the short form there is no time to look for long whether it stays calm.
CALM_S: Final = (1.5, 3.0)
DRAIN_S: Final = (60.0, 20.0)
# The control has a batch in hand at any moment, so that one is on its way when answers cease.
BUSY: Final[dict[str, Any]] = {"handler": "slow:50"}
HIT: Final = ("transaction coordinator", "leader of input")


@dataclass(frozen=True)
class Fault:
    """What is done to the way to a broker, and for how long."""

    name: str
    seconds: float
    do: Callable[[Front, float], object]


def faults_of(form: Form) -> list[Fault]:
    dark_s = form.pick(6.0, 20.0)
    return [
        Fault("delay", form.pick(2.0, 10.0), lambda front, _: front.delay(DELAY_S)),
        Fault("resets", form.pick(2.0, 10.0), resets),
        Fault("black hole", dark_s, lambda front, _: front.swallow()),
        Fault("answers dropped", dark_s, lambda front, _: front.swallow("down")),
        *form.pick([], [Fault("requests dropped", dark_s, lambda front, _: front.swallow("up"))]),
    ]


def resets(front: Front, seconds: float) -> None:
    """Resets every connection again and again."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        front.reset()
        time.sleep(RESETS_EVERY_S)


def suffered(runs: Copies, front: Front, fault: Fault, target: str, calm_s: float) -> Recovery:
    """One fault and its healing; how soon the outputs flowed after it."""
    runs.fault(fault.name, target)
    until = time.monotonic() + fault.seconds
    fault.do(front, fault.seconds)
    time.sleep(max(0.0, until - time.monotonic()))
    front.heal()
    runs.fault("healed", target)
    return recovery(runs.run, time.monotonic(), calm_s=calm_s)


def judgement(runs: Copies, recoveries: dict[str, Recovery]) -> tuple[Outcome, Outcome]:
    """Ends both copies and says what came of them."""
    found, damaged = runs.finish(Rules(), DRAIN_S)
    run = judged(found, **runs.run.figures(), faults=", ".join(recoveries), **figures(list(recoveries.values())))
    late = f"flowing again {slowest(list(recoveries.values())):.1f} s after healing, wanted {RECOVERED_WITHIN_S:g} s"
    run.require(slowest(list(recoveries.values())) < RECOVERED_WITHIN_S, late)
    run.require(not run.figures["restarts"], "a worker ended and was started again")
    return run, control_outcome(damaged, "duplicated")


def one_broker(form: Form, seed: int, folder: Path) -> tuple[Outcome, Outcome]:
    """All faults between the workers and their only broker."""
    with broker_behind_proxy(folder / "broker") as (broker, front):
        plan = Plan(broker.bootstrap, Flow(RATE), spec={"kafka": through(broker.proxied_bootstrap)})
        with copies(plan, without(plan, "plain-producer", spec=BUSY), folder, seed) as runs:
            hurt = partial(suffered, runs, front, target="the broker", calm_s=form.pick(*CALM_S))
            return judgement(runs, {fault.name: hurt(fault) for fault in faults_of(form)})


def three_brokers(form: Form, seed: int, folder: Path) -> tuple[Outcome, Outcome]:
    """All faults between the workers and one broker of three, which has a role for them."""
    with cluster_behind_proxies(folder / "cluster") as (cluster, fronts):
        spec = {"kafka": through(cluster.proxied_bootstrap)}
        plan = Plan(cluster.bootstrap, Flow(RATE), replication=3, spec=spec)
        with copies(plan, without(plan, "plain-producer", spec=BUSY), folder, seed) as runs:
            recoveries = {}
            for role, fault in product(HIT, faults_of(form)):
                front = fronts[ROLES[role](cluster, runs.run) - 1]
                recoveries[f"{fault.name} ({role})"] = suffered(runs, front, fault, role, form.pick(*CALM_S))
            return judgement(runs, recoveries)


def both(form: Form, seed: int, folder: Path) -> tuple[Outcome, Outcome]:
    """One broker, and in the long form three too."""
    whole = one_broker(form, seed, folder / "one")
    return joined(whole, "three brokers", three_brokers(form, seed, folder / "three")) if form.long else whole


T05: Final = Scenario("T5", "network", "200 ms delay, resets, black hole, one-way drop", *beside(both))
