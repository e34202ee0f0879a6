"""Code by its syntax tree: functions and classes are units, and the names around them are the heading path.

Where there is no grammar for a language, or the text does not parse, lines are cut (`lines`), blank ones first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Final

from processors.ingest.boundaries import StructureSplitter, Unit
from processors.ingest.packing import Mark
from processors.ingest.prose import RecursiveSplitter
from processors.ingest.sentences import Span
from processors.ports import Symbol, Syntax
from schemas.documents import Block, Chunk

__all__ = ["CODE_TYPES", "CodeSplitter"]

CODE_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "text/x-python": "python",
        "text/x-script.python": "python",
        "application/x-python": "python",
        "text/javascript": "javascript",
        "text/x-javascript": "javascript",
        "application/javascript": "javascript",
        "text/jsx": "javascript",
        "text/typescript": "typescript",
        "text/x-typescript": "typescript",
        "application/typescript": "typescript",
        "text/tsx": "tsx",
        "text/x-go": "go",
        "text/x-java": "java",
        "text/x-java-source": "java",
        "text/x-rust": "rust",
        "text/rust": "rust",
        "text/x-sql": "sql",
        "application/sql": "sql",
        "text/x-sh": "bash",
        "text/x-shellscript": "bash",
        "application/x-sh": "bash",
    }
)
"""Languages by media type; documents of these types are cut by their syntax unless `by_type` says otherwise."""

_LINES: Final = ("\n\n", "\n", " ")


@dataclass(frozen=True, kw_only=True)
class CodeSplitter(StructureSplitter):
    """Cuts code at functions and classes, a long one at those within it, and only then between lines.

    Use it for source files of the languages in CODE_TYPES; `syntax` finds their symbols. A chunk's heading path is the
    symbols around all of it, so `Pump.start` is found by its name.
    """

    strategy: ClassVar[str] = "code/2"

    syntax: Syntax
    language: str
    _lines: RecursiveSplitter = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        lines = RecursiveSplitter(
            self.max_tokens, self.target_tokens, self._counted, self.counted_by, separators=_LINES
        )
        object.__setattr__(self, "_lines", lines)

    def split(self, blocks: Sequence[Block]) -> list[Chunk]:
        """The chunks in reading order; cut at lines where the language is not known or the text does not parse."""
        chunks = super().split(blocks)
        return chunks if chunks or not blocks else self._lines.split(blocks)

    def _words(self) -> list[str]:
        return [*super()._words(), f"language={self.language}", f"syntax={self.syntax.fingerprint(self.language)}"]

    def _units(self, blocks: Sequence[Block], text: str) -> Iterator[Unit]:
        symbols = self.syntax.symbols(self.language, text)
        if symbols is not None:
            yield from self._within((0, len(text)), symbols, text, _Place(blocks[0] if blocks else None, ()))

    def _within(self, span: Span, symbols: Sequence[Symbol], text: str, place: _Place) -> Iterator[Unit]:
        """The units of a span: its symbols, and what stands between them, cut at lines."""
        at, end = span
        for symbol in symbols:
            yield from self._between((at, symbol.start), text, place)
            yield from self._symbol(symbol, text, place)
            at = symbol.end
        yield from self._between((at, end), text, place)

    def _symbol(self, symbol: Symbol, text: str, around: _Place) -> Iterator[Unit]:
        place = around.inside(symbol.name)
        if self._fits(text[symbol.start : symbol.end]):
            yield self._one((symbol.start, symbol.end), text, place, rank=0)
        else:
            yield from self._within((symbol.start, symbol.end), symbol.inner, text, place)

    def _between(self, span: Span, text: str, place: _Place) -> Iterator[Unit]:
        for start, end, depth in self._lines.parts(span, text):
            yield self._one((start, end), text, place, rank=0 if depth == 0 else -1)

    def _one(self, span: Span, text: str, place: _Place, rank: int) -> Unit:
        own = text[span[0] : span[1]]
        size = max(1, self._counted(own))
        return Unit(*span, size, Mark(own, size, rank), (place.block(span),))


@dataclass(frozen=True)
class _Place:
    """Where in the code a unit stands: the block the text came in, and the symbols around it."""

    origin: Block | None
    path: tuple[str, ...]

    def inside(self, name: str) -> _Place:
        return _Place(self.origin, (*self.path, name) if name else self.path)

    def block(self, span: Span) -> Block:
        path = (*self.origin.heading_path, *self.path) if self.origin else self.path
        page = self.origin.page if self.origin else None
        return Block(kind="code", text="", start=span[0], end=span[1], heading_path=path, page=page)
