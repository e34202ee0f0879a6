"""Fusion: scores of different scales become one."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.answer.fusion import reciprocal_ranks, weighted_scores, z_scores

SCORES = st.lists(st.floats(-1e3, 1e3), max_size=30)


@given(SCORES)
def test_when_standardised_then_the_order_stays_and_the_mean_is_zero(scores: list[float]) -> None:
    standing = z_scores(scores)
    assert len(standing) == len(scores)
    assert sum(standing) == pytest.approx(0, abs=1e-4)
    assert all(abs(score) <= max(1, len(scores)) for score in standing)
    pairs = sorted(zip(scores, standing, strict=True))
    assert all(one[1] <= other[1] + 1e-9 for one, other in pairwise(pairs))


@pytest.mark.parametrize("scores", [[], [3.0], [2.0, 2.0, 2.0], [1e9, 1e9 + 1e-5]])
def test_when_scores_do_not_differ_then_they_say_nothing(scores: list[float]) -> None:
    assert z_scores(scores) == [0.0] * len(scores)


def test_when_one_search_is_sure_then_it_outweighs_a_narrow_lead_of_the_other() -> None:
    words = {"a": 20.0, "b": 5.0, "c": 4.0}
    vectors = {"b": 0.52, "a": 0.51, "c": 0.10}
    fused = weighted_scores([(0.5, words), (0.5, vectors)])
    assert sorted(fused, key=fused.__getitem__, reverse=True) == ["a", "b", "c"]


def test_when_a_search_missed_one_then_it_counts_as_its_last() -> None:
    fused = weighted_scores([(1.0, {"a": 3.0, "b": 1.0}), (1.0, {"a": 2.0, "b": 1.0, "c": 3.0})])
    assert fused["c"] == pytest.approx(-1.0 + z_scores([2.0, 1.0, 3.0])[2])


@pytest.mark.parametrize("fusion", [weighted_scores, reciprocal_ranks])
def test_when_searches_found_nothing_then_there_is_nothing(fusion: object) -> None:
    assert callable(fusion)
    assert fusion([]) == fusion([(0.5, {}), (0.5, {})]) == {}
    assert set(fusion([(0.5, {}), (0.5, {"a": 1.0})])) == {"a"}


def test_when_fused_by_ranks_then_both_lists_count() -> None:
    fused = reciprocal_ranks([(1.0, {"a": 9.0, "b": 8.0}), (1.0, {"b": 0.9, "c": 0.8})])
    assert max(fused, key=fused.__getitem__) == "b"
    assert fused["b"] == pytest.approx(1 / 62 + 1 / 61)


def test_when_weighed_then_the_heavier_search_decides() -> None:
    words, vectors = {"a": 2.0, "b": 1.0}, {"a": 0.1, "b": 0.2}
    for weight, best in ((0.9, "a"), (0.1, "b")):
        for fusion in (weighted_scores, reciprocal_ranks):
            fused = fusion([(weight, words), (1 - weight, vectors)])
            assert max(fused, key=fused.__getitem__) == best
