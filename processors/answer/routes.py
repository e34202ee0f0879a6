"""Which model a question goes to first: a rule that anybody can follow, by what the question asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from processors.ports import Occasion

__all__ = ["RouteName", "RouteRule"]

RouteName = Literal["large", "small"]


@dataclass(frozen=True)
class RouteRule:
    """A question goes to the small model where it is short and rests on few sources; 0 characters: never.

    >>> rule = RouteRule(small_chars=40, small_sources=3)
    >>> rule.first(Occasion("Which colour has the lamp?", sources=2))
    'small'
    >>> rule.first(Occasion("Which colour has the lamp?", sources=6))
    'large'

    What is asked in bulk goes there as well where `small_bulk` says so, since nobody sits and waits for it.
    """

    small_chars: int = 0
    small_sources: int = 3
    small_bulk: bool = False

    def first(self, occasion: Occasion) -> RouteName:
        """The model to ask first."""
        if occasion.small:
            return "small"
        if self.small_bulk and occasion.lane == "bulk":
            return "small"
        short = 0 < len(occasion.question) <= self.small_chars
        return "small" if short and occasion.sources <= self.small_sources else "large"
