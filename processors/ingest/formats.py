"""What a format's reader gives the parse step: pieces of text in reading order. Parsers of formats are adapters."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from schemas.documents import Block, BlockKind

__all__ = ["GAP", "Format", "Formats", "Outline", "Piece", "laid_out", "parsed_text"]

GAP: Final = "\n\n"
"""Stands between two blocks in the parsed text; offsets of blocks and chunks count it."""


@dataclass(frozen=True)
class Piece:
    """A heading, paragraph, list, table or code listing. `level` counts for headings: 1 is the highest."""

    kind: BlockKind
    text: str
    level: int = 0


@dataclass(frozen=True)
class Outline:
    """A document as its reader sees it. `title` is empty where the document does not say one."""

    pieces: Sequence[Piece]
    title: str = ""


class Format(Protocol):
    """Reads one media type. Give `parse` a mapping from media type to one of these.

    Takes any text without raising: markup that is wrong is read as well as it can be.
    """

    def read(self, text: str) -> Outline: ...


Formats = Mapping[str, Format]


def laid_out(pieces: Iterable[Piece]) -> tuple[Block, ...]:
    """Blocks with their place in the parsed text and the headings above them (a heading counts itself).

    >>> [(b.start, b.end, b.heading_path) for b in laid_out([Piece("heading", "A", 1), Piece("paragraph", "b")])]
    [(0, 1, ('A',)), (3, 4, ('A',))]
    """
    blocks: list[Block] = []
    path: list[tuple[int, str]] = []
    start = 0
    for piece in pieces:
        if not (text := _tidy(piece.text)):
            continue
        if piece.kind == "heading":
            path = [above for above in path if above[0] < piece.level]
            path.append((piece.level, " ".join(text.split())))
        end = start + len(text)
        above_it = tuple(heading for _, heading in path)
        blocks.append(Block(kind=piece.kind, text=text, start=start, end=end, level=piece.level, heading_path=above_it))
        start = end + len(GAP)
    return tuple(blocks)


def parsed_text(blocks: Iterable[Block]) -> str:
    """The text that every offset refers to."""
    return GAP.join(block.text for block in blocks)


def _tidy(text: str) -> str:
    """One way to write each character, no controls (they break indexes and terminals), no blank edges."""
    kept = "".join(char for char in text if char in "\n\t" or unicodedata.category(char) != "Cc")
    lines = (line.rstrip() for line in unicodedata.normalize("NFC", kept).split("\n"))
    return "\n".join(lines).strip("\n").rstrip()
