"""What every Ranker must do."""

from __future__ import annotations

from functools import cache

import pytest

from adapters.late_interaction import MaxSimRanker
from adapters.overlap_ranker import OverlapRanker
from adapters.sentence_transformers import SentenceTransformerEmbedder
from processors.ports import Ranker

QUESTION = "Why does the red valve leak?"
TEXTS = ("Snow falls on the hills", "The red valve leaks because its seal is worn", "A valve is a part of a pump")


@cache
def maxsim() -> Ranker:
    pytest.importorskip("sentence_transformers", reason="needs the embed extra")
    return MaxSimRanker(SentenceTransformerEmbedder())


@pytest.fixture(params=["overlap", pytest.param("maxsim", marks=pytest.mark.model)])
def ranker(request: pytest.FixtureRequest) -> Ranker:
    return OverlapRanker() if request.param == "overlap" else maxsim()


def test_when_a_text_answers_then_it_scores_highest(ranker: Ranker) -> None:
    scores = ranker.score(QUESTION, TEXTS)
    assert len(scores) == 3
    assert max(scores) == scores[1]
    assert min(scores) == scores[0]


def test_when_no_text_is_given_then_there_is_no_score(ranker: Ranker) -> None:
    assert ranker.score(QUESTION, []) == []


def test_when_texts_are_repeated_then_their_scores_are_equal(ranker: Ranker) -> None:
    first, second = ranker.score(QUESTION, [TEXTS[1], TEXTS[1]])
    assert first == pytest.approx(second)


def test_when_asked_again_then_the_scores_are_the_same(ranker: Ranker) -> None:
    assert ranker.score(QUESTION, TEXTS) == pytest.approx(ranker.score(QUESTION, TEXTS), abs=1e-3)


@pytest.mark.parametrize("odd", ["", "🙂", "?!", "\x00", "word " * 5_000])
def test_when_a_text_or_the_question_is_odd_then_scores_are_finite(ranker: Ranker, odd: str) -> None:
    for scores in (ranker.score(QUESTION, [odd, TEXTS[1]]), ranker.score(odd, TEXTS)):
        assert all(isinstance(score, float) and -10 < score < 10 for score in scores)


def test_when_named_then_the_model_says_what_it_is(ranker: Ranker) -> None:
    assert ranker.model
