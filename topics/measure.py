"""The topics of measuring: scores, money, feedback, audit."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from schemas.measures import AnswerEvaluated, AuditRecorded, CostRecorded, FeedbackGiven
from topics.topic import Topic

YEARS: Final = timedelta(days=3 * 365)


def by_answer(event: Any) -> str:
    return str(event.answer_id)


def by_tenant(event: Any) -> str:
    return str(event.tenant)


ANSWER_EVALUATED: Final = Topic[AnswerEvaluated](
    "rag.answer.evaluated.v1", (AnswerEvaluated,), by_answer, retention=YEARS
)
# The ledger: one line counts once, by its id.
COST_RECORDED: Final = Topic[CostRecorded]("rag.cost.recorded.v1", (CostRecorded,), by_tenant, retention=YEARS)
FEEDBACK_GIVEN: Final = Topic[FeedbackGiven](
    "rag.feedback.given.v1", (FeedbackGiven,), by_answer, retention=YEARS, transactional=False
)
AUDIT_RECORDED: Final = Topic[AuditRecorded]("rag.audit.recorded.v1", (AuditRecorded,), by_tenant, retention=YEARS)

MEASURE_TOPICS: Final = (ANSWER_EVALUATED, COST_RECORDED, FEEDBACK_GIVEN, AUDIT_RECORDED)
