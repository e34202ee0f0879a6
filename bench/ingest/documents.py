"""Documents that resemble no other, always the same by their number."""

from __future__ import annotations

import random
from itertools import accumulate
from typing import Final

__all__ = ["PARAGRAPHS", "document"]

PARAGRAPHS: Final = 20
SENTENCES: Final = 6
_SYLLABLES: Final = tuple(a + b for a in "bcdfglmnprstv" for b in "aeiou")
_DRAW: Final = random.Random(7)
_WORDS: Final = ["".join(_DRAW.choice(_SYLLABLES) for _ in range(_DRAW.randint(2, 4))) for _ in range(12_000)]
# Few words are common, most are rare, as in any language (Zipf).
_RANKS: Final = list(accumulate(1 / (rank + 3) for rank in range(len(_WORDS))))


def document(number: int) -> str:
    """Markdown: a heading and twenty paragraphs of about seventy words, of which about one chunk each is made."""
    draw = random.Random(number)

    def sentence() -> str:
        return " ".join(draw.choices(_WORDS, cum_weights=_RANKS, k=draw.randint(8, 14))).capitalize() + "."

    body = "\n\n".join(" ".join(sentence() for _ in range(SENTENCES)) for _ in range(PARAGRAPHS))
    return f"# Report {number}\n\n{body}\n"
