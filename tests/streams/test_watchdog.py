"""The watchdog: a partition that stands still is sought again once, then given up."""

from __future__ import annotations

import pytest

from streams.watchdog import StalledError, Watchdog

PLACE = ("t", 0)


def test_when_there_is_nothing_to_read_then_standing_still_is_no_stall() -> None:
    dog = Watchdog(30)
    assert [dog.look({PLACE: (9, 9)}, now) for now in (0.0, 100.0, 200.0)] == [[], [], []]


def test_when_it_moves_then_the_patience_begins_again() -> None:
    dog = Watchdog(30)
    assert [dog.look({PLACE: (at, 99)}, now) for at, now in ((1, 0.0), (2, 29.0), (2, 58.0))] == [[], [], []]


def test_when_it_stands_again_after_a_seek_then_it_is_given_up() -> None:
    dog = Watchdog(30)
    dog.look({PLACE: (1, 9)}, 0.0)
    assert dog.look({PLACE: (1, 9)}, 31.0) == [PLACE]
    with pytest.raises(StalledError, match="stands at 1 of 9"):
        dog.look({PLACE: (1, 9)}, 62.0)


def test_when_a_partition_left_then_it_is_forgotten() -> None:
    dog = Watchdog(30)
    dog.look({PLACE: (1, 9)}, 0.0)
    dog.look({}, 20.0)
    assert dog.look({PLACE: (1, 9)}, 31.0) == []
