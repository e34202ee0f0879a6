"""Fusion: one score out of several searches whose scores can't be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum, sqrt
from typing import Final

__all__ = ["reciprocal_ranks", "weighted_scores", "z_scores"]

# Cormack, Clarke and Buettcher, SIGIR 2009: large enough that the first ranks do not drown the rest.
_RANK_OFFSET: Final = 60
# A spread below this is rounding: all are equally good.
_LEAST_SPREAD: Final = 1e-6


def z_scores(scores: Sequence[float]) -> list[float]:
    """Scores as standard deviations from their mean. Use it before adding scores of different scales.

    >>> z_scores([1.0, 3.0])
    [-1.0, 1.0]
    >>> z_scores([5.0, 5.0])
    [0.0, 0.0]
    """
    if not scores:
        return []
    # Not statistics.pstdev: its exact fractions take longer than the searches whose scores these are.
    mean = fsum(scores) / len(scores)
    spread = sqrt(fsum((score - mean) ** 2 for score in scores) / len(scores))
    if spread < _LEAST_SPREAD * max(1.0, abs(mean)):
        return [0.0] * len(scores)
    return [(score - mean) / spread for score in scores]


def weighted_scores(found: Sequence[tuple[float, Mapping[str, float]]]) -> dict[str, float]:
    """The weighted sum of each search's z-scores, by id. Use it by default.

    >>> fused = weighted_scores([(0.5, {"a": 9.0, "b": 1.0}), (0.5, {"b": 0.9, "c": 0.1})])
    >>> max(fused, key=fused.__getitem__)
    'a'

    What a search did not find has the least score it gave, as if it came just behind. On SQuAD 1.1 and on long
    scientific questions this is ahead of reciprocal ranks (`docs/steps/retrieve.md`).
    """
    names = list(dict.fromkeys(name for _, scores in found for name in scores))
    total = dict.fromkeys(names, 0.0)
    for weight, scores in found:
        if not scores:
            continue
        standing = dict(zip(scores, z_scores(list(scores.values())), strict=True))
        behind = min(standing.values())
        for name in names:
            total[name] += weight * standing.get(name, behind)
    return total


def reciprocal_ranks(found: Sequence[tuple[float, Mapping[str, float]]]) -> dict[str, float]:
    """The weighted sum of 1 / (60 + rank), by id. Use it where scores can't be trusted to mean anything.

    >>> reciprocal_ranks([(1.0, {"a": 9.0, "b": 1.0})])["a"] == 1 / 61
    True
    """
    total: dict[str, float] = {}
    for weight, scores in found:
        order = sorted(scores, key=lambda name: (-scores[name], name))
        for rank, name in enumerate(order, start=1):
            total[name] = total.get(name, 0.0) + weight / (_RANK_OFFSET + rank)
    return total
