"""The gauge of load: several hops, two lanes, and who is told."""

from __future__ import annotations

import pytest

from adapters.memory import ManualClock
from processors.answer.ladder import Ladder
from processors.answer.load import LoadSteps
from schemas.queries import Lane
from streams.load_gauge import SHED, LoadGauge, listeners
from streams.settings import SettingsError, load

STEPS = LoadSteps(fewer_s=1.0, quotes_s=2.0, shed_s=4.0, bulk_patience=10.0)
PEOPLE: Lane = "interactive"
BULK: Lane = "bulk"


@pytest.mark.parametrize(
    ("people_s", "bulk_s", "people", "bulk"),
    [
        (0.0, 0.0, "none", "none"),
        (1.0, 0.0, "fewer", "quotes"),
        (2.0, 0.0, "quotes", "shed"),
        (4.0, 0.0, "shed", "shed"),
        (0.0, 5.0, "none", "none"),
        (0.0, 10.0, "none", "fewer"),
        (0.0, 40.0, "none", "shed"),
    ],
)
def test_when_people_wait_then_bulk_is_a_rung_further_down_and_its_own_wait_counts_less(
    people_s: float, bulk_s: float, people: str, bulk: str
) -> None:
    gauge = LoadGauge(STEPS, ManualClock())
    gauge.observe("h", {PEOPLE: people_s, BULK: bulk_s})
    for lane, rung in ((PEOPLE, people), (BULK, bulk)):
        reached = [name for name in ("fewer", "quotes", "shed") if gauge.at_least(lane, name)]
        assert (reached[-1] if reached else "none") == rung


def test_when_a_rung_is_not_set_then_one_further_down_does_not_take_it_along() -> None:
    gauge = LoadGauge(LoadSteps(shed_s=1.0), ManualClock())
    gauge.observe("h", {PEOPLE: 2.0})
    assert gauge.at_least(PEOPLE, "shed") and not gauge.at_least(PEOPLE, "rank")


def test_when_several_hops_tell_then_the_longest_wait_counts_until_it_is_over() -> None:
    clock = ManualClock()
    gauge = LoadGauge(LoadSteps(fewer_s=1.0, calm_s=0.0), clock)
    gauge.observe("one", {PEOPLE: 2.0})
    gauge.observe("other", {})
    assert gauge.at_least(PEOPLE, "fewer")
    gauge.observe("one", {})
    gauge.observe("one", {})
    assert not gauge.at_least(PEOPLE, "fewer")


def test_when_somebody_is_turned_away_then_it_is_counted_by_lane() -> None:
    gauge, before = LoadGauge(STEPS, ManualClock()), SHED.labels(BULK)._value.get()
    gauge.turned_away(BULK)
    assert SHED.labels(BULK)._value.get() == before + 1


def test_when_a_hop_is_bound_then_the_gauge_behind_its_ladder_is_told_once_each_time() -> None:
    gauge = LoadGauge(STEPS, ManualClock())
    tell = listeners("h", [Ladder(load=gauge), Ladder(load=gauge), Ladder(), object()])
    tell({PEOPLE: 1.0})
    assert gauge.at_least(PEOPLE, "fewer")


@pytest.mark.parametrize(
    ("chosen", "allowed"),
    [
        ({}, True),
        ({"rank_s": 1, "shed_s": 2}, True),
        ({"rank_s": 2, "fewer_s": 1}, False),
        ({"rank_s": 1, "fewer_s": 1}, False),
    ],
)
def test_when_waits_do_not_rise_then_the_settings_say_so(chosen: dict[str, float], allowed: bool) -> None:
    if allowed:
        assert load(load=chosen).load.steps().rise
        return
    with pytest.raises(SettingsError, match="wanted rank_s, fewer_s, small_s, quotes_s and shed_s to rise"):
        load(load=chosen)
