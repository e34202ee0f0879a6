"""Prices: exact money from a versioned table."""

from __future__ import annotations

import pytest

from processors.measure.prices import LOCAL_PRICES, Charge, Price, Prices, PricesError

TABLE = Prices("2026-11", [Price("small", "tokens_out", 600_000), Price("small", "seconds", 1_500_000_000)])


@pytest.mark.parametrize(
    ("model", "unit", "quantity", "expected"),
    [
        ("small", "tokens_out", 0, Charge(0, "2026-11")),
        ("small", "tokens_out", 1_000_000, Charge(600_000, "2026-11")),
        ("small", "tokens_out", 5, Charge(3, "2026-11")),
        ("small", "tokens_out", 2.5, Charge(2, "2026-11")),
        ("small", "seconds", 0.25, Charge(375, "2026-11")),
        ("small", "tokens_in", 1000, Charge(0, "2026-11+unpriced")),
        ("large", "tokens_out", 1000, Charge(0, "2026-11+unpriced")),
    ],
)
def test_when_charged_then_the_cost_is_exact_and_names_its_table(
    model: str, unit: str, quantity: float, expected: Charge
) -> None:
    assert TABLE.charge(model, unit, quantity) == expected


def test_when_the_table_is_empty_then_everything_is_counted_and_unpriced() -> None:
    assert LOCAL_PRICES.charge("all-minilm-l6-v2", "tokens_in", 12) == Charge(0, "local-1")
    assert LOCAL_PRICES.charge("somebody-elses", "tokens_in", 12) == Charge(0, "local-1+unpriced")


@pytest.mark.parametrize(
    "prices",
    [[Price("m", "seconds", -1)], [Price("m", "seconds", 1), Price("m", "seconds", 2)]],
)
def test_when_a_price_is_negative_or_given_twice_then_the_table_is_refused(prices: list[Price]) -> None:
    with pytest.raises(PricesError, match=r"wanted one price of 0 or more per model and unit, got Price\(model='m'"):
        Prices("v", prices)
