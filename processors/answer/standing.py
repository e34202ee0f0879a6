"""Standing questions: asked again when their answer does not stand any more, compared with what was answered last.

What an answer rests on rides on its query (`CacheTicket`): digests of what search found and of what ranking made of it.
So whether it still stands is proven without a model, by the same search done again (`holds`).
"""

from __future__ import annotations

from typing import Final, Protocol

from msgspec.structs import replace

from processors.answer.caching import proven
from processors.answer.kept import Used
from processors.answer.limits import RetrievalLimits
from processors.answer.rerank import TAIL_SKIPPED
from processors.answer.retrieve import UNFILTERED
from processors.ports import Served
from schemas.envelope import Micros, derived_id
from schemas.queries import (
    AnswerDrafted,
    AnswerGiven,
    AnswerRenewed,
    AnswerWithheld,
    Query,
    QueryAsked,
    QueryPlanned,
    QuestionAnswered,
    QuestionStanding,
    ReadPassage,
    StandingAnswer,
    StandingRound,
)

__all__ = ["LastAnswers", "Questions", "holds", "renewed", "round_of", "round_query", "same_answer"]

# Part of the candidates unread, or a drawn filter dropped, is a way to answer; done without a part of the platform, it
# is no basis to compare with.
_GOOD_ENOUGH: Final = frozenset({TAIL_SKIPPED, UNFILTERED})


class Questions(Protocol):
    """The questions that stand now: None for one that nobody subscribed to, or not any more."""

    def get(self, tenant: str, question_id: str) -> QuestionStanding | None: ...


class LastAnswers(Protocol):
    """What each standing question was answered last, as far as it is committed; `fold` takes what just was."""

    def get(self, tenant: str, question_id: str) -> QuestionAnswered | None: ...

    def fold(self, answered: QuestionAnswered) -> None: ...


def round_query(question: QuestionStanding, last: QuestionAnswered | None, deadline_at: Micros) -> QueryAsked:
    """The question as it is asked for the next time, as its subscriber; the same however often that is said."""
    number = round_of(last) + 1
    name = f"{question.tenant}/{question.question_id}/{question.event_id}"
    standing = StandingRound(question_id=question.question_id, round=number, subscription=question.event_id)
    query = replace(
        question.query,
        query_id=derived_id(name, "standing", number),
        session="",
        lane="bulk",
        deadline_at=deadline_at,
        ticket=None,
        standing=standing,
    )
    return QueryAsked(tenant=question.tenant, event_id=query.query_id, query=query)


def round_of(last: QuestionAnswered | None) -> int:
    """For the how-manieth time a question was answered; 0 where it never was."""
    return last.query.standing.round if last and last.query.standing else 0


def renewed(draft: AnswerDrafted, final: AnswerGiven | AnswerWithheld) -> AnswerRenewed | None:
    """The answer to a standing question with what it rests on; None for any other question.

    None also where it is no basis to compare with: made without a part of the platform, or withheld for another reason
    than that the documents do not say. The question is then asked again.
    """
    query = draft.query
    if query.standing is None or query.ticket is None or not _GOOD_ENOUGH.issuperset(draft.degraded):
        return None
    if isinstance(final, AnswerWithheld) and final.reason != "not_in_documents":
        return None
    passages = [source.passage for source in draft.sources]
    read = tuple(ReadPassage(document=p.document, version=p.version, object_id=p.object_id) for p in passages)
    if isinstance(final, AnswerGiven):
        answer = StandingAnswer(answer_id=final.answer_id, text=final.text, citations=final.citations, read=read)
    else:
        answer = StandingAnswer(answer_id=final.answer_id, text=final.message, withheld=final.reason, read=read)
    return AnswerRenewed(tenant=draft.tenant, question_id=query.standing.question_id, query=query, answer=answer)


def holds(question: QuestionStanding, last: QuestionAnswered, served: Served, retrieval: RetrievalLimits) -> bool:
    """Whether asking now would read and write what was read and written last. Without a model.

    Raises what reading heads and searching raise.
    """
    standing, ticket = last.query.standing, last.query.ticket
    if standing is None or ticket is None or standing.subscription != question.event_id:
        return False
    if ticket.generation != served.generation:
        return False
    if not ticket.found:
        return True
    planned = QueryPlanned(tenant=question.tenant, query=last.query, kind="retrieval", variants=standing.variants)
    used = [Used(one.document, one.version, one.object_id) for one in last.answer.read]
    return proven(planned, ticket, used, served, retrieval) == "hit"


def same_answer(one: StandingAnswer, other: StandingAnswer) -> bool:
    """Whether two answers say the same and cite the same words of the same documents, whichever their versions."""
    return _said(one) == _said(other)


def _said(answer: StandingAnswer) -> tuple[str, str, list[tuple[int, str, str]]]:
    cited = [(citation.number, citation.document, citation.quote) for citation in answer.citations]
    return (answer.withheld, answer.text, cited)


def asked_as(question: QuestionStanding, query: Query) -> bool:
    """Whether a query is a round of this subscription: one that nobody subscribed to like that is not told of."""
    return query.standing is not None and query.standing.subscription == question.event_id
