"""T2: brokers killed with -9 and started again, one after the other, under a copy; no worker is touched.

A round, with three brokers and three replicas of everything:
1. A role is chosen; whoever holds it now dies: transaction coordinator, controller, group coordinator, leader of input.
2. The other brokers stall for a moment before, so that the one has records that nobody else has. Whoever waits for all
   replicas waits; whoever trusts one loses them (the control, which has a backlog so that it writes meanwhile).
3. It comes back after a moment. The round is over when the outputs flow again and all replicas are in sync.
"""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from headwater.local.cluster import ClusterSpec, KafkaCluster
from streams.settings import user_cache
from tests.chaos.beside import Copies, beside, copies, joined, without
from tests.chaos.brokers import CHAOS_PROPERTIES
from tests.chaos.checker import Rules
from tests.chaos.copying import Plan
from tests.chaos.recovery import Recovery, figures, recovery, slowest
from tests.chaos.roles import ROLES
from tests.chaos.scenario import Form, Outcome, Scenario, control_outcome, judged
from tests.chaos.scenarios.t02_one_broker import one_broker
from tests.chaos.source import Flow

RATE: Final = 200.0
RECOVERED_WITHIN_S: Final = 15.0
WHOLE_WITHIN_S: Final = 60.0
STALL_S: Final = 0.4
# Both groups have dealt out their partitions by then.
FLOWS_S: Final = 1.5
# Records wait for the control in the first round.
BACKLOG: Final = Flow(RATE, bulk=3_000)
BEHIND: Final[dict[str, Any]] = {"handler": "slow:50", "batch": 20}
AWAY_S: Final = (0.5, 5.0)
DRAIN_S: Final = (60.0, 30.0)


@dataclass
class Rounds:
    """What the rounds showed: which roles were hit, and how soon the outputs flowed again."""

    hit: Counter[str] = field(default_factory=Counter)
    recoveries: list[Recovery] = field(default_factory=list)


def brought_down(cluster: KafkaCluster, runs: Copies, role: str, away_s: float, rounds: Rounds) -> None:
    """One round."""
    time.sleep(FLOWS_S)
    holders = {name: holder(cluster, runs.run) for name, holder in ROLES.items()}
    number = holders[role]
    others = [node for node in cluster.nodes if node.spec.node_id != number]
    for other in others:
        other.child.pause()
    time.sleep(STALL_S)
    runs.fault(f"kill broker, {role}", str(number))
    cluster.node(number).child.kill()
    killed = time.monotonic()
    for other in others:
        other.child.resume()
    rounds.hit.update(name for name, holder in holders.items() if holder == number)
    time.sleep(away_s)
    runs.fault("start broker", str(number))
    cluster.node(number).begin()
    rounds.recoveries.append(recovery(runs.run, killed))
    cluster.await_whole(WHOLE_WITHIN_S)


def three_brokers(form: Form, seed: int, folder: Path) -> tuple[Outcome, Outcome]:
    """Rounds over a cluster of its own: a defended copy, and beside it one that trusts a single broker."""
    chance, rounds = random.Random(seed), Rounds()
    shutil.rmtree(folder / "cluster", ignore_errors=True)
    spec = ClusterSpec(folder / "cluster", user_cache(), properties=CHAOS_PROPERTIES)
    with KafkaCluster(spec) as cluster:
        plan = Plan(cluster.bootstrap, Flow(RATE), replication=3)
        bare = without(plan, "plain-producer", flow=BACKLOG, spec=BEHIND)
        with copies(plan, bare, folder, seed) as runs:
            for number in range(form.pick(2, 10)):
                role = list(ROLES)[number % len(ROLES)]
                brought_down(cluster, runs, role, chance.uniform(*form.pick((0.5, 1.0), AWAY_S)), rounds)
            found, damaged = runs.finish(Rules(), DRAIN_S)
            outcome = judged(found, **runs.run.figures())
            outcome.figures |= {"hit": dict(rounds.hit), **figures(rounds.recoveries)}
            late = f"flowing again after {slowest(rounds.recoveries):.1f} s, wanted {RECOVERED_WITHIN_S:g} s"
            outcome.require(slowest(rounds.recoveries) < RECOVERED_WITHIN_S, late)
            outcome.require(not outcome.figures["restarts"], "a worker ended and was started again")
            control = control_outcome(damaged, "lost")
            control.require(runs.control_drained, "the control did not get through: its losses say nothing")
            return outcome, control


def both(form: Form, seed: int, folder: Path) -> tuple[Outcome, Outcome]:
    """Three brokers, and in the long form a single one too."""
    whole = three_brokers(form, seed, folder / "three")
    return joined(whole, "one broker", one_broker(10, seed, folder / "one")) if form.long else whole


T02: Final = Scenario("T2", "copy over three brokers", "kill -9 of brokers in rotation", *beside(both))
