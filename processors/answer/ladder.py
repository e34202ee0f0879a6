"""The degradation ladder: with how much less a question is answered that has little time left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from processors.ports import Clock
from schemas.envelope import Micros

__all__ = ["FEWER", "NO_LADDER", "Ladder", "left_s"]

FEWER: Final = "passages"
"""In `degraded`: only the better half of the passages was read, since reading all would have taken too long."""

_MICROS: Final = 1_000_000


@dataclass(frozen=True)
class Ladder:
    """Below which time left, in seconds, a question is answered from fewer passages, by the small model, by quotes.

    0: never. Time is what tells of load, too: a question that waited behind others has less of it.
    """

    fewer_s: float = 0.0
    small_s: float = 0.0
    quotes_s: float = 0.0


NO_LADDER: Final = Ladder()


def left_s(deadline_at: Micros, clock: Clock) -> float:
    """How long somebody still waits; for ever where no deadline was given (0).

    >>> left_s(Micros(0), clock)  # doctest: +SKIP
    inf
    """
    return max(0.0, (deadline_at - clock.now()) / _MICROS) if deadline_at else float("inf")
