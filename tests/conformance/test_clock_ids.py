"""What every Clock and every Ids must do."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from adapters.host import SystemClock, SystemIds
from adapters.memory import CountingIds, ManualClock
from processors.ports import Clock, Ids


@pytest.fixture(params=["system", "manual"])
def clock(request: pytest.FixtureRequest) -> Clock:
    return SystemClock() if request.param == "system" else ManualClock()


@pytest.fixture(params=["system", "counting"])
def ids(request: pytest.FixtureRequest) -> Ids:
    return SystemIds() if request.param == "system" else CountingIds()


def test_when_read_then_the_time_is_in_microseconds_of_this_age(clock: Clock) -> None:
    assert 1_700_000_000_000_000 < clock.now() < 4_000_000_000_000_000


def test_when_read_again_then_no_clock_went_back(clock: Clock) -> None:
    readings = [(clock.monotonic(), clock.now()) for _ in range(50)]
    assert readings == sorted(readings)


def test_when_made_then_an_id_is_a_uuid_of_version_7(ids: Ids) -> None:
    made = uuid.UUID(ids.new())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)


def test_when_many_are_made_by_threads_then_no_two_are_equal(ids: Ids) -> None:
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: ids.new(), range(2_000)))
    assert len(set(made)) == 2_000


def test_when_the_manual_clock_is_moved_then_both_clocks_follow() -> None:
    clock = ManualClock()
    before = clock.now()
    clock.advance(0.25)
    assert (clock.monotonic(), clock.now() - before) == (0.25, 250_000)


def test_when_ids_are_made_later_then_they_sort_behind() -> None:
    ids = CountingIds()
    made = [ids.new() for _ in range(300)]
    assert made == sorted(made)
