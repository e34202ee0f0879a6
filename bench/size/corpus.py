"""Made-up documents, always the same by number: few words are common and most are rare, as in any language (Zipf)."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

__all__ = ["CHUNKS_OF_ONE", "document", "question"]

# Paragraphs of a document; each is about the size of a chunk.
PARAGRAPHS: Final = 20
CHUNKS_OF_ONE: Final = PARAGRAPHS
_WORDS: Final = 30_000
_SYLLABLES: Final = [a + b for a in "bcdfglmnprstv" for b in "aeiou"]


def _spelt(number: int) -> str:
    letters = ""
    for _ in range(3):
        number, which = divmod(number, len(_SYLLABLES))
        letters += _SYLLABLES[which]
    return letters


_SPELT: Final = np.array([_spelt(number) for number in range(_WORDS)])
_UP_TO: Final = np.cumsum(1.0 / np.arange(3, _WORDS + 3))


def document(number: int) -> str:
    """Twenty paragraphs of six sentences."""
    random = np.random.default_rng([7, number])
    paragraphs = [" ".join(_sentence(random) for _ in range(6)) for _ in range(PARAGRAPHS)]
    return "\n\n".join((f"# Report {number}", *paragraphs)) + "\n"


def question(number: int, documents: int) -> str:
    """Some words in a row of one of the first documents, whose ends are cut off: found by words and by meaning."""
    random = np.random.default_rng([8, number])
    paragraphs = document(int(random.integers(documents))).split("\n\n")[1:]
    words = paragraphs[int(random.integers(len(paragraphs)))].lower().replace(".", "").split()
    start = int(random.integers(len(words) - 8))
    return " ".join(words[start : start + 8])


def _sentence(random: Any) -> str:
    drawn = np.searchsorted(_UP_TO, random.random(int(random.integers(8, 15))) * _UP_TO[-1])
    return " ".join(_SPELT[drawn]).capitalize() + "."
