"""Remember: what was answered in a session becomes a turn of it, once; nothing else does."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from adapters.memory import ManualClock
from adapters.session_memory import MemorySessions
from processors.answer.remember import remember
from processors.answer.sessions import Cited, session_of
from schemas.envelope import Micros, Version
from schemas.queries import AnswerGiven, AnswerWithheld, Citation, Query, TurnRemembered, WithheldReason

SESSION = session_of("acme", Query(query_id="q", question="?", session="s", user="ada"))
HOURS_2 = 7_200_000_000


def citation(number: int, quote: str = "A lease runs for a year.") -> Citation:
    return Citation(
        number=number,
        document=f"doc-{number}.md",
        version=Version(source=0, offset=number),
        object_id=f"o-{number}",
        chunk="c",
        title=f"Title {number}",
        source_uri="",
        quote=quote,
        start=0,
        end=len(quote),
    )


def given(clock: ManualClock, *citations: Citation, session: str = SESSION) -> AnswerGiven:
    return AnswerGiven(
        tenant="acme",
        occurred_at=clock.now(),
        answer_id="a-1",
        question="How long does a lease run?",
        text="A year. [1]",
        citations=citations or (citation(1),),
        model="m",
        prompt_version="1",
        session=session,
    )


def withheld(clock: ManualClock, reason: WithheldReason) -> AnswerWithheld:
    return AnswerWithheld(
        tenant="acme",
        occurred_at=clock.now(),
        answer_id="a-1",
        question="How long?",
        reason=reason,
        message="No.",
        session=SESSION,
    )


def test_when_an_answer_is_given_in_a_session_then_its_turn_says_what_was_asked_quoted_and_cited() -> None:
    clock = ManualClock()
    sessions = MemorySessions(clock)
    answer = given(clock, *(citation(number, "Long. " * 100) for number in (1, 2, 3, 4)))
    assert list(remember(answer, sessions)) == [TurnRemembered(tenant="acme", answer_id="a-1", session=SESSION)]
    (turn,) = sessions.read(SESSION).turns
    assert (turn.answer_id, turn.at, turn.question) == ("a-1", clock.now(), "How long does a lease run?")
    assert [len(quote) for quote in turn.quotes] == [300, 300, 300]
    assert turn.titles == ("Title 1", "Title 2", "Title 3")
    assert turn.cites[2] == Cited("doc-3.md", Version(source=0, offset=3))


def test_when_the_answer_comes_again_then_the_same_is_said_and_there_is_one_turn() -> None:
    clock = ManualClock()
    sessions = MemorySessions(clock)
    first = list(remember(given(clock), sessions))
    clock.advance(1.0)
    assert list(remember(given(clock), sessions)) == first
    assert len(sessions.read(SESSION).turns) == 1


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ("not_in_documents", True),
        ("no_question", False),
        ("expired", False),
        ("unavailable", False),
        ("refused", False),
    ],
)
def test_when_there_is_no_answer_then_it_is_a_turn_only_if_the_documents_did_not_have_it(
    reason: WithheldReason, kept: bool
) -> None:
    clock = ManualClock()
    sessions = MemorySessions(clock)
    assert bool(list(remember(withheld(clock, reason), sessions))) is kept
    assert len(sessions.read(SESSION).turns) == kept


def test_when_there_is_no_session_or_no_store_or_its_time_is_over_then_nothing_is_said() -> None:
    clock = ManualClock()
    sessions = MemorySessions(clock)
    assert not list(remember(given(clock, session=""), sessions))
    assert not list(remember(given(clock), None))
    old = replace(given(clock), occurred_at=Micros(clock.now() - HOURS_2))
    assert not list(remember(old, sessions))


@pytest.mark.parametrize(
    ("tenant", "more"),
    [
        ("globex", {"user": "ada"}),
        ("acme", {"user": "bob"}),
        ("acme", {}),
        ("acme", {"groups": ("ada",)}),
        ("acme", {"user": "ada", "session": "t"}),
    ],
    ids=["another tenant", "another user", "nobody", "a group of that name", "another name"],
)
def test_when_somebody_else_has_a_session_of_that_name_then_it_is_another(tenant: str, more: dict[str, str]) -> None:
    query = Query(query_id="q", question="?", **{"session": "s", **more})  # type: ignore[arg-type]
    assert session_of(tenant, query) not in ("", SESSION)


def test_when_no_user_is_given_then_the_groups_tell_askers_apart_in_whatever_order() -> None:
    def of(*groups: str) -> str:
        return session_of("acme", Query(query_id="q", question="?", session="s", groups=groups))

    assert of("group:a", "group:b") == of("group:b", "group:a", "group:a")
    assert len({of(), of("group:a"), of("group:a", "group:b")}) == 3


def test_when_a_question_has_no_session_then_it_has_no_key() -> None:
    assert session_of("acme", Query(query_id="q", question="?", user="ada")) == ""
