"""Measures retrieval on labelled questions: whether the passages that answer them are put first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import Final, TypedDict

from processors.measure.ranking import ranking_scores
from schemas.queries import Passage, PassagesFound, PassagesRanked
from streams.settings import Settings
from streams.trial import EvaluationError, Line, Trial
from topics.answer import PASSAGES_FOUND, PASSAGES_RANKED

__all__ = ["Report", "evaluate_retrieval"]

DEPTH: Final = 10
"""How many distinct documents are judged: what the @10 measures need."""
METHODS: Final = ("bm25", "dense", "fused")
WIDE: Final = 1_000
"""Passages a question asks for: all that the settings let through."""

Report = TypedDict(
    "Report",
    {
        "recall@1": float,
        "recall@5": float,
        "mrr@10": float,
        "ndcg@10": float,
        "questions": int,
        "passages": int,
        "seconds": float,
        "ms_per_question": float,
        "stages": dict[str, float],
    },
)
"""`stages`: ndcg@10 of the candidates by each score they got (`bm25`, `dense`, `fused`), and as they are `ranked`."""


def evaluate_retrieval(
    settings: Settings, passages: Sequence[Line], questions: Sequence[Line], say: Callable[[str], None]
) -> Report:
    """Ingests the passages, asks the questions, judges the ranked documents against the labelled passages.

    Raises EvaluationError for a question without a label, and what `Trial` raises.
    """
    relevant = {str(line["id"]): _relevant(line) for line in questions}
    with Trial(_deep(settings), say, until="rerank") as trial:
        started = trial.now()
        trial.ingest(passages)
        asked = trial.now()
        found = trial.ask(questions, [PASSAGES_FOUND, PASSAGES_RANKED], most=WIDE)
        ended = trial.now()
    runs = {e.query.query_id: _documents(e.passages) for e in found if isinstance(e, PassagesRanked)}
    scores = ranking_scores(runs, relevant)
    candidates = {e.query.query_id: e.passages for e in found if isinstance(e, PassagesFound)}
    return {
        "recall@1": round(scores.recall_at_1, 4),
        "recall@5": round(scores.recall_at_5, 4),
        "mrr@10": round(scores.mrr_at_10, 4),
        "ndcg@10": round(scores.ndcg_at_10, 4),
        "questions": scores.questions,
        "passages": len(passages),
        "seconds": round(ended - started, 1),
        "ms_per_question": round(1000 * (ended - asked) / max(1, len(questions)), 2),
        "stages": {**_by_score(candidates, relevant), "ranked": round(scores.ndcg_at_10, 4)},
    }


def _deep(settings: Settings) -> Settings:
    """The same settings, with ranking as deep as the measures look."""
    deep = {"passages": max(settings.retrieve.candidates, 2 * DEPTH)}
    return settings.model_copy(update={"retrieve": settings.retrieve.model_copy(update=deep)})


def _documents(passages: Iterable[Passage]) -> tuple[str, ...]:
    """The documents of the passages, each once, best first."""
    return tuple(dict.fromkeys(passage.document for passage in passages))


def _by_score(
    candidates: Mapping[str, Sequence[Passage]], relevant: Mapping[str, Mapping[str, int]]
) -> dict[str, float]:
    """What the ranking were worth if one of the scores alone decided; what a search did not find comes last."""
    found = {}
    for method in METHODS:
        runs = {
            question: _documents(sorted(passages, key=lambda each: -each.scores.get(method, -inf)))
            for question, passages in candidates.items()
        }
        found[method] = round(ranking_scores(runs, relevant).ndcg_at_10, 4)
    return found


def _relevant(line: Line) -> dict[str, int]:
    """The grades of a question: those given, else its one passage."""
    grades = line.get("relevant") or ({line["passage"]: 1} if "passage" in line else {})
    if not grades:
        raise EvaluationError(f"question {line['id']!r}: wanted `passage` or `relevant`, got neither; add its label")
    return {str(document): int(grade) for document, grade in grades.items()}
