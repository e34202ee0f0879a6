"""T20: mixed faults for a long time at 300 records/s; nothing is lost, and no worker grows."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any, Final

from tests.chaos.brokers import SESSION_S, shared_broker
from tests.chaos.checker import Findings, Rules
from tests.chaos.copying import CopyRun, Plan
from tests.chaos.growth import Growth, Watch, growth
from tests.chaos.scenario import Form, Outcome, Scenario, judged
from tests.chaos.source import Flow

RATE: Final = 300.0
# Killed, frozen and restarted are the others; this one lives through all of it and shows what grows.
ELDEST: Final = "a"
OTHERS: Final = ("b", "c")
BETWEEN_S: Final = {"short": (0.5, 1.5), "long": (2.0, 8.0)}
SECONDS: Final = {"short": 20.0, "long": 1_800.0}
WARM_UP_S: Final = {"short": 5.0, "long": 300.0}
SAMPLES_EVERY_S: Final = {"short": 0.5, "long": 5.0}
# The design allows 1 MB an hour. Twenty seconds say nothing about hours: there only a leak of megabytes shows.
MB_AN_HOUR: Final = 1.0
SHORT_MB: Final = 8.0
# A call that is waited for with a bound of its own, or a consumer on its way out, has a thread for a while.
THREADS: Final = 4
DESCRIPTORS: Final = 8


def harm(run: CopyRun, chance: random.Random) -> None:
    """One fault of some kind."""
    slot = chance.choice(OTHERS)
    kind = chance.choice(("kill", "kill", "busy", "freeze", "nap", "restart"))
    if kind == "kill":
        run.fleet.kill(slot)
    if kind == "busy":
        busy = run.fleet.busy(0.5, chance)
        run.fleet.kill(busy if busy in OTHERS else slot)
    if kind in ("freeze", "nap"):
        run.fleet.pause(slot)
        time.sleep(SESSION_S + 1.0 if kind == "freeze" else 1.0)
        run.fleet.resume(slot)
    if kind == "restart":
        run.fleet.stop(slot)
        run.fleet.start(slot)


def soaked(form: Form, seed: int, folder: Path, seconds: float, **spec: Any) -> tuple[Findings, Growth | None, int]:
    """A copy with faults for so long: the findings, the growth of the eldest, and how many faults there were."""
    chance, faults = random.Random(seed), 0
    plan = Plan(shared_broker().bootstrap, Flow(rate=RATE), (3, 3), (ELDEST, *OTHERS), spec=spec)
    with CopyRun(plan, folder, seed) as run:
        fleet = run.fleet
        with Watch(lambda: {slot: fleet.pid(slot) for slot in fleet.slots}, SAMPLES_EVERY_S[form.name]) as watch:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                time.sleep(chance.uniform(*BETWEEN_S[form.name]))
                harm(run, chance)
                faults += 1
        findings = run.finish(Rules())
    return findings, growth(watch.longest(ELDEST), WARM_UP_S[form.name]), faults


def grown(found: Growth | None, form: Form) -> str:
    """What grew, in words; nothing where nothing did."""
    if found is None:
        return "the eldest worker did not live long enough"
    checks = {
        f"memory by {found.mb_an_hour:.2f} MB/h": form.long and found.mb_an_hour >= MB_AN_HOUR,
        f"memory by {found.memory_mb:.1f} MB": not form.long and found.memory_mb >= SHORT_MB,
        f"threads by {found.threads}": found.threads > THREADS,
        f"descriptors by {found.descriptors}": found.descriptors > DESCRIPTORS,
    }
    return ", ".join(words for words, grew in checks.items() if grew)


def run(form: Form, seed: int, folder: Path) -> Outcome:
    findings, found, faults = soaked(form, seed, folder, SECONDS[form.name])
    outcome = judged(findings, faults=faults, minutes=round(SECONDS[form.name] / 60, 1))
    if found is not None:
        outcome.figures["memory, MB/h"] = round(found.mb_an_hour, 2)
        outcome.figures["memory, threads, descriptors"] = (
            f"{found.memory_mb:+.1f} MB, {found.threads:+d}, {found.descriptors:+d} in {found.seconds:.0f} s"
        )
    words = grown(found, form)
    outcome.require(not words, f"it grew: {words}")
    return outcome


def control(form: Form, seed: int, folder: Path) -> Outcome:
    """A step that keeps memory, a thread and a descriptor of every batch: the measure must find all three."""
    findings, found, _ = soaked(Form(), seed, folder, 12.0, handler="leak:200")
    words = grown(found, Form())
    outcome = Outcome(findings, {"a leaking step": words or "nothing found"})
    for thing in ("memory", "threads", "descriptors"):
        outcome.require(thing in words, f"the measure did not find the growth of {thing}")
    return outcome


T20: Final = Scenario("T20", "soak at 300 records/s", "kills, zombies, naps, restarts", run, control, alone=False)
