"""Ranking measures, against trec_eval's own."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytrec_eval import RelevanceEvaluator

from processors.measure.ranking import ndcg, ranking_scores, recall, reciprocal_rank

NAMES = [f"p{number}" for number in range(20)]
RUNS = st.lists(st.sampled_from(NAMES), unique=True, max_size=15)
GRADES = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 3), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(ranked=RUNS, grades=GRADES)
def test_when_any_list_is_scored_then_trec_eval_agrees(ranked: list[str], grades: dict[str, int]) -> None:
    evaluator = RelevanceEvaluator({"q": grades}, {"recall_1", "recall_5", "recip_rank", "ndcg_cut_10"})
    scores = {name: float(len(ranked) - place) for place, name in enumerate(ranked)}
    theirs = evaluator.evaluate({"q": scores}).get("q", {})
    if not theirs:
        return
    assert recall(ranked, grades, 1) == pytest.approx(theirs["recall_1"])
    assert recall(ranked, grades, 5) == pytest.approx(theirs["recall_5"])
    assert reciprocal_rank(ranked, grades, 100) == pytest.approx(theirs["recip_rank"])
    assert ndcg(ranked, grades, 10) == pytest.approx(theirs["ndcg_cut_10"])


@pytest.mark.parametrize(
    ("ranked", "expected"),
    [
        (["x", "a"], (0.0, 1.0, 0.5)),
        (["a"], (1.0, 1.0, 1.0)),
        (["b"] * 12, (0.0, 0.0, 0.0)),
        ([f"x{number}" for number in range(10)] + ["a"], (0.0, 0.0, 0.0)),
        ([], (0.0, 0.0, 0.0)),
    ],
)
def test_when_the_relevant_one_stands_somewhere_then_the_means_follow(
    ranked: list[str], expected: tuple[float, float, float]
) -> None:
    scores = ranking_scores({"q": ranked}, {"q": {"a": 1}})
    assert (scores.recall_at_1, scores.recall_at_5, scores.mrr_at_10) == expected


def test_when_a_question_has_no_run_then_it_counts_as_nothing_found() -> None:
    scores = ranking_scores({"q": ["a"]}, {"q": {"a": 1}, "r": {"b": 1}, "unanswerable": {"c": 0}})
    assert (scores.questions, scores.recall_at_1, scores.ndcg_at_10) == (2, 0.5, 0.5)


def test_when_a_name_comes_twice_then_it_counts_once() -> None:
    assert ranking_scores({"q": ["x", "x", "a"]}, {"q": {"a": 1}}).mrr_at_10 == 0.5


def test_when_there_is_nothing_to_measure_then_the_error_says_so() -> None:
    with pytest.raises(ValueError, match="wanted at least one question"):
        ranking_scores({}, {"q": {"a": 0}})


def test_when_nothing_is_relevant_then_a_single_measure_is_zero() -> None:
    assert (recall(["a"], {}, 5), ndcg(["a"], {}, 5), reciprocal_rank(["a"], {}, 5)) == (0.0, 0.0, 0.0)
