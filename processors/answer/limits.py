"""How wide retrieval searches and how much of it is read: one value for both steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from processors.answer.asked import NOT_KEPT, QuestionVectors
from processors.answer.filters import NO_FIELDS, FilterFields
from processors.answer.scope import NO_SCOPE, Scope

__all__ = ["RetrievalLimits"]


@dataclass(frozen=True)
class RetrievalLimits:
    """Bounds and weights of `retrieve` and `rerank`. The defaults hold on short questions and on long ones.

    >>> RetrievalLimits(candidates=20).overfetch
    40

    `candidates` go to the ranker, `passages` at most into the prompt. `rounds` bounds the searches of one question,
    `widest` what one of them may fetch. Weights lie between 0 and 1: of the vector search in the fused score, of the
    ranker in the final one. `fusion` by `ranks` is reciprocal rank fusion, for searches whose scores mean nothing.
    `rank_chars_per_ms` is how much text the ranker reads in a millisecond: with the deadline it bounds what it gets.
    `fields` are what a question may be narrowed by; `drawn_margin` is how much better a passage may score that a drawn
    filter hides than the best that it leaves. `scope` says what is not searched for at all, `asked` keeps the
    vectors of questions. `recalled` is how many notes of its user a question reads that asks for them.
    """

    candidates: int = 30
    passages: int = 6
    rerank_deadline_ms: int = 400
    rounds: int = 4
    widest: int = 1_000
    fusion: Literal["scores", "ranks"] = "scores"
    vector_weight: float = 0.5
    rank_weight: float = 0.6
    rank_chars_per_ms: int = 80
    fields: FilterFields = NO_FIELDS
    drawn_margin: float = 1.5
    scope: Scope = NO_SCOPE
    asked: QuestionVectors = NOT_KEPT
    recalled: int = 2

    @property
    def overfetch(self) -> int:
        """What each search fetches at first: some are found by one search only, some are fenced."""
        return min(2 * self.candidates, self.widest)
