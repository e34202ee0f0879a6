"""The topics of answering, in the order of the way: from a question to its answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from schemas.queries import (
    AnswerChanged,
    AnswerDelta,
    AnswerDrafted,
    AnswerGiven,
    AnswerRenewed,
    AnswerWithheld,
    PassagesFound,
    PassagesRanked,
    PromptAssembled,
    QueryAdmitted,
    QueryAsked,
    QueryCancelled,
    QueryPlanned,
    QuestionAnswered,
    QuestionStanding,
    TurnRemembered,
)
from topics.topic import Topic

HOUR: Final = timedelta(hours=1)
WEEK: Final = timedelta(days=7)
YEAR: Final = timedelta(days=365)


def by_session(event: Any) -> str:
    """The session, so that its questions stay in order; the query where there is none."""
    return str(event.query.session or event.query.query_id)


def by_query(event: AnswerDelta | QueryCancelled) -> str:
    return event.query_id


def by_answer(event: Any) -> str:
    return str(event.answer_id)


def by_turn(event: TurnRemembered) -> str:
    return event.session


def by_question(event: Any) -> str:
    """Names of questions are the applications' own, so two tenants may have chosen the same."""
    return f"{event.tenant}|{event.question_id}"


# At-least-once throughout with deterministic ids: a transaction would cost more than a question may take.
QUERY_ASKED: Final = Topic[QueryAsked](
    "rag.query.asked.v1", (QueryAsked,), by_session, retention=WEEK, transactional=False
)
# The bulk lane has a topic of its own: what waits here is never in the way of a person who waits.
QUERY_ASKED_BULK: Final = Topic[QueryAsked](
    "rag.query.asked.bulk.v1", (QueryAsked,), by_session, retention=WEEK, transactional=False, lane="bulk"
)
# Short: no question outlives its deadline, and every worker reads this anew when it starts.
QUERY_CANCELLED: Final = Topic[QueryCancelled](
    "rag.query.cancelled.v1", (QueryCancelled,), by_query, retention=HOUR, transactional=False
)
QUERY_ADMITTED: Final = Topic[QueryAdmitted](
    "rag.query.admitted.v1", (QueryAdmitted,), by_session, retention=WEEK, transactional=False
)
QUERY_PLANNED: Final = Topic[QueryPlanned](
    "rag.query.planned.v1", (QueryPlanned,), by_session, retention=WEEK, transactional=False
)
PASSAGES_FOUND: Final = Topic[PassagesFound](
    "rag.passages.found.v1", (PassagesFound,), by_session, retention=WEEK, transactional=False
)
PASSAGES_RANKED: Final = Topic[PassagesRanked](
    "rag.passages.ranked.v1", (PassagesRanked,), by_session, retention=WEEK, transactional=False
)
# Everything that is needed to reproduce an answer.
PROMPT_ASSEMBLED: Final = Topic[PromptAssembled](
    "rag.prompt.assembled.v1", (PromptAssembled,), by_session, retention=WEEK, transactional=False
)
# Short: nobody reads a delta once the answer is there.
ANSWER_DELTA: Final = Topic[AnswerDelta](
    "rag.answer.delta.v1", (AnswerDelta,), by_query, retention=HOUR, transactional=False, replies=True
)
ANSWER_DRAFTED: Final = Topic[AnswerDrafted](
    "rag.answer.drafted.v1", (AnswerDrafted,), by_session, retention=YEAR, transactional=False
)
ANSWER_GIVEN: Final = Topic[AnswerGiven | AnswerWithheld](
    "rag.answer.given.v1",
    (AnswerGiven, AnswerWithheld),
    by_answer,
    retention=YEAR,
    transactional=False,
    replies=True,
)
# It says when a turn can be leaned on, and holds no words of it.
TURN_REMEMBERED: Final = Topic[TurnRemembered](
    "rag.turn.remembered.v1", (TurnRemembered,), by_turn, retention=WEEK, transactional=False
)
QUESTION_STANDING: Final = Topic[QuestionStanding](
    "rag.question.standing.v1", (QuestionStanding,), by_question, cleanup="compact", transactional=False
)
# The same answer as on the topic of all answers, with what it stands on, in the order of its question.
ANSWER_RENEWED: Final = Topic[AnswerRenewed](
    "rag.answer.renewed.v1", (AnswerRenewed,), by_question, retention=WEEK, transactional=False
)
# In one transaction: what was told of a question, and with what the next answer to it is compared.
QUESTION_ANSWERED: Final = Topic[QuestionAnswered](
    "rag.question.answered.v1", (QuestionAnswered,), by_question, cleanup="compact"
)
ANSWER_CHANGED: Final = Topic[AnswerChanged]("rag.answer.changed.v1", (AnswerChanged,), by_question, retention=YEAR)

ANSWER_TOPICS: Final = (
    QUERY_ASKED,
    QUERY_ASKED_BULK,
    QUERY_CANCELLED,
    QUERY_ADMITTED,
    QUERY_PLANNED,
    PASSAGES_FOUND,
    PASSAGES_RANKED,
    PROMPT_ASSEMBLED,
    ANSWER_DELTA,
    ANSWER_DRAFTED,
    ANSWER_GIVEN,
    TURN_REMEMBERED,
    QUESTION_STANDING,
    ANSWER_RENEWED,
    QUESTION_ANSWERED,
    ANSWER_CHANGED,
)
