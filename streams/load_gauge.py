"""How loaded this process is, by what its hops say of what waits in them; for the steps that answer with less then."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import Counter, Gauge

from processors.answer.ladder import Ladder
from processors.answer.load import RUNGS, LoadSteps, Rung, RungName, next_rung
from processors.ports import Clock
from schemas.queries import Lane
from streams.lanes import INTERACTIVE

__all__ = ["LoadGauge", "listeners"]

RUNG: Final = Gauge(
    "headwater_load_rung", "Rung of the ladder: 0 all, 1 no rank, 2 fewer, 3 small, 4 quotes, 5 shed.", ["lane"]
)
WAIT: Final = Gauge("headwater_load_wait_seconds", "How long the oldest question waits for its turn.", ["lane"])
SHED: Final = Counter("headwater_load_shed", "Questions turned away.", ["lane"])

_BULK: Final = "bulk"
Waits = Mapping[str, float]
"""How long the oldest record of each lane waits, seconds; a lane in which none does is left out."""


class LoadGauge:
    """The rungs of both lanes. Hops tell it several times a second (`observe`), steps ask it; threads may share it.

    >>> gauge = LoadGauge(LoadSteps(fewer_s=1.0), clock)          # doctest: +SKIP
    >>> gauge.observe("answer", {"interactive": 1.5})             # doctest: +SKIP
    >>> gauge.at_least("interactive", "fewer")                    # doctest: +SKIP
    True
    """

    def __init__(self, steps: LoadSteps, clock: Clock) -> None:
        self._steps = steps
        self._clock = clock
        self._lock = threading.Lock()
        self._waits: dict[str, Waits] = {}
        self._rungs = {INTERACTIVE: Rung(), _BULK: Rung()}

    def observe(self, hop: str, waits: Waits) -> None:
        """What a hop says of its lanes now; of several hops the longest wait counts."""
        patience = {INTERACTIVE: 1.0, _BULK: self._steps.bulk_patience}
        with self._lock:
            self._waits[hop] = waits
            for lane, rung in self._rungs.items():
                wait = max(told.get(lane, 0.0) for told in self._waits.values())
                self._rungs[lane] = next_rung(rung, wait / patience[lane], self._clock.monotonic(), self._steps)
                WAIT.labels(lane).set(wait)
                RUNG.labels(lane).set(self._number(lane))

    def at_least(self, lane: Lane, rung: RungName) -> bool:
        """Whether questions of a lane are so far down; never at a rung that is not set."""
        number = RUNGS.index(rung)
        return self._steps.waits[number] != float("inf") and self._number(lane) >= number

    def turned_away(self, lane: Lane) -> None:
        """Counts a question that there was no room for."""
        SHED.labels(_BULK if lane == _BULK else INTERACTIVE).inc()

    def _number(self, lane: str) -> int:
        """Bulk is a rung further down than people, as soon as they are down at all."""
        people = self._rungs[INTERACTIVE].number
        if lane != _BULK:
            return people
        return max(self._rungs[_BULK].number, self._next_set(people) if people else 0)

    def _next_set(self, number: int) -> int:
        waits = self._steps.waits
        further = (one for one in range(number + 1, len(waits)) if waits[one] != float("inf"))
        return next(further, number)


def listeners(hop: str, ports: Iterable[object]) -> Callable[[Waits], None]:
    """Tells the gauges that the steps of a hop go by how long records wait in it.

    >>> listeners("h", [])({})
    """
    found = {id(load): load for port in ports if isinstance(port, Ladder) and isinstance(load := port.load, LoadGauge)}

    def tell(waits: Waits) -> None:
        for gauge in found.values():
            gauge.observe(hop, waits)

    return tell
