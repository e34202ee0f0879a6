"""Several questions in one: where a text asks twice, each part is searched for as well. English; conservative."""

from __future__ import annotations

import re
from typing import Final

from processors.answer.words import stems

__all__ = ["parts_of"]

# Behind a question mark, or before an `and` that asks anew.
_ASKS_AGAIN: Final = re.compile(
    r"(?<=\?)\s+(?=\S)|,? and (?=(?:(?:in|at|on) )?(?:who|whom|whose|what|when|where|why|how|which)\b)", re.I
)
# A part with fewer words that mean something is no question by itself.
_ENOUGH: Final = 2
_MOST: Final = 3


def parts_of(question: str) -> tuple[str, ...]:
    """The questions that one text asks, nothing where it asks one.

    >>> parts_of("When was Warsaw founded and who was the first king of Poland?")
    ('When was Warsaw founded', 'who was the first king of Poland?')
    >>> parts_of("Who built the mill and why?")
    ()
    """
    parts = tuple(part.strip() for part in _ASKS_AGAIN.split(question) if part.strip())
    whole = 1 < len(parts) <= _MOST and all(len(set(stems(part))) >= _ENOUGH for part in parts)
    return parts if whole else ()
