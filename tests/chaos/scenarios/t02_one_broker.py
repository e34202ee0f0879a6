"""T2 on a single broker, which comes back as what it was: `docs/adr/0009` tells what it may leave open for ever.

Four workers, since one in so many restarts leaves something open, and for few of them. The control sweeps nothing.
"""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path
from typing import Final

from headwater.local.broker import KafkaBroker
from tests.chaos.beside import Copies, copies, without
from tests.chaos.brokers import new_broker
from tests.chaos.checker import Rules
from tests.chaos.copying import Plan
from tests.chaos.recovery import Recovery, figures, recovery
from tests.chaos.scenario import Outcome, control_outcome, judged
from tests.chaos.source import Flow

SLOTS: Final = ("a", "b", "c", "d")
RATE: Final = 200.0
AWAY_S: Final = (0.5, 5.0)
# Between two kills there is always some flow.
FLOWS_S: Final = (0.5, 2.0)
AIM_S: Final = 0.5
DRAIN_S: Final = (60.0, 20.0)


def brought_down(broker: KafkaBroker, runs: Copies, chance: random.Random) -> Recovery:
    """Kills the broker while a worker has a transaction open, starts it again after a while; how soon all flowed."""
    time.sleep(chance.uniform(*FLOWS_S))
    runs.control.fleet.busy(AIM_S, chance)
    runs.fault("kill broker", "1")
    broker.child.kill()
    time.sleep(chance.uniform(*AWAY_S))
    runs.fault("start broker", "1")
    broker.start()
    return recovery(runs.run, time.monotonic())


def one_broker(rounds: int, seed: int, folder: Path) -> tuple[Outcome, Outcome]:
    """Rounds over a broker of its own: a copy by four workers, and beside it one by four that sweep nothing."""
    chance = random.Random(seed)
    shutil.rmtree(folder / "broker", ignore_errors=True)
    with new_broker(folder / "broker") as broker:
        plan = Plan(broker.bootstrap, Flow(RATE), (len(SLOTS), 3), SLOTS)
        with copies(plan, without(plan, "sweep"), folder, seed) as runs:
            recoveries = [brought_down(broker, runs, chance) for _ in range(rounds)]
            found, damaged = runs.finish(Rules(), DRAIN_S)
            outcome = judged(found, **runs.run.figures(), **figures(recoveries))
            outcome.require(not outcome.figures["restarts"], "a worker ended and was started again")
            return outcome, control_outcome(damaged, **runs.control.figures())
