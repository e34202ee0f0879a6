"""Plain text: paragraphs between blank lines. Needs no library, so it is no adapter."""

from __future__ import annotations

import re
from typing import Final

from processors.ingest.formats import Outline, Piece

__all__ = ["PlainText"]

_BLANK_LINES: Final = re.compile(r"\n[^\S\n]*(?:\n[^\S\n]*)+")


class PlainText:
    """Reads text/plain. Nothing in it is taken for a heading: a wrong guess would stand on every chunk below.

    >>> [piece.text for piece in PlainText().read("one\\ntwo\\n\\nthree").pieces]
    ['one\\ntwo', 'three']
    """

    def read(self, text: str) -> Outline:
        return Outline([Piece("paragraph", part) for part in _BLANK_LINES.split(text) if part.strip()])
