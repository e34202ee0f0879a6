"""Ranking: how well a list of results puts first what is relevant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2
from statistics import fmean

__all__ = ["RankingScores", "ndcg", "ranking_scores", "recall", "reciprocal_rank"]


@dataclass(frozen=True)
class RankingScores:
    """Means over questions, each from 0 to 1."""

    recall_at_1: float
    recall_at_5: float
    mrr_at_10: float
    ndcg_at_10: float
    questions: int


def recall(ranked: Sequence[str], relevant: Mapping[str, int], depth: int) -> float:
    """The share of the relevant ones among the first `depth`.

    >>> recall(["a", "b", "c"], {"b": 1, "x": 1}, 2)
    0.5
    """
    wanted = {name for name, grade in relevant.items() if grade > 0}
    return len(wanted & set(ranked[:depth])) / len(wanted) if wanted else 0.0


def reciprocal_rank(ranked: Sequence[str], relevant: Mapping[str, int], depth: int) -> float:
    """1 / the rank of the first relevant one among the first `depth`, else 0.

    >>> reciprocal_rank(["a", "b", "c"], {"b": 1}, 10)
    0.5
    """
    ranks = (rank for rank, name in enumerate(ranked[:depth], start=1) if relevant.get(name, 0) > 0)
    return 1.0 / rank if (rank := next(ranks, 0)) else 0.0


def ndcg(ranked: Sequence[str], relevant: Mapping[str, int], depth: int) -> float:
    """Normalised discounted cumulative gain of the first `depth`, with grades as gains (Järvelin, Kekäläinen 2002).

    >>> ndcg(["a", "b"], {"a": 1}, 10)
    1.0
    """
    best = _discounted(sorted((grade for grade in relevant.values() if grade > 0), reverse=True)[:depth])
    return _discounted([max(0, relevant.get(name, 0)) for name in ranked[:depth]]) / best if best else 0.0


def ranking_scores(runs: Mapping[str, Sequence[str]], relevant: Mapping[str, Mapping[str, int]]) -> RankingScores:
    """All measures over all questions that have something relevant; one without a run counts as nothing found.

    `runs` holds the ranked names per question, each once; `relevant` the grades per question.
    """
    asked = [question for question, grades in relevant.items() if any(grade > 0 for grade in grades.values())]
    if not asked:
        raise ValueError("wanted at least one question with a relevant result, got none; check the golden cases")
    pairs = [(list(dict.fromkeys(runs.get(question, ()))), relevant[question]) for question in asked]
    return RankingScores(
        recall_at_1=fmean(recall(ranked, grades, 1) for ranked, grades in pairs),
        recall_at_5=fmean(recall(ranked, grades, 5) for ranked, grades in pairs),
        mrr_at_10=fmean(reciprocal_rank(ranked, grades, 10) for ranked, grades in pairs),
        ndcg_at_10=fmean(ndcg(ranked, grades, 10) for ranked, grades in pairs),
        questions=len(pairs),
    )


def _discounted(gains: Sequence[int]) -> float:
    return sum(gain / log2(rank + 1) for rank, gain in enumerate(gains, start=1))
