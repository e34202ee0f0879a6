"""From lines on pages to pieces: paragraphs, headings, lists and tables, each with its page; page frames left out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from processors.ingest.formats import Piece

__all__ = ["Line", "PlacedTable", "pieces_of_lines"]

# Shares of a line's own height.
LARGER: Final = 1.15
"""A line so much larger than most of the text is a heading."""
APART: Final = 0.5
"""A gap above a line of so much begins a paragraph."""
INDENTED: Final = 0.8

LONGEST_HEADING: Final = 200
FRAME_SHARE: Final = 0.6
"""What stands at the top or the bottom of so many pages, numbers aside, is a header or a footer."""
FRAME_PAGES: Final = 3
_LEVELS: Final = 6
_BULLET: Final = re.compile(r"[•●▪◦‣∙·*–-]\s+(?=\S)")
_SENTENCE_END: Final = (".", "!", "?", ":", "。", "！", "？")
_SPLIT_WORD: Final = ("\x02", "\ufffe", "\xad")
"""How a hyphen is marked that stands only because the line ends."""


@dataclass(frozen=True)
class Line:
    """A line of text where it stands, in points from the lower left corner of its page; pages count from 1."""

    text: str
    page: int
    left: float = 0.0
    bottom: float = 0.0
    top: float = 0.0

    @property
    def height(self) -> float:
        return max(self.top - self.bottom, 1.0)


@dataclass(frozen=True)
class PlacedTable:
    """A table and the rectangle that it covers: lines within it are its cells."""

    text: str
    page: int
    left: float
    bottom: float
    right: float
    top: float

    def covers(self, line: Line) -> bool:
        middle = (line.top + line.bottom) / 2
        return line.page == self.page and self.bottom <= middle <= self.top and self.left - 1 <= line.left <= self.right


def pieces_of_lines(lines: Sequence[Line], tables: Sequence[PlacedTable] = ()) -> list[Piece]:
    """The pieces in reading order. A piece never spans two pages, so that its page is exact.

    >>> page = [Line("Tea", 1, 0, 100, 120), Line("It is", 1, 0, 80, 90), Line("hot.", 1, 0, 69, 79)]
    >>> [(piece.kind, piece.text, piece.page) for piece in pieces_of_lines(page)]
    [('heading', 'Tea', 1), ('paragraph', 'It is hot.', 1)]
    """
    kept = _without_frames(lines)
    usual = _usual_height(kept)
    sizes = sorted({_rounded(line) for line in kept if line.height >= LARGER * usual}, reverse=True)
    walk = _Walk(usual, {size: min(level, _LEVELS) for level, size in enumerate(sizes, 1)})
    waiting = list(tables)
    for line in kept:
        covering = next((table for table in tables if table.covers(line)), None)
        if covering is None:
            walk.add(line)
        elif covering in waiting:
            waiting.remove(covering)
            walk.table(covering)
    walk.flush()
    return walk.pieces


def _rounded(line: Line) -> float:
    return round(line.height * 2) / 2


def _usual_height(lines: Sequence[Line]) -> float:
    heights: Counter[float] = Counter()
    for line in lines:
        heights[_rounded(line)] += len(line.text)
    return max(heights, key=lambda height: (heights[height], -height), default=1.0)


def _without_frames(lines: Sequence[Line]) -> list[Line]:
    """Without the first and last lines that most pages share."""
    pages = [list(group) for _, group in groupby(lines, key=lambda line: line.page)]
    if len(pages) < FRAME_PAGES:
        return list(lines)
    edges = Counter(_worded(line) for page in pages for line in {page[0], page[-1]})
    frames = {words for words, count in edges.items() if count >= FRAME_SHARE * len(pages)}
    kept = [
        line
        for page in pages
        for place, line in enumerate(page)
        if place not in (0, len(page) - 1) or _worded(line) not in frames
    ]
    return kept or list(lines)


def _worded(line: Line) -> str:
    return re.sub(r"\d+", "#", " ".join(line.text.split()))


@dataclass
class _Walk:
    """The pieces so far, and the lines of the one that is open."""

    usual: float
    levels: dict[float, int]
    pieces: list[Piece] = field(default_factory=list)
    _lines: list[Line] = field(default_factory=list)

    def add(self, line: Line) -> None:
        if self._lines and self._begins(line, self._lines[-1]):
            self.flush()
        self._lines.append(line)

    def table(self, table: PlacedTable) -> None:
        self.flush()
        self.pieces.append(Piece("table", table.text, page=table.page))

    def flush(self) -> None:
        if not self._lines:
            return
        first, lines, self._lines = self._lines[0], self._lines, []
        text = _joined(lines)
        level = self.levels.get(_rounded(first), 0)
        if level and len(text) <= LONGEST_HEADING and any(char.isalpha() for char in text):
            self.pieces.append(Piece("heading", text, level, page=first.page))
        elif _BULLET.match(first.text):
            self._item(text, first.page)
        else:
            self.pieces.append(Piece("paragraph", text, page=first.page))

    def _item(self, text: str, page: int) -> None:
        last = self.pieces[-1] if self.pieces else None
        item = _BULLET.sub("- ", text, count=1)
        if last and last.kind == "list" and last.page == page:
            self.pieces[-1] = Piece("list", f"{last.text}\n{item}", page=page)
        else:
            self.pieces.append(Piece("list", item, page=page))

    def _begins(self, line: Line, last: Line) -> bool:
        if line.page != last.page or _BULLET.match(line.text):
            return True
        if not 1 / LARGER < line.height / last.height < LARGER:
            return True
        gap = last.bottom - line.top
        if gap > APART * line.height or line.bottom > last.top:
            return True
        indented = line.left > last.left + INDENTED * line.height and not _BULLET.match(self._lines[0].text)
        return indented and last.text.rstrip().endswith(_SENTENCE_END)


def _joined(lines: Sequence[Line]) -> str:
    text = ""
    for line in lines:
        own = line.text.strip()
        cut = text.endswith(_SPLIT_WORD)
        text = text[:-1] + own if cut else f"{text} {own}".lstrip()
    return text.rstrip("".join(_SPLIT_WORD))
