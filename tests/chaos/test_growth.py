"""The measure of growth finds what grows and leaves in peace what only comes and goes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.growth import Sample, growth, slope

MINUTE = 60.0


def samples(minutes: int, memory: float = 0.0, threads: float = 0.0, descriptors: float = 0.0) -> list[Sample]:
    """A process that grows by so much a minute."""
    return [
        Sample(n * MINUTE, 50.0 + memory * n, int(9 + threads * n), int(30 + descriptors * n)) for n in range(minutes)
    ]


@given(st.floats(-5, 5), st.floats(-100, 100))
def test_when_points_lie_on_a_line_then_its_slope_is_found(steep: float, height: float) -> None:
    assert slope([(x / 7, steep * x / 7 + height) for x in range(20)]) == pytest.approx(steep, abs=1e-6)


def test_when_memory_grows_then_it_is_told_in_megabytes_an_hour() -> None:
    found = growth(samples(30, memory=0.1), warm_up_s=5 * MINUTE)
    assert found is not None
    assert found.mb_an_hour == pytest.approx(6.0)


@pytest.mark.parametrize(("thing", "value"), [("threads", 0.5), ("descriptors", 0.5)])
def test_when_threads_or_descriptors_grow_then_they_are_found(thing: str, value: float) -> None:
    found = growth(samples(30, **{thing: value}), warm_up_s=MINUTE)
    assert found is not None and getattr(found, thing) > 5


def test_when_it_only_grows_while_it_warms_up_then_nothing_is_found() -> None:
    warming = [Sample(n * MINUTE, 40.0 + min(n, 5), 9, 30) for n in range(30)]
    found = growth(warming, warm_up_s=5 * MINUTE)
    assert found is not None
    assert abs(found.mb_an_hour) < 0.01 and found.memory_mb == 0.0


def test_when_a_process_lived_too_short_then_nothing_is_said() -> None:
    assert growth(samples(5), warm_up_s=2 * MINUTE) is None
