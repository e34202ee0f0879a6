"""Load: which rung of the degradation ladder questions are answered on, by how long the oldest one waits for its turn.

Up at once, down slowly: a rung is left only when the wait has been below half of what led to it, for some time. The
last one, at which questions are turned away, is left as soon as that is so: nobody is turned away for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol

from schemas.queries import Lane

__all__ = ["NO_LOAD", "RUNGS", "Load", "LoadSteps", "Rung", "RungName", "next_rung"]

RungName = Literal["none", "rank", "fewer", "small", "quotes", "shed"]
RUNGS: Final[tuple[RungName, ...]] = ("none", "rank", "fewer", "small", "quotes", "shed")
"""From the top: everything; the fused order; half of the passages; the small model; quotes; turned away."""

_SHED: Final = len(RUNGS) - 1
# What is left at half of what led there is not met again by a little more or less.
_BACK: Final = 0.5


class Load(Protocol):
    """How far down the ladder the questions of a lane are; it hears of each that was turned away."""

    def at_least(self, lane: Lane, rung: RungName) -> bool: ...

    def turned_away(self, lane: Lane) -> None: ...


class _Idle:
    """No load, whatever happens."""

    def at_least(self, lane: Lane, rung: RungName) -> bool:
        del lane, rung
        return False

    def turned_away(self, lane: Lane) -> None:
        del lane


NO_LOAD: Final[Load] = _Idle()


@dataclass(frozen=True)
class LoadSteps:
    """From which wait on, in seconds, a rung is taken; 0: never. Those that are set must rise.

    `calm_s` is how long a lower wait must have lasted before a rung is left. Bulk questions wait by nature: theirs
    count `bulk_patience` times less, but they are always a rung further down than people's.
    """

    rank_s: float = 0.0
    fewer_s: float = 0.0
    small_s: float = 0.0
    quotes_s: float = 0.0
    shed_s: float = 0.0
    calm_s: float = 2.0
    bulk_patience: float = 10.0

    @property
    def waits(self) -> tuple[float, ...]:
        """The wait of each rung, the first being always taken."""
        return (0.0, *(wait or float("inf") for wait in self._set))

    @property
    def rise(self) -> bool:
        """Whether those that are set rise."""
        chosen = [wait for wait in self._set if wait]
        return chosen == sorted(set(chosen))

    @property
    def _set(self) -> tuple[float, ...]:
        return (self.rank_s, self.fewer_s, self.small_s, self.quotes_s, self.shed_s)


@dataclass(frozen=True)
class Rung:
    """A rung by its number in RUNGS, and since when the wait has been low enough to leave it; None: it is not."""

    number: int = 0
    calm_since: float | None = None


def next_rung(rung: Rung, wait_s: float, now: float, steps: LoadSteps) -> Rung:
    """The rung after a look at how long the oldest question waits.

    >>> steps = LoadSteps(fewer_s=1.0, shed_s=4.0, calm_s=2.0)
    >>> up = next_rung(Rung(), 1.5, 0.0, steps); RUNGS[up.number]
    'fewer'
    >>> low = next_rung(up, 0.4, 1.0, steps); RUNGS[low.number], RUNGS[next_rung(low, 0.4, 3.0, steps).number]
    ('fewer', 'none')
    """
    waits = steps.waits
    wanted = max(number for number, wait in enumerate(waits) if wait_s >= wait)
    if wanted > rung.number or rung.number == 0:
        return Rung(wanted)
    if wait_s >= _BACK * waits[rung.number]:
        return Rung(rung.number)
    below = Rung(max(number for number in range(rung.number) if waits[number] != float("inf")))
    if rung.number == _SHED:
        return below
    since = now if rung.calm_since is None else rung.calm_since
    return below if now - since >= steps.calm_s else Rung(rung.number, since)
