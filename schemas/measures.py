"""What is measured: scores of answers, cost lines, feedback, who did what."""

from __future__ import annotations

from typing import Literal

from schemas.envelope import Event, Value

SubjectKind = Literal["document", "query", "UNKNOWN"]
Rating = Literal["up", "down", "UNKNOWN"]


class Score(Value, frozen=True, kw_only=True):
    """One figure of an evaluation, 0 to 1, and how it was obtained."""

    metric: str
    value: float
    method: str


class AnswerEvaluated(Event, frozen=True, kw_only=True):
    """The scores of one answer."""

    answer_id: str
    scores: tuple[Score, ...]


class CostRecorded(Event, frozen=True, kw_only=True):
    """One line of the ledger. `line_id` makes it count once; money is in millionths of `currency`."""

    line_id: str
    subject: SubjectKind
    subject_id: str
    step: str
    model: str
    unit: str
    quantity: float
    price_version: str
    cost_micros: int
    currency: str = "USD"


class FeedbackGiven(Event, frozen=True, kw_only=True):
    """A person's judgement of an answer."""

    answer_id: str
    rating: Rating
    comment: str = ""
    correction: str = ""


class AuditRecorded(Event, frozen=True, kw_only=True):
    """Who did what to what, with which outcome."""

    actor: str
    action: str
    target: str
    outcome: str
