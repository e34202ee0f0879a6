"""A build beside questions: it rests in proportion while they come, and not while nobody asks."""

from __future__ import annotations

from adapters.memory import ManualClock
from streams.build_pace import BuildPace
from tests.streams.memory_generations import memory_generations


def test_when_questions_come_while_a_batch_is_made_then_the_build_rests_for_the_rest_of_its_share() -> None:
    generations, _ = memory_generations()
    clock, rests = ManualClock(), list[float]()
    pace = BuildPace(generations, clock, 0.25, rests.append)
    pace.begin()
    with generations.lease("acme"):
        clock.advance(0.2)
    pace.rest()
    assert [round(one, 3) for one in rests] == [0.6]


def test_when_nobody_asks_then_the_build_does_not_rest() -> None:
    generations, _ = memory_generations()
    clock, rests = ManualClock(), list[float]()
    pace = BuildPace(generations, clock, 0.25, rests.append)
    with generations.lease("acme"):
        pass
    pace.begin()
    clock.advance(0.2)
    pace.rest()
    assert rests == []


def test_when_a_batch_took_very_long_then_the_rest_is_bounded() -> None:
    generations, _ = memory_generations()
    clock, rests = ManualClock(), list[float]()
    pace = BuildPace(generations, clock, 0.25, rests.append)
    pace.begin()
    with generations.lease("acme"):
        clock.advance(30.0)
    pace.rest()
    assert rests == [2.0]
