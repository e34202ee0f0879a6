"""What a format's reader gives the parse step: pieces of text in reading order. Parsers of formats are adapters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

from schemas.documents import Block, BlockKind

__all__ = [
    "GAP",
    "USUAL_LIMITS",
    "BinaryFormat",
    "Format",
    "Formats",
    "Outline",
    "ParseLimits",
    "Piece",
    "laid_out",
    "parsed_text",
]

GAP: Final = "\n\n"
"""Stands between two blocks in the parsed text; offsets of blocks and chunks count it."""

_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Piece:
    """A heading, paragraph, list, table or code listing. `level` counts for headings: 1 is the highest.

    `page` counts from 1. `symbol` is what this piece defines (a function, a top-level key): it ends the heading path of
    this piece alone, and is no text of its own.
    """

    kind: BlockKind
    text: str
    level: int = 0
    page: int | None = None
    symbol: str = ""


@dataclass(frozen=True)
class Outline:
    """A document as its reader sees it. `title` is empty where the document does not say one.

    `properties` are what it says of itself beside its text (author, pages); those that came with it win. `media_type`
    is what it was read as.
    """

    pieces: Sequence[Piece]
    title: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)
    media_type: str = ""


@dataclass(frozen=True)
class ParseLimits:
    """How much of a document is read; beyond it a document is refused, never cut.

    `unpacked_bytes` bounds what a compressed document may grow to. Tables of a PDF are looked for on `table_pages`
    of it and for `table_s` seconds: what comes later is read as lines of text.
    """

    pages: int = 2_000
    cells: int = 500_000
    characters: int = 4_000_000
    unpacked_bytes: int = 128 * 1024 * 1024
    table_pages: int = 100
    table_s: float = 5.0


USUAL_LIMITS: Final = ParseLimits()


class Format(Protocol):
    """Reads a media type that is text, whatever its encoding was.

    Takes any text without failing: markup that is wrong is read as well as it can be. Raises Reject for what would be
    read wrongly (entities that multiply, a limit passed).
    """

    def read(self, text: str) -> Outline: ...


@runtime_checkable
class BinaryFormat(Protocol):
    """Reads a media type that is bytes. Raises Reject for a document that is damaged, locked or too large."""

    def read_bytes(self, body: bytes) -> Outline: ...


Formats = Mapping[str, Format | BinaryFormat]
"""The readers by bare media type."""


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
            path = [one for one in path if one[0] < piece.level]
            path.append((piece.level, " ".join(text.split())))
        end = start + len(text)
        above = tuple(heading for _, heading in path)
        blocks.append(
            Block(
                kind=piece.kind,
                text=text,
                start=start,
                end=end,
                level=piece.level,
                page=piece.page,
                heading_path=(*above, " ".join(_tidy(piece.symbol).split())) if piece.symbol else above,
            )
        )
        start = end + len(GAP)
    return tuple(blocks)


def parsed_text(blocks: Iterable[Block]) -> str:
    """The text that every offset refers to."""
    return GAP.join(block.text for block in blocks)


def _tidy(text: str) -> str:
    """One way to write each character, no controls (they break indexes and terminals), no blank edges."""
    kept = _CONTROLS.sub("", text)
    lines = (line.rstrip() for line in unicodedata.normalize("NFC", kept).split("\n"))
    return "\n".join(lines).strip("\n").rstrip()
