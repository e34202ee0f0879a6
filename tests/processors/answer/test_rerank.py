"""Rerank: the ranker's order mixed with the fused one, within its time, and without it when it fails."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from adapters.errors import UnavailableError
from adapters.memory import ManualClock
from adapters.overlap_ranker import OverlapRanker
from processors.answer.limits import RetrievalLimits
from processors.answer.rerank import SKIPPED, TAIL_SKIPPED, ranked_again, rerank
from processors.ports import Ranker
from schemas.envelope import Micros
from schemas.queries import CacheTicket, PassagesFound, PassagesRanked, Query
from tests.processors.answer.questions import passage

QUESTION = "red valve leaks"
TEXTS = ("Snow falls on hills", "A valve is a part", "The red valve leaks", "Tea at four")


class FixedRanker:
    """A ranker that says what it was told to, after some time."""

    model = "fixed"

    def __init__(
        self, scores: Sequence[float], clock: ManualClock | None = None, error: Exception | None = None
    ) -> None:
        self._scores = list(scores)
        self._clock = clock
        self._error = error
        self.read: list[str] = []

    def score(self, question: str, texts: Sequence[str]) -> list[float]:
        self.read = list(texts)
        if self._clock:
            self._clock.advance(0.25)
        if self._error:
            raise self._error
        return self._scores[: len(texts)]


def found(*texts: str, deadline_at: int = 0, max_passages: int = 6) -> PassagesFound:
    query = Query(query_id="q-1", question=QUESTION, deadline_at=Micros(deadline_at), max_passages=max_passages)
    passages = tuple(passage(text, number=number) for number, text in enumerate(texts, start=1))
    return PassagesFound(tenant="acme", query=query, plan=(QUESTION,), passages=passages)


def ranked(
    event: PassagesFound, ranker: Ranker, clock: ManualClock | None = None, limits: RetrievalLimits | None = None
) -> PassagesRanked:
    events = list(rerank(event, ranker, limits or RetrievalLimits(), clock or ManualClock()))
    assert len(events) == 1
    return events[0]


def texts(event: PassagesRanked) -> list[str]:
    return [found.text for found in event.passages]


def test_when_ranked_then_what_answers_comes_first() -> None:
    event = ranked(found(*TEXTS), OverlapRanker())
    assert texts(event)[0] == "The red valve leaks"
    assert event.passages[0].scores["rank"] == 1.0
    assert [one.score for one in event.passages] == sorted((one.score for one in event.passages), reverse=True)
    assert (event.degraded, event.query.query_id) == ((), "q-1")


def test_when_the_ranker_sees_no_difference_then_the_fused_order_stays() -> None:
    assert texts(ranked(found(*TEXTS), FixedRanker([0.5] * 4))) == list(TEXTS)


@pytest.mark.parametrize(("weight", "first"), [(0.0, "a"), (1.0, "c"), (0.6, "c")])
def test_when_weighed_then_the_mix_decides(weight: float, first: str) -> None:
    event = ranked(found("a", "b", "c"), FixedRanker([0.1, 0.2, 0.9]), limits=RetrievalLimits(rank_weight=weight))
    assert texts(event)[0] == first


@pytest.mark.parametrize(
    ("passages", "max_passages", "expected"), [(2, 6, 2), (6, 3, 3), (6, 6, 4), (6, 0, 1), (100, 100, 4)]
)
def test_when_fewer_are_wanted_then_the_best_few_are_returned(passages: int, max_passages: int, expected: int) -> None:
    event = found(*TEXTS, max_passages=max_passages)
    assert len(ranked(event, OverlapRanker(), limits=RetrievalLimits(passages=passages)).passages) == expected


@pytest.mark.parametrize("error", [UnavailableError("down"), TimeoutError("slow"), ValueError("odd")])
def test_when_the_ranker_fails_then_the_fused_order_is_used_and_said(error: Exception) -> None:
    event = ranked(found(*TEXTS), FixedRanker([], error=error))
    assert (texts(event), event.degraded, event.usage) == (list(TEXTS), (SKIPPED,), ())


@pytest.mark.parametrize("scores", [[1.0, 2.0], [1.0, float("nan"), 2.0, 3.0], [1.0, float("inf"), 2.0, 3.0]])
def test_when_the_scores_make_no_sense_then_the_fused_order_is_used(scores: list[float]) -> None:
    event = ranked(found(*TEXTS), FixedRanker(scores))
    assert (texts(event), event.degraded) == (list(TEXTS), (SKIPPED,))


def test_when_there_is_more_text_than_time_then_the_best_are_read_and_the_rest_follows() -> None:
    ranker = FixedRanker([0.1, 0.9, 0.5, 0.4])
    limits = RetrievalLimits(rerank_deadline_ms=2, rank_chars_per_ms=15)
    event = ranked(found("a" * 12, "b" * 12, "c" * 12, "d" * 12), ranker, limits=limits)
    assert [text[-1] for text in ranker.read] == ["a", "b"]
    assert [text[0] for text in texts(event)] == ["b", "a", "c", "d"]
    assert event.degraded == (TAIL_SKIPPED,)


def test_when_the_question_is_nearly_overdue_then_no_time_is_spent_on_ranking() -> None:
    clock = ManualClock()
    ranker = FixedRanker([0.1, 0.9])
    event = ranked(found("a", "b", deadline_at=clock.now() + 500), ranker, clock)
    assert (ranker.read, texts(event), event.degraded) == ([], ["a", "b"], (SKIPPED,))


def test_when_the_question_has_time_then_the_steps_own_bound_holds() -> None:
    clock = ManualClock()
    event = ranked(found("a", "b", deadline_at=clock.now() + 60_000_000), FixedRanker([0.1, 0.9]), clock)
    assert (texts(event), event.degraded) == (["b", "a"], ())


def test_when_nothing_was_found_then_nothing_is_ranked() -> None:
    event = ranked(found(), OverlapRanker())
    assert (event.passages, event.degraded, event.usage) == ((), (), ())


def test_when_it_took_time_then_usage_says_so() -> None:
    clock = ManualClock()
    (line,) = ranked(found("a", "b"), FixedRanker([0.1, 0.9], clock), clock).usage
    assert (line.step, line.model, line.unit, line.quantity) == ("rerank", "fixed", "seconds", 0.25)


def test_when_passages_carry_scores_then_they_are_kept() -> None:
    event = found("a", "b")
    event = replace(event, passages=tuple(replace(one, scores={"bm25": 2.0}) for one in event.passages))
    assert ranked(event, FixedRanker([0.1, 0.9])).passages[0].scores == {"bm25": 2.0, "rank": 0.9}


def ticketed(*texts: str, max_passages: int = 2) -> PassagesFound:
    event = found(*texts, max_passages=max_passages)
    return replace(event, query=replace(event.query, ticket=CacheTicket(key="k", generation="g1", found="f")))


def test_when_a_query_has_a_ticket_then_the_ranking_can_be_done_again_without_the_ranker() -> None:
    event, limits = ticketed(*TEXTS), RetrievalLimits()
    ticket = ranked(event, OverlapRanker()).query.ticket
    assert ticket is not None and ticket.found == "f"
    assert ranked_again(event.query, event.passages, ticket.scores, limits) == ticket.ranked
    assert ranked_again(event.query, event.passages[::-1], ticket.scores, limits) == ticket.ranked


def test_when_the_fused_scores_move_then_ranking_again_says_whether_others_are_read_now() -> None:
    event, limits = ticketed("a valve", "a valve leaks", "a red valve"), RetrievalLimits()
    ticket = ranked(event, FixedRanker([0.5, 0.5, 0.5])).query.ticket
    assert ticket is not None
    first, second, third = event.passages
    slightly = (first, replace(second, score=second.score * 1.01), third)
    assert ranked_again(event.query, slightly, ticket.scores, limits) == ticket.ranked
    other = (first, replace(second, score=0.1), replace(third, score=0.9))
    assert ranked_again(event.query, other, ticket.scores, limits) != ticket.ranked


def test_when_not_all_was_ranked_then_the_ticket_says_nothing_of_it() -> None:
    ticket = ranked(ticketed(*TEXTS), FixedRanker([], error=UnavailableError("away"))).query.ticket
    assert ticket is not None and (ticket.ranked, ticket.scores) == ("", ())


@pytest.mark.parametrize(
    ("question", "resolved", "meant"),
    [
        ("it falls", "it falls snow hills", "it falls snow hills"),
        ("red valve leaks", "red valve leaks harbour tower", "red valve leaks"),
        ("red valve leaks", "", "red valve leaks"),
    ],
    ids=["fits as meant", "fits as asked", "stands by itself"],
)
def test_when_a_question_was_resolved_then_it_is_taken_as_a_passage_fits_it_best(
    question: str, resolved: str, meant: str
) -> None:
    event = found(*TEXTS)
    event = replace(event, query=replace(event.query, question=question, resolved=resolved))
    outcome = ranked(event, OverlapRanker())
    assert outcome.query.meant == meant
    assert sorted(one.scores["rank"] for one in outcome.passages) == sorted(OverlapRanker().score(meant, TEXTS))


def test_when_both_ways_have_to_be_read_then_half_as_much_is_read_of_each() -> None:
    clock, limits = ManualClock(), RetrievalLimits(rerank_deadline_ms=1, rank_chars_per_ms=sum(map(len, TEXTS)))
    event = found(*TEXTS)
    whole, half = FixedRanker([1.0] * 9), FixedRanker([1.0] * 9)
    ranked(event, whole, clock, limits)
    ranked(replace(event, query=replace(event.query, resolved="red valve leaks snow")), half, clock, limits)
    # Beside the texts, the question itself is read the second time.
    assert (len(whole.read), len(half.read)) == (4, 1 + 1)
