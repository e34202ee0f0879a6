"""Comparing two generations: quality where somebody said what is right, agreement everywhere."""

from __future__ import annotations

import pytest

from processors.measure.comparing import compare, overlap

OLD = {"golden/1": ("a", "b"), "asked/1": ("a", "b", "c"), "asked/2": ()}
NEW = {"golden/1": ("b", "a"), "asked/1": ("a", "x", "y"), "asked/2": ()}


def test_when_somebody_said_what_is_right_then_quality_is_told_of_both() -> None:
    found = compare(OLD, NEW, {"golden/1": {"a": 1}})
    assert found.old is not None and found.new is not None
    assert (found.old.recall_at_1, found.new.recall_at_1, found.new.recall_at_5) == (1.0, 0.0, 1.0)
    assert found.questions == 3
    assert found.same_first == pytest.approx(2 / 3)
    assert found.overlap_at_5 == pytest.approx((1.0 + 0.2 + 1.0) / 3)


def test_when_nobody_said_what_is_right_then_no_quality_is_made_up() -> None:
    found = compare(OLD, NEW, {})
    assert (found.old, found.new) == (None, None)


def test_when_a_golden_question_was_asked_of_one_only_then_it_does_not_count() -> None:
    assert compare({"q": ("a",)}, {}, {"q": {"a": 1}}).new is None


@pytest.mark.parametrize(
    ("one", "other", "share"), [((), (), 1.0), (("a",), (), 0.0), (("a", "b"), ("b", "a"), 1.0), (("a",), ("b",), 0.0)]
)
def test_when_lists_are_compared_then_order_and_emptiness_do_not_fool_it(
    one: tuple[str, ...], other: tuple[str, ...], share: float
) -> None:
    assert overlap(one, other, 5) == share
