"""Rewrite: how a question will be answered, unless the same was answered before and the answer still holds.

Without a model every question is searched for as it was asked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from msgspec.structs import replace

from processors.answer.caching import Answers
from processors.answer.limits import RetrievalLimits
from processors.ports import Clock, Serving
from schemas.queries import AnswerGiven, AnswerWithheld, QueryAdmitted, QueryPlanned


async def rewrite(
    admitted: QueryAdmitted, answers: Answers, serving: Serving, retrieval: RetrievalLimits, clock: Clock
) -> AsyncIterator[QueryPlanned | AnswerGiven | AnswerWithheld]:
    """Plans the search: the question itself is its one variant, in the language in which it was asked.

    Where the cache of answers holds one that still stands, that is given instead, and nothing is searched or written.
    """
    query = replace(admitted.query, ticket=None)
    planned = QueryPlanned(tenant=admitted.tenant, query=query, kind="retrieval", variants=(query.question,))
    yield await answers.ask(planned, serving, retrieval, clock)
