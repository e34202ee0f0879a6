"""Plain phrases that a tenant does not want said, found whatever their case, the marks between their words, or what is
not seen in a text."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final

__all__ = ["LONGEST_PHRASE", "MOST_PHRASES", "Phrases"]

MOST_PHRASES: Final = 1_000
"""Each sentence is compared with every one of them."""
LONGEST_PHRASE: Final = 200

# Letters and digits in a row; a character of a script without spaces stands alone.
_WORD: Final = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]|[^\W_\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]+")
_UNSEEN: Final = ("Cf", "Mn")


class Phrases:
    """Phrases as a person would write them, none of them an expression. Use one per tenant.

    >>> phrases = Phrases(["Project Falcon", "*"])
    Traceback (most recent call last):
    ValueError: wanted phrases of 1 to 200 characters with a letter or digit, got '*'
    >>> [*Phrases(["Project Falcon"]).find("So project-FALCON's plan, not projects, Falcon.")]
    [(3, 17)]

    Whole words only. Raises ValueError for a phrase without a word, one that is too long, or too many.
    """

    def __init__(self, phrases: Iterable[str]) -> None:
        given = tuple(dict.fromkeys(phrases))
        if len(given) > MOST_PHRASES:
            raise ValueError(f"wanted at most {MOST_PHRASES:,} phrases, got {len(given):,}")
        for phrase in given:
            if len(phrase) > LONGEST_PHRASE or not _words(phrase):
                said = f"wanted phrases of 1 to {LONGEST_PHRASE} characters with a letter or digit"
                raise ValueError(f"{said}, got {phrase[:LONGEST_PHRASE]!r}")
        self._wanted = tuple(f" {' '.join(word for word, _, _ in _words(phrase))} " for phrase in given)

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Where phrases stand, one phrase after the other."""
        if not self._wanted:
            return
        found = _words(text)
        starts, at = [], 0
        for word, _, _ in found:
            starts.append(at)
            at += len(word) + 1
        line = f" {' '.join(word for word, _, _ in found)} "
        for phrase in self._wanted:
            place = line.find(phrase)
            while place >= 0:
                first = bisect_left(starts, place)
                last = bisect_left(starts, place + len(phrase) - 1) - 1
                yield found[first][1], found[last][2]
                place = line.find(phrase, place + 1)


def _words(text: str) -> list[tuple[str, int, int]]:
    """The words of a text in one spelling, each with its place in the text."""
    folded, places = [], []
    for place, char in enumerate(text):
        for one in char.casefold() if char.isascii() else unicodedata.normalize("NFKD", char).casefold():
            if char.isascii() or unicodedata.category(one) not in _UNSEEN:
                folded.append(one)
                places.append(place)
    found = _WORD.finditer("".join(folded))
    return [(one.group(), places[one.start()], places[one.end() - 1] + 1) for one in found]
