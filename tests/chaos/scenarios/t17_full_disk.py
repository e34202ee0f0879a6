"""T17: the disk under a broker is full: it dies, and whoever writes waits or goes to another; then there is room again.

In the short form it is the only broker, in the long form one of three besides. The disk is a small tmpfs, which takes
the right to mount: where there is none, this scenario is left out and counts neither as passed nor as failed.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Final

from headwater.local.broker import KafkaBroker
from headwater.local.cluster import ClusterSpec, KafkaCluster
from streams.settings import user_cache
from tests.chaos.beside import Copies, beside, copies, joined, without
from tests.chaos.brokers import CHAOS_PROPERTIES, new_broker
from tests.chaos.checker import Rules
from tests.chaos.copying import Plan
from tests.chaos.gauges import gauge
from tests.chaos.recovery import Recovery, figures, recovery
from tests.chaos.scenario import Form, Outcome, Scenario, control_outcome, judged
from tests.chaos.small_disk import SmallDisk, may_mount, small_disk
from tests.chaos.source import Flow

DISK_MB: Final = 96
RATE: Final = 200.0
FULL_S: Final = (4.0, 20.0)
LOOK_S: Final = 0.5
FAILED_OVER_WITHIN_S: Final = 15.0
WHOLE_WITHIN_S: Final = 60.0
DRAIN_S: Final = (60.0, 20.0)
# The alert CommitLate goes by it: work in hand, and no commit.
AGE: Final = "headwater_hop_commit_age_seconds"
RECYCLES: Final = "headwater_hop_producer_recycles_total"


def full(disk: SmallDisk, broker: KafkaBroker, runs: Copies, seconds: float) -> float:
    """The disk is full for a while, and the broker under it dies of it; the highest age of a commit meanwhile."""
    runs.fault("disk full", broker.name)
    until, age = time.monotonic() + seconds, 0.0
    while time.monotonic() < until or broker.child.alive:
        # What the broker deletes makes room again.
        disk.fill()
        time.sleep(LOOK_S)
        age = max(age, gauge(runs.run.folder, AGE))
        if time.monotonic() > until + WHOLE_WITHIN_S:
            raise RuntimeError(f"{broker.name} still runs {WHOLE_WITHIN_S:g} s after its disk was full")
    disk.free()
    runs.fault("disk freed", broker.name)
    return age


def judgement(runs: Copies, recovered: Recovery, age: float) -> tuple[Outcome, Outcome]:
    """Ends both copies and says what came of them."""
    recycles = gauge(runs.run.folder, RECYCLES)
    found, damaged = runs.finish(Rules(), DRAIN_S)
    run = judged(found, **runs.run.figures(), **figures([recovered]))
    run.figures |= {"commit age at most, s": round(age, 1), "producers recycled": recycles}
    run.require(not run.figures["restarts"], "a worker ended and was started again")
    run.require(recycles > 0, "no metric told of the broker that was lost")
    return run, control_outcome(damaged, "lost")


def plan_of(bootstrap: str, replication: int) -> Plan:
    return Plan(bootstrap, Flow(RATE), replication=replication, spec={"defence": "nothing, but gauges"})


def one_broker(form: Form, seed: int, folder: Path) -> tuple[Outcome, Outcome]:
    """The disk of the only broker: everybody waits until it is back."""
    with (
        small_disk(folder / "broker" / "data", DISK_MB) as disk,
        new_broker(folder / "broker", least_free_bytes=0) as broker,
    ):
        plan = plan_of(broker.bootstrap, 1)
        with copies(plan, without(plan, "rewind"), folder, seed) as runs:
            age = full(disk, broker, runs, form.pick(*FULL_S))
            broker.start()
            outcome, control = judgement(runs, recovery(runs.run, time.monotonic()), age)
            outcome.require(age >= form.pick(*FULL_S) / 2, f"the age of the last commit rose to {age:.1f} s only")
            return outcome, control


def three_brokers(form: Form, seed: int, folder: Path) -> tuple[Outcome, Outcome]:
    """The disk of one of three: the others take over."""
    shutil.rmtree(folder / "cluster", ignore_errors=True)
    spec = ClusterSpec(folder / "cluster", user_cache(), properties=CHAOS_PROPERTIES)
    with small_disk(folder / "cluster" / "node-3" / "data", DISK_MB) as disk, KafkaCluster(spec) as cluster:
        plan = plan_of(cluster.bootstrap, 3)
        with copies(plan, without(plan, "rewind"), folder, seed) as runs:
            began = time.monotonic()
            age = full(disk, cluster.node(3), runs, form.pick(*FULL_S))
            recovered = recovery(runs.run, began)
            cluster.node(3).begin()
            cluster.await_whole(WHOLE_WITHIN_S)
            outcome, control = judgement(runs, recovered, age)
            late = f"flowing again after {recovered.flowing_s:.1f} s, wanted {FAILED_OVER_WITHIN_S:g} s"
            outcome.require(recovered.flowing_s < FAILED_OVER_WITHIN_S, late)
            return outcome, control


def both(form: Form, seed: int, folder: Path) -> tuple[Outcome, Outcome]:
    """One broker, and in the long form one of three too."""
    whole = one_broker(form, seed, folder / "one")
    return joined(whole, "three brokers", three_brokers(form, seed, folder / "three")) if form.long else whole


def scenario() -> Scenario:
    if not may_mount():
        return Scenario("T17", "full disk: skipped, mounting a small disk takes the rights of root")
    return Scenario("T17", "full disk", "a broker's disk is full", *beside(both))


T17: Final = scenario()
