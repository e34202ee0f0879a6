"""A ranker that needs no model: the share of the question's stems that a text holds, each text stemmed once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from processors.answer.words import stem

__all__ = ["OverlapRanker"]

_WORD: Final = re.compile(r"\w+")
# Some 2 kB each; a candidate is one for many questions, and stemming it takes a hundred times as long as comparing.
_MOST_TEXTS: Final = 20_000
_Stems = npt.NDArray[np.int64]


class OverlapRanker:
    """The Ranker port by shared words. Use it with the hashing embedder, or where no model may be loaded.

    >>> OverlapRanker().score("leaking valves", ["A valve leaks.", "Snow falls."])
    [1.0, 0.0]

    From 0 to 1. Stems are compared by 64 bits of their hash. Safe for threads.
    """

    model = "overlap"

    def __init__(self) -> None:
        self._stems_of = lru_cache(_MOST_TEXTS)(_stems)

    def score(self, question: str, texts: Sequence[str]) -> list[float]:
        """One score per text."""
        asked = _stems(question)
        if not texts or not len(asked):
            return [0.0] * len(texts)
        kept = [self._stems_of(text) for text in texts]
        ends = np.cumsum([len(one) for one in kept])
        met = np.concatenate(([0], np.cumsum(np.isin(np.concatenate(kept), asked))))
        shared = np.diff(met[np.concatenate(([0], ends))])
        return [float(count) / len(asked) for count in shared]


def _stems(text: str) -> _Stems:
    """The distinct stems of a text, as numbers."""
    found = {hash(_stem(word)) for word in _WORD.findall(text.lower())}
    return np.fromiter(found, np.int64, len(found))


_stem: Final = lru_cache(maxsize=100_000)(stem)
