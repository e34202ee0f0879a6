"""Load: which rung a wait leads to, and how long it is kept; and what the steps make of it."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from adapters.answer_cache import MemoryAnswers
from adapters.host import SystemClock
from adapters.memory import ManualClock
from adapters.overlap_ranker import OverlapRanker
from processors.answer.caching import Answers
from processors.answer.ladder import Ladder
from processors.answer.load import RUNGS, LoadSteps, Rung, RungName, next_rung
from processors.answer.rerank import SKIPPED, rerank
from processors.answer.rewrite import rewrite
from schemas.envelope import Micros
from schemas.queries import AnswerGiven, AnswerWithheld, Lane, QueryAdmitted, QueryPlanned, StandingRound
from tests.processors.answer.corpus import Corpus
from tests.processors.answer.questions import TENANT, query

STEPS = LoadSteps(rank_s=0.5, fewer_s=1.0, quotes_s=2.0, shed_s=4.0, calm_s=2.0)
FAR_S = 1_000.0


class Fixed:
    """A load that stands still."""

    def __init__(self, rung: RungName) -> None:
        self._rung = RUNGS.index(rung)
        self.away: list[Lane] = []

    def at_least(self, lane: Lane, rung: RungName) -> bool:
        return lane == "interactive" and self._rung >= RUNGS.index(rung)

    def turned_away(self, lane: Lane) -> None:
        self.away.append(lane)


@pytest.mark.parametrize(
    ("wait_s", "rung"),
    [(0.0, "none"), (0.49, "none"), (0.5, "rank"), (1.0, "fewer"), (1.9, "fewer"), (2.0, "quotes"), (9.0, "shed")],
)
def test_when_questions_wait_then_the_rung_follows_at_once(wait_s: float, rung: str) -> None:
    assert RUNGS[next_rung(Rung(), wait_s, 0.0, STEPS).number] == rung


def test_when_the_wait_falls_then_a_rung_is_left_only_below_half_and_after_a_calm_time() -> None:
    rung = next_rung(Rung(), 1.0, 0.0, STEPS)
    told = []
    for now, wait_s in ((1.0, 0.6), (2.0, 0.4), (3.0, 0.6), (4.0, 0.4), (5.9, 0.4), (6.0, 0.4), (6.1, 0.2), (8.1, 0.2)):
        rung = next_rung(rung, wait_s, now, STEPS)
        told.append(RUNGS[rung.number])
    assert told == ["fewer", "fewer", "fewer", "fewer", "fewer", "rank", "rank", "none"]


def test_when_questions_are_turned_away_then_that_ends_as_soon_as_half_is_reached() -> None:
    shed = next_rung(Rung(), 4.0, 0.0, STEPS)
    assert RUNGS[next_rung(shed, 2.0, 0.1, STEPS).number] == "shed"
    assert RUNGS[next_rung(shed, 1.9, 0.1, STEPS).number] == "quotes"


def test_when_a_rung_is_not_set_then_it_is_never_taken() -> None:
    only = LoadSteps(shed_s=3.0)
    assert [RUNGS[next_rung(Rung(), wait_s, 0.0, only).number] for wait_s in (0.0, 2.9, 3.0)] == [
        "none",
        "none",
        "shed",
    ]
    assert RUNGS[next_rung(Rung(5), 0.0, 0.0, only).number] == "none"
    assert RUNGS[next_rung(Rung(), FAR_S, 0.0, LoadSteps()).number] == "none"


LOOKS = st.lists(st.tuples(st.floats(0.01, 1.0), st.floats(0.0, 6.0)), max_size=60)


@given(LOOKS)
def test_whatever_the_waits_are_then_no_rung_is_below_them_and_none_flaps(looks: list[tuple[float, float]]) -> None:
    rung, now, seen = Rung(), 0.0, list[int]()
    low_since: float | None = None
    for step_s, wait_s in looks:
        now += step_s
        before, rung = rung, next_rung(rung, wait_s, now, STEPS)
        waits = STEPS.waits
        assert all(wait_s < wait for wait in waits[rung.number + 1 :])
        low_since = (now if low_since is None else low_since) if wait_s < waits[before.number] / 2 else None
        if rung.number < before.number and RUNGS[before.number] != "shed":
            assert low_since is not None and now - low_since >= STEPS.calm_s
            low_since = None
        seen.append(rung.number)
    # One rung at a time on the way down, but for what is not set.
    assert all(later >= earlier - 1 or RUNGS[earlier] == "quotes" for earlier, later in pairwise(seen))


@given(st.floats(0.5, 0.99), st.floats(0.0, 100.0))
def test_when_a_wait_stays_about_its_rung_then_the_rung_stays(share: float, now: float) -> None:
    for number, wait in enumerate(STEPS.waits):
        if 0 < wait < FAR_S:
            assert next_rung(Rung(number, None), share * wait, now, STEPS) == Rung(number)


def admitted(**more: object) -> QueryAdmitted:
    return QueryAdmitted(tenant=TENANT, query=replace(query("Why does the red valve leak?"), **more))


def asked(answers: Answers, corpus: Corpus, **more: object) -> QueryPlanned | AnswerGiven | AnswerWithheld:
    async def run() -> list[QueryPlanned | AnswerGiven | AnswerWithheld]:
        steps = rewrite(admitted(**more), answers, corpus.serving, corpus.limits, SystemClock(), None)
        return [one async for one in steps]

    (outcome,) = asyncio.run(run())
    return outcome


@pytest.mark.parametrize("cached", [False, True], ids=["no cache", "an empty cache"])
def test_when_too_many_wait_then_a_question_is_turned_away_and_counted(cached: bool) -> None:
    load, clock = Fixed("shed"), SystemClock()
    answers = Answers(MemoryAnswers(clock) if cached else None, "p1", load=load)
    outcome = asked(answers, Corpus())
    assert isinstance(outcome, AnswerWithheld) and outcome.reason == "overloaded"
    assert load.away == ["interactive"]
    # Nobody leads: whoever comes when there is room again does not wait for an answer that will not come.
    assert isinstance(asked(Answers(None, "p1", load=Fixed("quotes")), Corpus()), QueryPlanned)


def test_when_too_many_wait_then_a_standing_question_is_asked_all_the_same() -> None:
    standing = StandingRound(question_id="s", round=1)
    outcome = asked(Answers(None, "p1", load=Fixed("shed")), Corpus(), standing=standing)
    assert isinstance(outcome, QueryPlanned)


@pytest.mark.parametrize(("rung", "degraded"), [("none", ()), ("rank", (SKIPPED,)), ("quotes", (SKIPPED,))])
def test_when_questions_wait_then_ranking_is_left_out_and_the_answer_says_so(
    rung: RungName, degraded: tuple[str, ...]
) -> None:
    corpus = Corpus()
    corpus.add("pump.md", "The red valve of the pump leaks when it is cold", "A green valve")
    found = corpus.ask("red valve")
    (ranked,) = rerank(found, OverlapRanker(), corpus.limits, ManualClock(), Ladder(load=Fixed(rung)))
    assert ranked.degraded == degraded and ranked.passages


@pytest.mark.parametrize(
    ("rung", "fewer", "small", "quotes"),
    [
        ("none", False, False, False),
        ("rank", False, False, False),
        ("fewer", True, False, False),
        ("small", True, True, False),
        ("quotes", True, True, True),
        ("shed", True, True, True),
    ],
)
def test_when_a_rung_is_taken_then_those_above_it_are_too(
    rung: RungName, fewer: bool, small: bool, quotes: bool
) -> None:
    ladder, clock, asked_ = Ladder(load=Fixed(rung)), ManualClock(), query("Why?")
    assert ladder.fewer(asked_, clock) is fewer
    assert ladder.small("interactive", Micros(0), clock) is small
    assert ladder.quotes(asked_, clock) is quotes
    assert not ladder.quotes(replace(asked_, lane="bulk"), clock)
