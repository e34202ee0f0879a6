"""Where chunks begin and end: structure first, then content-defined packing, so that boundaries hold still under edits.

How a document is cut (`StructureSplitter.split`):
1. A heading travels with what follows it.
2. A block that is too long is cut at sentences (prose) or lines (tables, code, lists); any other stays whole.
3. These units are packed (`processors/ingest/packing.py`): small ones together, large ones by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import takewhile
from typing import Any, Final

from processors.ingest.formats import parsed_text
from processors.ingest.packing import Bounds, Mark, packed
from processors.ingest.sentences import Span, fitting_spans, line_spans, sentence_spans
from schemas.documents import Block, Chunk

__all__ = ["SPLITTER_VERSION", "StructureSplitter"]

SPLITTER_VERSION: Final = "s1"
"""Part of every chunk's name. Raise it when the same text must become a new chunk."""

# A word of 100 letters is one token to WordPiece; characters bound what tokens don't.
CHARS_PER_TOKEN: Final = 8
# Shares of the target. With both, chunks of small paragraphs are two thirds of it on average, and of 1,000 edits
# of one paragraph about 4 change three chunks, none more (`docs/adr/0004-chunk-boundaries.md` has the figures).
SPACING_SHARE: Final = 1 / 2
LEAST_SHARE: Final = 1 / 4
HEADING_LEVELS: Final = 6
# Counting takes longer than all the rest, and a document that was edited is mostly the one that was counted before.
COUNTS_KEPT: Final = 16_384
PROSE: Final = ("paragraph", "heading", "UNKNOWN")


@dataclass(frozen=True)
class Unit:
    """What is never cut again: a block with the headings before it, or a part of a block that was too long."""

    start: int
    end: int
    tokens: int
    mark: Mark
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class StructureSplitter:
    """Cuts blocks into chunks of at most `max_tokens`, as `count` counts them; `counted_by` names that counter.

    Use it as the Splitter of a deployment; another configuration has another fingerprint, and re-chunks everything.

    >>> from processors.ingest.formats import Piece, laid_out
    >>> splitter = StructureSplitter(max_tokens=20, target_tokens=12, count=lambda text: len(text.split()))
    >>> [c.text for c in splitter.split(laid_out([Piece("heading", "Tea", 1), Piece("paragraph", "It is hot.")]))]
    ['Tea\\n\\nIt is hot.']
    """

    max_tokens: int
    target_tokens: int
    count: Callable[[str], int]
    counted_by: str = "tokens"
    fingerprint: str = field(init=False)
    _counted: Callable[[str], int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 < self.target_tokens <= self.max_tokens:
            raise ValueError(
                f"wanted 0 < target_tokens <= max_tokens, got {self.target_tokens} and {self.max_tokens}; "
                "raise max_tokens or lower target_tokens"
            )
        words = f"structure/{SPLITTER_VERSION}/max={self.max_tokens}/target={self.target_tokens}/by={self.counted_by}"
        object.__setattr__(self, "fingerprint", words)
        object.__setattr__(self, "_counted", lru_cache(maxsize=COUNTS_KEPT)(self.count))

    def split(self, blocks: Sequence[Any]) -> list[Chunk]:
        """The chunks in reading order, not named yet. `text` is the parsed text from `start` to `end`, verbatim."""
        text = parsed_text(blocks)
        units = list(self._units(blocks, text))
        bounds = Bounds(self.max_tokens, self.target_tokens * SPACING_SHARE, self.target_tokens * LEAST_SHARE)

        def fits(start: int, end: int) -> bool:
            return self._fits(text[units[start].start : units[end - 1].end])

        ranges = packed([unit.tokens for unit in units], [unit.mark for unit in units], bounds, fits)
        return [self._chunk(ordinal, units[a:b], text) for ordinal, (a, b) in enumerate(ranges)]

    def _units(self, blocks: Sequence[Block], text: str) -> Iterator[Unit]:
        """1: headings wait for what follows; those that can't travel any further stand by themselves."""
        waiting: list[Block] = []
        for block in blocks:
            if block.kind != "heading":
                yield from self._block(block, waiting, text)
                waiting = []
                continue
            if waiting and not self._fits(text[waiting[0].start : block.end]):
                yield from self._block(waiting.pop(), waiting, text)
                waiting = []
            waiting.append(block)
        if waiting:
            yield from self._block(waiting.pop(), waiting, text)

    def _block(self, block: Block, headings: Sequence[Block], text: str) -> Iterator[Unit]:
        """2: the units of one block; the headings before it belong to the first."""
        spans = self._spans(block, text)
        size = sum(self._counted(text[a:b]) for a, b in spans)
        start, end = spans[0]
        if headings and self._fits(text[headings[0].start : end]):
            yield self._unit((*headings, block), (headings[0].start, end), text, size)
        else:
            for heading in headings:
                yield from self._block(heading, (), text)
            yield self._unit((block,), (start, end), text, size)
        for span in spans[1:]:
            yield self._unit((block,), span, text)

    def _spans(self, block: Block, text: str) -> list[Span]:
        if self._fits(text[block.start : block.end]):
            return [(block.start, block.end)]
        cut = sentence_spans if block.kind in PROSE else line_spans
        return [
            (block.start + a, block.start + b)
            for rough in cut(block.text)
            for a, b in fitting_spans(block.text, rough, self._fits)
        ]

    def _unit(self, blocks: tuple[Block, ...], span: Span, text: str, size: int | None = None) -> Unit:
        """A unit over a span. `size` is that of the whole block where the unit begins one."""
        own = text[span[0] : span[1]]
        tokens = max(1, self._counted(own))
        first = blocks[0]
        rank = -1
        if span[0] == first.start:
            rank = max(1, HEADING_LEVELS + 1 - first.level) if first.kind == "heading" else 0
        return Unit(span[0], span[1], tokens, Mark(own, size or tokens, rank), blocks)

    def _fits(self, text: str) -> bool:
        return len(text) <= self.max_tokens * CHARS_PER_TOKEN and self._counted(text) <= self.max_tokens

    def _chunk(self, ordinal: int, units: Sequence[Unit], text: str) -> Chunk:
        own = text[units[0].start : units[-1].end]
        kinds = {unit.blocks[-1].kind for unit in units}
        return Chunk(
            name="",
            ordinal=ordinal,
            text=own,
            start=units[0].start,
            end=units[-1].end,
            tokens=self._counted(own),
            kind=kinds.pop() if len(kinds) == 1 else "paragraph",
            heading_path=_shared([block.heading_path for unit in units for block in unit.blocks]),
            page=units[0].blocks[0].page,
        )


def _shared(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The headings that stand above all of several blocks."""
    levels = zip(*paths, strict=False)
    return tuple(level[0] for level in takewhile(lambda level: len(set(level)) == 1, levels))
