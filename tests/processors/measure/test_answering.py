"""Measures of answers: SQuAD's own, and of confidence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.measure.answering import auc, exact_match, holds_answer, normalised_answer, risk_coverage, token_f1

SCORES = st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("said", "golden", "f1", "exact"),
    [
        ("the Duke of Normandy", ["Duke of Normandy!"], 1.0, 1.0),
        ("October", ["October 1973"], 2 / 3, 0.0),
        ("1973", ["October 1973", "1973"], 1.0, 1.0),
        ("nothing", ["October"], 0.0, 0.0),
        ("the", ["a"], 1.0, 1.0),
        ("", ["October"], 0.0, 0.0),
    ],
)
def test_when_a_span_is_judged_then_it_counts_as_squad_counts(
    said: str, golden: list[str], f1: float, exact: float
) -> None:
    assert token_f1(said, golden) == pytest.approx(f1)
    assert exact_match(said, golden) == exact


def test_when_words_only_share_letters_then_no_answer_is_held() -> None:
    assert not holds_answer("They were Normans.", ["Norman"])
    assert holds_answer("They were the Norman-born.", ["Normanborn"])
    assert not holds_answer("Anything.", ["the"])
    assert normalised_answer("A  man, the man") == "man man"


@given(positive=SCORES, negative=SCORES)
def test_when_any_scores_are_compared_then_auc_is_the_share_of_pairs_in_order(
    positive: list[float], negative: list[float]
) -> None:
    pairs = [(a > b) + (a == b) / 2 for a in positive for b in negative]
    assert auc(positive, negative) == pytest.approx(sum(pairs) / len(pairs))


def test_when_one_kind_is_missing_then_auc_says_what_it_wants() -> None:
    with pytest.raises(ValueError, match="wanted scores of both kinds"):
        auc([], [0.1])


def test_when_confidence_is_good_then_risk_grows_with_coverage() -> None:
    answers = [(n / 10, n >= 5) for n in range(10)]
    curve = risk_coverage(answers, steps=10)
    assert [share for share, _ in curve] == pytest.approx([n / 10 for n in range(1, 11)])
    assert curve[4][1] == 0.0 and curve[9][1] == pytest.approx(0.5)
    assert risk_coverage([]) == []
