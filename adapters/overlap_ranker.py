"""A ranker that needs no model: the share of the question's stems that a text holds, each text stemmed once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from processors.answer.words import stem

__all__ = ["OverlapRanker"]

_WORD: Final = re.compile(r"\w+")
# Some 2 kB each; a candidate is one for many questions, and stemming it takes a hundred times as long as comparing.
_MOST_TEXTS: Final = 20_000


class OverlapRanker:
    """The Ranker port by shared words. Use it with the hashing embedder, or where no model may be loaded.

    >>> OverlapRanker().score("leaking valves", ["A valve leaks.", "Snow falls."])
    [1.0, 0.0]

    From 0 to 1. Safe for threads.
    """

    model = "overlap"

    def __init__(self) -> None:
        self._stemmed = lru_cache(_MOST_TEXTS)(_stemmed)

    def score(self, question: str, texts: Sequence[str]) -> list[float]:
        """One score per text."""
        asked = [f" {word} " for word in set(_stems(question))]
        kept = map(self._stemmed, texts)
        return [sum(map(text.__contains__, asked)) / max(1, len(asked)) for text in kept]


def _stemmed(text: str) -> str:
    """The distinct stems of a text, each between blanks: a tenth of the memory of a set, and as fast for few words."""
    return f" {' '.join(set(_stems(text)))} "


def _stems(text: str) -> list[str]:
    return [_stem(word) for word in _WORD.findall(text.lower())]


_stem: Final = lru_cache(maxsize=100_000)(stem)
