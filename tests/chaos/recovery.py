"""How long outputs were away after a fault: until they flow at the source's rate again, and until nothing waits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from tests.chaos.copying import CopyRun

BEHIND_S: Final = 1.0
"""What was written so long ago has been read by the concurrent reader, when all is well."""
# A third of the flow that stands still shows within this time.
CALM_S: Final = 3.0
LOOK_S: Final = 0.02


@dataclass(frozen=True)
class Recovery:
    """Seconds from a fault until outputs flowed at the source's rate, and until nothing waited; infinite where never.

    They flow from the moment on at which the backlog is largest: from there on as much came out as went in, or more.
    What the source could not deliver belongs to the backlog: it writes at its pace, whatever becomes of it.
    """

    flowing_s: float
    caught_up_s: float


def recovery(run: CopyRun, since: float, within_s: float = 60.0, calm_s: float = CALM_S) -> Recovery:
    """Watches a copy after a fault at `since` (monotonic) until it has caught up, for `calm_s` on end."""
    most = run.plan.flow.rate * BEHIND_S
    largest, flowing, calm = 0, since, since
    while (now := time.monotonic()) - since < within_s + calm_s:
        backlog = run.source.written - run.reader.seen
        if backlog > largest:
            largest, flowing = backlog, now
        if backlog > most:
            calm = now
        elif now - calm > calm_s:
            return Recovery(flowing - since if largest > most else 0.0, calm - since)
        time.sleep(LOOK_S)
    return Recovery(inf, inf)


def figures(recoveries: Sequence[Recovery]) -> dict[str, str]:
    """Recoveries for people, in their order."""
    return {
        "flowing again after s": ", ".join(f"{one.flowing_s:.1f}" for one in recoveries),
        "caught up after s": ", ".join(f"{one.caught_up_s:.1f}" for one in recoveries),
    }


def slowest(recoveries: Sequence[Recovery]) -> float:
    """The seconds of the one that took longest to flow."""
    return max((one.flowing_s for one in recoveries), default=inf)
