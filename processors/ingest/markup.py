"""XML: a line for each element that holds text, under the elements it stands in. Nothing is expanded or fetched."""

from __future__ import annotations

from typing import Final
from xml.parsers import expat

from processors.contract import Reject
from processors.ingest.formats import USUAL_LIMITS, Outline, ParseLimits, Piece

__all__ = ["XmlText"]

MOST_DEPTH: Final = 200
LONGEST_PIECE: Final = 4_000
"""Lines under one parent are one piece up to so many characters."""


class XmlText:
    """Reads application/xml, in one pass and without a tree.

    >>> XmlText().read("<menu><tea><name>Green</name><price>3</price></tea></menu>").pieces
    [Piece(kind='paragraph', text='name: Green\\nprice: 3', level=0, page=None, symbol='tea')]

    Raises Reject for XML that is not well-formed, declares entities, or nests too deep.
    """

    def __init__(self, limits: ParseLimits = USUAL_LIMITS) -> None:
        self._limits = limits

    def read(self, text: str) -> Outline:
        walk = _Walk()
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = walk.start
        parser.EndElementHandler = walk.end
        parser.CharacterDataHandler = walk.text
        parser.EntityDeclHandler = _refuse_entity
        try:
            # What the declaration says of the encoding was true of the bytes.
            parser.Parse(text.encode("utf-8", "replace"), True)
        except expat.ExpatError as error:
            raise Reject(f"wanted well-formed XML, got {error}; mend it, or publish it as text/plain") from error
        walk.flush()
        return Outline(walk.pieces)


def _refuse_entity(name: str, *_: object) -> None:
    raise Reject(f"wanted XML without entities of its own, got a declaration of {name[:80]!r}; expand it before")


class _Walk:
    """What was open when, and the lines since the last piece."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self._open: list[str] = []
        self._words: list[list[str]] = [[]]
        self._lines: list[str] = []
        self._size = 0
        self._below = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) >= MOST_DEPTH:
            raise Reject(f"wanted XML of at most {MOST_DEPTH} levels, got more at <{name[:80]}>; flatten it")
        if self._open and not "".join(self._words[-1]).strip():
            self._words[-1].clear()
        self._open.append(name.rpartition(":")[2])
        self._words.append([f"{value} " for key, value in attributes.items() if key in ("title", "label", "alt")])

    def end(self, _name: str) -> None:
        name, words = self._open.pop(), " ".join("".join(self._words.pop()).split())
        if self._open and "".join(self._words[-1]).strip():
            # Within running text (<b>, <a>) it is a part of it.
            self._words[-1].append(f"{words}")
        elif words:
            self._say(f"{name}: {words}")

    def text(self, words: str) -> None:
        self._words[-1].append(words)

    def flush(self) -> None:
        if self._lines:
            self.pieces.append(Piece("paragraph", "\n".join(self._lines), symbol=self._below))
        self._lines, self._size = [], 0

    def _say(self, line: str) -> None:
        below = " / ".join(self._open[1:])
        if below != self._below or self._size > LONGEST_PIECE:
            self.flush()
            self._below = below
        self._lines.append(line)
        self._size += len(line)
