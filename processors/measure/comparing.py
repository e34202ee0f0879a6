"""Comparing two index generations: what each finds for the same questions, and how far they agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from processors.measure.ranking import RankingScores, ranking_scores

__all__ = ["Comparison", "compare", "overlap"]

Runs = Mapping[str, Sequence[str]]
"""Ranked documents per question."""


@dataclass(frozen=True)
class Comparison:
    """Quality of both on golden questions, None without any; agreement on the others.

    `overlap_at_5` is the mean share of documents among the first five that both found, `same_first` that of questions
    with the same first document, over `questions`.
    """

    old: RankingScores | None
    new: RankingScores | None
    overlap_at_5: float
    same_first: float
    questions: int


def overlap(one: Sequence[str], other: Sequence[str], depth: int) -> float:
    """Jaccard's index of the first `depth`; two empty lists agree.

    >>> overlap(["a", "b"], ["b", "c"], 2)
    0.3333333333333333
    """
    mine, yours = set(one[:depth]), set(other[:depth])
    return len(mine & yours) / len(mine | yours) if mine | yours else 1.0


def compare(old: Runs, new: Runs, relevant: Mapping[str, Mapping[str, int]]) -> Comparison:
    """Compares what two generations found: quality where `relevant` says what is right, agreement everywhere."""
    asked = sorted(old.keys() & new.keys())
    golden = {question: grades for question, grades in relevant.items() if question in old and question in new}
    return Comparison(
        old=ranking_scores(old, golden) if golden else None,
        new=ranking_scores(new, golden) if golden else None,
        overlap_at_5=fmean(overlap(old[one], new[one], 5) for one in asked) if asked else 1.0,
        same_first=fmean(float(list(old[one])[:1] == list(new[one])[:1]) for one in asked) if asked else 1.0,
        questions=len(asked),
    )
