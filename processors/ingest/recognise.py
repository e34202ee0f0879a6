"""Finding personal data and secrets by form: one pass per kind, earlier kinds first."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from processors.ingest.patterns import LONG, NEAR, PATTERNS, Pattern
from processors.ports import Finding

__all__ = ["HIDDEN", "PatternRecogniser", "covered"]

HIDDEN: Final = "█"
"""Stands for each character that was taken. One token to the embedding model, and nothing that a text says."""

# Counts changes of what is code and not expression (checksums, ranges).
_RULES: Final = "1"
_VERSION: Final = hashlib.sha256(
    "\0".join([_RULES, *(f"{p.kind}{p.expression.pattern}{p.unless and p.unless.pattern}" for p in PATTERNS)]).encode()
).hexdigest()[:12]
_NUMBER: Final = re.compile(rf"[0-9](?:[^0-9]{{0,{NEAR}}}[0-9])*")
_DIGIT: Final = re.compile("[0-9]")
# How far back a word may stand that speaks against a find.
_BEFORE: Final = 28


class PatternRecogniser:
    """The recogniser that is always there: expressions, checksums and words beside them. Needs nothing else.

    >>> PatternRecogniser().find("mail ann@example.org", {"email"})
    [Finding(kind='email', start=5, end=20)]
    """

    version: Final = f"patterns-{_VERSION}"
    kinds: Final = frozenset(pattern.kind for pattern in PATTERNS)

    def find(self, text: str, kinds: AbstractSet[str]) -> Sequence[Finding]:
        small, digits = text.lower(), _most_digits(text)
        left, found = text, list[Finding]()
        for pattern in PATTERNS:
            if pattern.kind not in kinds or not (digits or pattern.kind in _WITHOUT_DIGITS):
                continue
            if pattern.digits > digits or not _may_hold(pattern, text, small):
                continue
            if spans := list(_spans(pattern, left)):
                found += (Finding(pattern.kind, start, end) for start, end in spans)
                left = covered(left, spans)
        return sorted(found, key=lambda finding: finding.start)


_WITHOUT_DIGITS: Final = frozenset({"secret", "email"})


def covered(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """A text with some of its parts hidden, as long as before; the parts are in order.

    >>> covered("abcd", [(1, 3)])
    'a██d'
    """
    pieces, at = [], 0
    for start, end in spans:
        pieces += [text[at:start], HIDDEN * (end - start)]
        at = end
    return "".join([*pieces, text[at:]])


def _most_digits(text: str) -> int:
    """How many digits stand near each other, at most."""
    return max((len(_DIGIT.findall(number)) for number in _NUMBER.findall(text)), default=0)


def _may_hold(pattern: Pattern, text: str, small: str) -> bool:
    if pattern.needs and not any(need in small for need in pattern.needs):
        return False
    if pattern.marks:
        long_words = " ".join([word for word in text.split() if len(word) >= LONG])
        if not any(mark in long_words for mark in pattern.marks):
            return False
    return pattern.shape is None or pattern.shape.search(text) is not None


def _spans(pattern: Pattern, text: str) -> Iterator[tuple[int, int]]:
    at = 0
    while match := pattern.expression.search(text, at):
        start, end = match.span(pattern.group)
        end = start + pattern.end(text[start:end])
        if end > start and pattern.holds(text[start:end]) and not _spoken_against(pattern, text, start):
            yield start, end
            at = end
        else:
            at = match.start() + 1


def _spoken_against(pattern: Pattern, text: str, start: int) -> bool:
    return pattern.unless is not None and pattern.unless.search(text, max(0, start - _BEFORE), start) is not None
