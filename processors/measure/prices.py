"""Prices: what a unit costs at a model, as a versioned table of values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

UNPRICED: Final = "unpriced"


@dataclass(frozen=True)
class Price:
    """What a million of a unit costs at a model, in millionths of the currency (micros)."""

    model: str
    unit: str
    micros_per_million: int


@dataclass(frozen=True)
class Charge:
    """What a quantity costs, and by which version of the prices."""

    cost_micros: int
    price_version: str


class PricesError(ValueError):
    """A table of prices can't be used; the message names the line."""


class Prices:
    """The prices of one version. Use it as a port of `cost`; a model that is not listed costs 0, and says so.

    >>> prices = Prices("2026-11", [Price("small", "tokens_out", 600_000)])
    >>> prices.charge("small", "tokens_out", 2_000).cost_micros
    1200
    >>> prices.charge("other", "tokens_out", 2_000)
    Charge(cost_micros=0, price_version='2026-11+unpriced')
    """

    def __init__(self, version: str, prices: Iterable[Price] = (), currency: str = "USD") -> None:
        self.version = version
        self.currency = currency
        self._prices: dict[tuple[str, str], int] = {}
        for price in prices:
            if price.micros_per_million < 0 or (price.model, price.unit) in self._prices:
                raise PricesError(
                    f"wanted one price of 0 or more per model and unit, got {price}; correct the table {version!r}"
                )
            self._prices[price.model, price.unit] = price.micros_per_million

    def charge(self, model: str, unit: str, quantity: float) -> Charge:
        """The cost of a quantity, rounded once, half to even, from exact fractions."""
        price = self._prices.get((model, unit))
        if price is None:
            return Charge(0, f"{self.version}+{UNPRICED}")
        return Charge(round(Fraction(quantity) * price / 1_000_000), self.version)


# What runs on one's own machine has no price of its own: its tokens and seconds are counted all the same, at 0.
LOCAL_PRICES: Final = Prices(
    "local-1",
    (
        Price("all-minilm-l6-v2", "tokens_in", 0),
        Price("all-minilm-l6-v2", "seconds", 0),
        Price("maxsim-all-minilm-l6-v2", "seconds", 0),
    ),
)
