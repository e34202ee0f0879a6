"""Rewrite: how a question will be answered, unless the same was answered before and the answer still holds.

Without a model:
1. Where it was asked in a session, what was said there is read; a session that is away is done without, and told.
2. What is no question, and what names nothing that could be looked for, is told so.
3. A question that leans on what was asked before is searched for as it was asked and as it is meant; several in one
   each by itself as well.
4. What the assistant is not for is told so.
5. Filters that the question states in declared words are drawn.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from msgspec.structs import replace

from processors.answer.caching import Answers
from processors.answer.drawing import drawn
from processors.answer.expiry import withheld
from processors.answer.filters import NO_FIELDS, FilterFields
from processors.answer.followups import meanings
from processors.answer.kinds import NAMES_NOTHING, TALK, kind_of
from processors.answer.limits import RetrievalLimits
from processors.answer.scope import out_of_scope
from processors.answer.sessions import NOTHING_SAID, SESSION_AWAY, Session, Sessions, session_of
from processors.answer.several import parts_of
from processors.ports import Clock, Serving
from schemas.queries import AnswerGiven, AnswerWithheld, Query, QueryAdmitted, QueryPlanned

__all__ = ["plan", "rewrite"]


async def rewrite(
    admitted: QueryAdmitted,
    answers: Answers,
    serving: Serving,
    retrieval: RetrievalLimits,
    clock: Clock,
    sessions: Sessions | None,
) -> AsyncIterator[QueryPlanned | AnswerGiven | AnswerWithheld]:
    """Plans the search: the variants to look for, the question itself first, in the language in which it was asked.

    Where the cache of answers holds one that still stands, that is given instead, and nothing is searched or written.
    """
    key = session_of(admitted.tenant, admitted.query) if sessions else ""
    # In a thread: a server that does not answer must hold up nobody else's question.
    session = await asyncio.to_thread(sessions.read, key) if sessions and key else NOTHING_SAID
    planned = plan(admitted.tenant, admitted.query, session, retrieval.fields)
    if isinstance(planned, AnswerWithheld) or planned.degraded:
        # Planned without its session it is another question than the one of these words with it.
        yield planned
        return
    outcome = await answers.ask(planned, serving, retrieval, clock)
    if isinstance(outcome, QueryPlanned) and retrieval.scope.concerns(outcome):
        told = await asyncio.to_thread(out_of_scope, outcome, serving, retrieval.scope, retrieval.asked)
        if told is not None:
            answers.leave(outcome.query)
            outcome = told
    yield outcome


def plan(
    tenant: str, query: Query, session: Session | None, fields: FilterFields = NO_FIELDS
) -> QueryPlanned | AnswerWithheld:
    """What a question means behind what was said in its session, None where nobody can say what that was."""
    degraded = (SESSION_AWAY,) if session is None else ()
    meant = meanings(query.question, session) if session else ()
    stated = drawn(query.question, fields.of(tenant), query.filters)
    own = replace(query, ticket=None, resolved=meant[0] if meant else "", drawn=stated)
    kind = kind_of(query.question)
    if kind == "direct" or (kind == "out_of_scope" and not meant):
        told = withheld(tenant, own, "no_question", TALK if kind == "direct" else NAMES_NOTHING)
        return replace(told, degraded=degraded)
    # What leans is taken as one question, so there are never more than four.
    variants = (query.question, *(meant or parts_of(query.question)))
    return QueryPlanned(tenant=tenant, query=own, kind="retrieval", variants=variants, degraded=degraded)
