"""Admit: the door. A question that can't be answered is refused here, with words that may be shown."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from processors.answer.expiry import EXPIRED, overdue, withheld
from processors.answer.filters import NO_FIELDS, FilterFields
from processors.ports import Clock, Serving
from schemas.queries import AnswerWithheld, QueryAdmitted, QueryAsked, WithheldReason

NO_USER: Final = "Wanted a user for a question that asks for its memory, got none. Say whose notes are meant."


@dataclass(frozen=True)
class AdmitLimits:
    """What may pass the door: the longest question, in characters, tenants known before their first document, and by
    what a question may be narrowed."""

    max_question_chars: int
    tenants: frozenset[str] = frozenset()
    fields: FilterFields = NO_FIELDS


def admit(
    asked: QueryAsked, serving: Serving, clock: Clock, limits: AdmitLimits
) -> Iterator[QueryAdmitted | AnswerWithheld]:
    """Lets a question in, normalised, or answers at once why not. First step of every question.

    Raises HeadsClosedError while the view of heads is being rebuilt, since only it knows who the tenants are.
    """
    query = asked.query
    if overdue(query, clock):
        yield withheld(asked.tenant, query, "expired", EXPIRED)
        return
    problem = _invalid(query.question, limits)
    if problem:
        yield withheld(asked.tenant, query, "invalid_question", problem)
        return
    if query.memory and not query.user:
        yield withheld(asked.tenant, query, "invalid_question", NO_USER)
        return
    if asked.tenant not in limits.tenants and not _known(asked.tenant, serving):
        reason: WithheldReason = "unknown_tenant"
        message = f"Wanted a tenant with documents, got {asked.tenant!r}. Publish a document for it first."
        yield withheld(asked.tenant, query, reason, message)
        return
    if problem := limits.fields.problem(asked.tenant, query.filters):
        yield withheld(asked.tenant, query, "invalid_filter", problem)
        return
    question = normalised(query.question)
    yield QueryAdmitted(tenant=asked.tenant, query=msgspec.structs.replace(query, question=question))


def _known(tenant: str, serving: Serving) -> bool:
    with serving.lease(tenant) as served:
        return served.heads.knows(tenant)


def normalised(question: str) -> str:
    """One spelling for questions that mean the same characters: NFKC, white space runs become one space.

    >>> normalised("  What is\\tＫａｆｋａ? ")
    'What is Kafka?'
    """
    return " ".join(unicodedata.normalize("NFKC", question).split())


def _invalid(question: str, limits: AdmitLimits) -> str:
    """Why a question can't be used; empty where it can."""
    if len(question) > limits.max_question_chars:
        return f"Wanted a question of at most {limits.max_question_chars} characters, got {len(question)}. Shorten it."
    controls = sorted({char for char in question if unicodedata.category(char) in ("Cc", "Cs") and not char.isspace()})
    if controls:
        return f"Wanted readable text, got the control character {controls[0]!r} in the question. Remove it."
    if not any(char.isalnum() for char in normalised(question)):
        return "Wanted a question, got no words. Ask with at least one word."
    return ""
