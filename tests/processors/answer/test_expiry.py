"""Expiry: every question gets an end, also when time is up and when it became a dead letter."""

from __future__ import annotations

import pytest

from adapters.memory import ManualClock
from processors.answer.caching import Answers
from processors.answer.expiry import refused, unwanted
from schemas.envelope import Event
from schemas.queries import (
    AnswerDelta,
    PassagesFound,
    PassagesRanked,
    PromptAssembled,
    QueryAdmitted,
    QueryAsked,
    QueryCancelled,
    QueryPlanned,
)
from streams.cancellations import Cancelled
from tests.processors.answer.questions import TENANT, draft, query

NOW = ManualClock().now()


def nobody() -> Cancelled:
    return Cancelled(ManualClock())


def left(tenant: str) -> Cancelled:
    view = nobody()
    view.fold(QueryCancelled(tenant=tenant, query_id="q-1"))
    return view


def events(deadline_at: int) -> list[Event]:
    asked = query("Why?", deadline_at=deadline_at)
    return [
        QueryAsked(tenant=TENANT, query=asked),
        QueryAdmitted(tenant=TENANT, query=asked),
        QueryPlanned(tenant=TENANT, query=asked, kind="retrieval", variants=("Why?",)),
        PassagesFound(tenant=TENANT, query=asked, plan=(), passages=()),
        PassagesRanked(tenant=TENANT, query=asked, passages=()),
        PromptAssembled(tenant=TENANT, query=asked, system="", prompt="", prompt_version="", sources=()),
    ]


@pytest.mark.parametrize("event", events(NOW - 1), ids=lambda event: type(event).__name__)
def test_when_time_is_up_then_any_step_answers_expired(event: Event) -> None:
    answer = unwanted(event, ManualClock(), left(TENANT), Answers())
    assert answer is not None
    assert (answer.reason, answer.answer_id, answer.question, answer.tenant) == ("expired", "q-1", "Why?", TENANT)


@pytest.mark.parametrize("event", [*events(0), *events(NOW + 1)], ids=lambda event: type(event).__name__)
def test_when_there_is_time_or_no_deadline_then_the_step_runs(event: Event) -> None:
    assert unwanted(event, ManualClock(), nobody(), Answers()) is None


@pytest.mark.parametrize("event", events(0), ids=lambda event: type(event).__name__)
def test_when_the_asker_has_left_then_any_step_answers_cancelled_and_only_to_the_same_tenant(event: Event) -> None:
    answer = unwanted(event, ManualClock(), left(TENANT), Answers())
    assert answer is not None
    assert (answer.reason, answer.answer_id, answer.question, answer.tenant) == ("cancelled", "q-1", "Why?", TENANT)
    assert unwanted(event, ManualClock(), left("somebody else"), Answers()) is None


def test_when_an_event_has_no_query_then_nothing_expires_and_nobody_is_told() -> None:
    delta = AnswerDelta(tenant=TENANT, query_id="q-1", index=0, text="x")
    assert unwanted(delta, ManualClock(), left(TENANT), Answers()) is None
    assert list(refused(delta, "broken")) == []


def test_when_a_question_became_a_dead_letter_then_its_asker_hears_unavailable_and_no_internals() -> None:
    (answer,) = refused(draft((), "text"), "ValueError: secret host name")
    assert answer.reason == "unavailable"
    assert "secret" not in answer.message
