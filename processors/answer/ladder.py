"""The degradation ladder: with how much less a question is answered that has little time left, or comes under load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from processors.answer.load import NO_LOAD, Load
from processors.ports import Clock
from schemas.envelope import Micros
from schemas.queries import Lane, Query

__all__ = ["FEWER", "NO_LADDER", "Ladder", "left_s"]

FEWER: Final = "passages"
"""In `degraded`: only the better half of the passages was read, since reading all would have taken too long."""

_MICROS: Final = 1_000_000


@dataclass(frozen=True)
class Ladder:
    """Below which time left, in seconds, a question is answered from fewer passages, by the small model, by quotes.

    0: never. `load` takes all questions of a lane down the same rungs, by how long they wait for their turn.
    """

    fewer_s: float = 0.0
    small_s: float = 0.0
    quotes_s: float = 0.0
    load: Load = NO_LOAD

    def unranked(self, query: Query) -> bool:
        """Whether the fused order must do."""
        return self.load.at_least(query.lane, "rank")

    def fewer(self, query: Query, clock: Clock) -> bool:
        """Whether only the better half of the passages is read."""
        return left_s(query.deadline_at, clock) < self.fewer_s or self.load.at_least(query.lane, "fewer")

    def small(self, lane: Lane, deadline_at: Micros, clock: Clock) -> bool:
        """Whether the small model is asked first."""
        return left_s(deadline_at, clock) < self.small_s or self.load.at_least(lane, "small")

    def quotes(self, query: Query, clock: Clock) -> bool:
        """Whether no model is asked."""
        return left_s(query.deadline_at, clock) < self.quotes_s or self.load.at_least(query.lane, "quotes")


NO_LADDER: Final = Ladder()


def left_s(deadline_at: Micros, clock: Clock) -> float:
    """How long somebody still waits; for ever where no deadline was given (0).

    >>> left_s(Micros(0), clock)  # doctest: +SKIP
    inf
    """
    return max(0.0, (deadline_at - clock.now()) / _MICROS) if deadline_at else float("inf")
