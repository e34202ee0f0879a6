"""Answers that no step gives: to a question that is overdue, cancelled, or ended as a dead letter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from processors.answer.sessions import session_of
from processors.ports import Clock
from schemas.envelope import Event
from schemas.queries import AnswerWithheld, Query, WithheldReason

EXPIRED: Final = "The question's time ran out before it could be answered. Ask again, or allow more time."
CANCELLED: Final = "The question was cancelled before it was answered."
UNAVAILABLE: Final = (
    "The question could not be answered: a part of the platform failed, is away or is being rebuilt. "
    "Please ask again shortly."
)
BUSY: Final = "Too many questions are being answered already. Please ask again shortly."

# A question is echoed so that its asker knows it again; the whole of an over-long one helps nobody.
ECHO_CHARS: Final = 500


class Cancellations(Protocol):
    """Which questions nobody waits for any more, as far as this process has heard."""

    def cancelled(self, tenant: str, query_id: str) -> bool: ...


class Leads(Protocol):
    """Who waits for the answer to the same question: they go on once nobody is at work on it any more."""

    def leave(self, query: Query) -> None: ...


def withheld(tenant: str, query: Query, reason: WithheldReason, message: str) -> AnswerWithheld:
    """No answer to this query, and why. Use it wherever a question ends without one.

    >>> withheld("acme", Query(query_id="q1", question="Why?"), "refused", "Not allowed.").answer_id
    'q1'
    """
    return AnswerWithheld(
        tenant=tenant,
        answer_id=query.query_id,
        question=query.question[:ECHO_CHARS],
        reason=reason,
        message=message,
        session=session_of(tenant, query),
    )


def overdue(query: Query, clock: Clock) -> bool:
    """Whether the asker has stopped waiting; a deadline of 0 never passes."""
    return 0 < query.deadline_at <= clock.now()


def unwanted(event: Event, clock: Clock, cancellations: Cancellations, answers: Leads) -> AnswerWithheld | None:
    """The guard of every hop of the answer journey: a question that nobody waits for is answered so, and costs no more.

    It is asked before a step and while it runs: *expired* where the deadline has passed, *cancelled* where the asker
    said so, None where somebody waits. Whoever waits for the answer to the same question need not any longer.
    """
    query = getattr(event, "query", None)
    if not isinstance(query, Query):
        return None
    verdict = None
    if overdue(query, clock):
        verdict = withheld(event.tenant, query, "expired", EXPIRED)
    elif cancellations.cancelled(event.tenant, query.query_id):
        verdict = withheld(event.tenant, query, "cancelled", CANCELLED)
    if verdict is not None:
        answers.leave(query)
    return verdict


def refused(event: Event, reason: str) -> Iterator[AnswerWithheld]:
    """What the asker hears when the question became a dead letter, or had to wait too long.

    `reason` is for the operator and is not shown.
    """
    del reason
    query = getattr(event, "query", None)
    if isinstance(query, Query):
        yield withheld(event.tenant, query, "unavailable", UNAVAILABLE)
