"""Standing questions as the log has them: the newest counts, whoever wrote it and however."""

from __future__ import annotations

from schemas.queries import Query, QuestionStanding
from streams.standing_views import StandingView


def standing(name: str = "q", question: str = "Why?", **more: object) -> QuestionStanding:
    return QuestionStanding(tenant="acme", question_id=name, query=Query(query_id="", question=question), **more)  # type: ignore[arg-type]


def test_when_a_stranger_gives_no_event_id_then_a_changed_question_is_another_subscription_all_the_same() -> None:
    view, ids = StandingView(10), []
    for question in ("Why?", "Why?", "How?"):
        view.fold(standing(question=question))
        found = view.get("acme", "q")
        assert found is not None
        ids.append(found.event_id)
    assert ids[0] == ids[1] != ids[2] and all(ids)


def test_when_a_question_ends_by_a_tombstone_or_by_saying_so_then_it_stands_no_more() -> None:
    view = StandingView(10)
    view.fold(standing("one"))
    view.fold(standing("two"))
    view.drop("acme|one")
    view.fold(standing("two", active=False))
    view.drop("acme|never there")
    assert view.all() == {} and view.changes == 5


def test_when_there_are_more_than_the_bound_then_the_oldest_are_watched_and_all_are_known() -> None:
    view = StandingView(2)
    for at, name in ((3, "late"), (1, "first"), (2, "second")):
        view.fold(standing(name, occurred_at=at))
    assert set(view.watched()) == {"acme|first", "acme|second"} and len(view) == 3
    assert view.get("acme", "late") is not None
