"""Answering: whether an answer is right, and whether its confidence tells the right ones from the others."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Final

__all__ = ["auc", "exact_match", "holds_answer", "normalised_answer", "risk_coverage", "token_f1"]

_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)
_ARTICLES: Final = re.compile(r"\b(?:a|an|the)\b")


def normalised_answer(text: str) -> str:
    """Lower case without punctuation, articles and extra white space (Rajpurkar et al. 2016, the official script).

    >>> normalised_answer("The  Duke, of Normandy.")
    'duke of normandy'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(said: str, golden: Sequence[str]) -> float:
    """1 where it is one of the golden answers, normalised; else 0."""
    return float(normalised_answer(said) in {normalised_answer(gold) for gold in golden})


def token_f1(said: str, golden: Sequence[str]) -> float:
    """The best harmonic mean of precision and recall of its words against a golden answer (SQuAD's F1).

    >>> token_f1("in October 1973", ["October 1973", "1973"])
    0.8
    """
    return max((_f1(normalised_answer(said).split(), normalised_answer(gold).split()) for gold in golden), default=0.0)


def holds_answer(text: str, golden: Sequence[str]) -> bool:
    """Whether a text holds a golden answer, as whole words, both normalised.

    >>> holds_answer("It began in October 1973.", ["October 1973"]), holds_answer("It began in 19731.", ["1973"])
    (True, False)
    """
    padded = f" {normalised_answer(text)} "
    return any(f" {wanted} " in padded for gold in golden if (wanted := normalised_answer(gold)))


def auc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """The probability that a positive scores above a negative one, ties half (area under the ROC curve).

    >>> auc([0.9, 0.5], [0.5, 0.1])
    0.875

    Raises ValueError where one of the two is empty.
    """
    if not positive or not negative:
        raise ValueError("wanted scores of both kinds, got none of one; the labels must hold both")
    ranked = sorted([(score, True) for score in positive] + [(score, False) for score in negative])
    above, seen = 0.0, 0
    for _, tied in groupby(ranked, key=lambda each: each[0]):
        kinds = Counter(is_positive for _, is_positive in tied)
        above += kinds[True] * (seen + kinds[False] / 2)
        seen += kinds[False]
    return above / (len(positive) * len(negative))


def risk_coverage(answers: Sequence[tuple[float, bool]], steps: int = 10) -> list[tuple[float, float]]:
    """(coverage, risk): of the most confident share of all questions, the share that is answered wrong.

    >>> risk_coverage([(0.9, True), (0.8, True), (0.2, False), (0.1, False)], steps=2)
    [(0.5, 0.0), (1.0, 0.5)]

    `answers` are (confidence, is right) of every question; one that has no answer is never right (Geifman, El-Yaniv
    2017).
    """
    ranked = [right for _, right in sorted(answers, key=lambda each: -each[0])]
    parts = [(step / steps, ranked[: max(1, round(len(ranked) * step / steps))]) for step in range(1, steps + 1)]
    return [(share, 1.0 - sum(taken) / len(taken)) for share, taken in parts if taken]


def _f1(said: Sequence[str], gold: Sequence[str]) -> float:
    if not said or not gold:
        return float(said == gold)
    shared = sum((Counter(said) & Counter(gold)).values())
    return 2 * shared / (len(said) + len(gold))
