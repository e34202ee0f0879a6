"""The view of cancelled questions: by tenant, until the deadline, within bounds, the same for any repeat."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adapters.memory import ManualClock
from schemas.envelope import Micros
from schemas.measures import FeedbackGiven
from schemas.queries import QueryCancelled
from streams.cancellations import LONGEST_S, Cancelled

SECOND = 1_000_000


def cancelled(query_id: str, deadline_at: int = 0, tenant: str = "acme", occurred_at: int = 0) -> QueryCancelled:
    return QueryCancelled(
        tenant=tenant, query_id=query_id, deadline_at=Micros(deadline_at), occurred_at=Micros(occurred_at)
    )


def test_when_a_question_is_cancelled_then_it_is_so_until_its_deadline() -> None:
    clock = ManualClock()
    view = Cancelled(clock)
    view.fold(cancelled("q", clock.now() + 5 * SECOND))
    assert view.cancelled("acme", "q")
    assert not view.cancelled("other", "q")
    assert not view.cancelled("acme", "p")
    clock.advance(6.0)
    assert not view.cancelled("acme", "q")


def test_when_no_deadline_is_known_then_the_longest_counts() -> None:
    clock = ManualClock()
    view = Cancelled(clock)
    view.fold(cancelled("q"))
    view.fold(cancelled("far", clock.now() + int(10 * LONGEST_S) * SECOND))
    clock.advance(LONGEST_S - 1)
    assert view.cancelled("acme", "q")
    assert view.cancelled("acme", "far")
    clock.advance(2.0)
    assert not view.cancelled("acme", "q")
    assert not view.cancelled("acme", "far")


def test_when_a_worker_starts_then_what_is_over_is_not_even_kept() -> None:
    clock = ManualClock()
    view = Cancelled(clock)
    view.fold(cancelled("old", occurred_at=clock.now() - int(LONGEST_S) * SECOND))
    view.fold(cancelled("late", clock.now() - 1))
    assert len(view) == 0


def test_when_time_passes_then_what_is_over_makes_room() -> None:
    clock = ManualClock()
    view = Cancelled(clock)
    for n in range(100):
        view.fold(cancelled(f"q{n}", clock.now() + SECOND))
    clock.advance(2.0)
    view.fold(cancelled("new"))
    assert len(view) == 1


def test_when_something_else_lies_on_the_topic_then_it_is_passed_over() -> None:
    view = Cancelled(ManualClock())
    view.fold(FeedbackGiven(tenant="acme", answer_id="q", rating="up"))
    assert len(view) == 0


@given(st.lists(st.integers(0, 40)), st.integers(1, 10))
def test_when_any_are_folded_in_any_order_then_the_bound_holds_and_repeats_change_nothing(
    numbers: list[int], most: int
) -> None:
    view = Cancelled(ManualClock(), most)
    for number in numbers:
        view.fold(cancelled(f"q{number}"))
        size = len(view)
        assert view.cancelled("acme", f"q{number}")
        view.fold(cancelled(f"q{number}"))
        assert len(view) == size <= most
