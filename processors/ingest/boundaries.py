"""Where chunks begin and end: structure first, then content-defined packing, so that boundaries hold still under edits.

How a document is cut (`StructureSplitter.split`):
1. A heading travels with what follows it.
2. A block that is too long is cut at sentences (prose) or lines (tables, code, lists); any other stays whole.
3. These units are packed (`processors/ingest/packing.py`): small ones together, large ones by themselves.
4. A part of a table begins with the header row again; with an overlap, prose begins with the end of what stands before.

The other strategies of `processors/ingest/strategies.py` change how units are made (1, 2) or where they part (3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise, takewhile
from typing import Any, ClassVar, Final

from processors.ingest.formats import parsed_text
from processors.ingest.overlaps import overlapping
from processors.ingest.packing import Bounds, Cut, Mark, packed
from processors.ingest.sentences import Span, fitting_spans, line_spans, sentence_spans
from schemas.documents import Block, Chunk

__all__ = ["PROSE", "SPLITTER_VERSION", "StructureSplitter", "Unit", "shared_path"]

SPLITTER_VERSION: Final = "s1"
"""Part of every chunk's name, whatever strategy cut it. Raise it when the same text must become a new chunk."""

# A word of 100 letters is one token to WordPiece; characters bound what tokens don't.
CHARS_PER_TOKEN: Final = 8
# Shares of the target. With both, chunks of small paragraphs are two thirds of it on average, and of 1,000 edits
# of one paragraph about 4 change three chunks, none more (`docs/adr/0004-chunk-boundaries.md` has the figures).
SPACING_SHARE: Final = 1 / 2
LEAST_SHARE: Final = 1 / 4
HEADING_LEVELS: Final = 6
MOST_OVERLAP: Final = 0.3
# A header row that takes more of every part than this says less than the rows that it displaces.
HEADER_SHARE: Final = 1 / 3
# Counting takes longer than all the rest, and a document that was edited is mostly the one that was counted before.
COUNTS_KEPT: Final = 16_384
PROSE: Final = ("paragraph", "heading", "UNKNOWN")
CONTINUED: Final = ("paragraph", "list", "UNKNOWN")


@dataclass(frozen=True)
class Unit:
    """What is never cut again: a block with the headings before it, or a part of a block that was too long.

    `size` is in what the strategy counts (tokens, sentences); `lead` is the header row of a table that was cut here.
    """

    start: int
    end: int
    size: int
    mark: Cut
    blocks: tuple[Block, ...]
    lead: str = ""


@dataclass(frozen=True)
class StructureSplitter:
    """Cuts blocks into chunks of at most `max_tokens`, as `count` counts them; `counted_by` names that counter.

    Use it as the Splitter of a deployment; another configuration has another fingerprint, and re-chunks everything.

    >>> from processors.ingest.formats import Piece, laid_out
    >>> splitter = StructureSplitter(max_tokens=20, target_tokens=12, count=lambda text: len(text.split()))
    >>> [c.text for c in splitter.split(laid_out([Piece("heading", "Tea", 1), Piece("paragraph", "It is hot.")]))]
    ['Tea\\n\\nIt is hot.']

    `overlap` is the share of `max_tokens` (0 to 0.3) that may repeat the end of the prose before; it counts as part of
    the chunk, so that `max_tokens` holds, and `start` is where it begins.
    """

    strategy: ClassVar[str] = "structure/3"

    max_tokens: int
    target_tokens: int
    count: Callable[[str], int]
    counted_by: str = "tokens"
    overlap: float = 0.0
    fingerprint: str = field(init=False)
    _counted: Callable[[str], int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 < self.target_tokens <= self.max_tokens:
            raise ValueError(
                f"wanted 0 < target_tokens <= max_tokens, got {self.target_tokens} and {self.max_tokens}; "
                "raise max_tokens or lower target_tokens"
            )
        if not 0 <= self.overlap <= MOST_OVERLAP:
            raise ValueError(f"wanted an overlap from 0 to {MOST_OVERLAP}, got {self.overlap}; change chunking.overlap")
        object.__setattr__(self, "fingerprint", "/".join(self._words()))
        object.__setattr__(self, "_counted", lru_cache(maxsize=COUNTS_KEPT)(self.count))

    def splitter_for(self, media_type: str, blocks: Sequence[Any]) -> StructureSplitter:  # noqa: ARG002  # the port's
        """Itself: one strategy for every document."""
        return self

    def split(self, blocks: Sequence[Any]) -> list[Chunk]:
        """The chunks in reading order, not named yet. `text` is the parsed text from `start` to `end`, verbatim, after
        `lead` characters of a header row that stands further up."""
        text = parsed_text(blocks)
        units = list(self._units(blocks, text))

        def fits(start: int, end: int) -> bool:
            return self._fits(_told(units[start:end], text))

        ranges = packed([unit.size for unit in units], self._marks(units, text), self._bounds(), fits)
        groups = [units[a:b] for a, b in ranges]
        chunks = [self._chunk(ordinal, group, text) for ordinal, group in enumerate(groups)]
        return self._overlapped(chunks, groups, text) if self.overlap else chunks

    def _words(self) -> list[str]:
        """The fingerprint: strategy, its version and all that decides where it cuts."""
        words = [self.strategy, f"max={self.max_tokens}", f"target={self.target_tokens}", f"by={self.counted_by}"]
        return [*words, f"overlap={self.overlap:g}"] if self.overlap else words

    @property
    def _room(self) -> int:
        """Tokens kept free for what is repeated."""
        return int(self.max_tokens * self.overlap)

    @property
    def _most(self) -> int:
        return self.max_tokens - self._room

    def _bounds(self) -> Bounds:
        target = min(self.target_tokens, self._most)
        return Bounds(self._most, target * SPACING_SHARE, target * LEAST_SHARE)

    def _marks(self, units: Sequence[Unit], text: str) -> list[Cut]:  # noqa: ARG002  # others look at the text
        return [unit.mark for unit in units]

    def _size(self, text: str) -> int:
        return self._counted(text)

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
        size = sum(self._size(text[a:b]) for a, b in spans)
        start, end = spans[0]
        if headings and self._fits(text[headings[0].start : end]):
            yield self._unit((*headings, block), (headings[0].start, end), text, size)
        else:
            for heading in headings:
                yield from self._block(heading, (), text)
            yield self._unit((block,), (start, end), text, size)
        lead = self._header(block)
        for span in spans[1:]:
            unit = self._unit((block,), span, text)
            yield replace(unit, lead=lead) if lead and self._fits(f"{lead}\n{text[span[0] : span[1]]}") else unit

    def _spans(self, block: Block, text: str) -> list[Span]:
        if self._fits(text[block.start : block.end]):
            return [(block.start, block.end)]
        cut = sentence_spans if block.kind in PROSE else line_spans
        return [
            (block.start + a, block.start + b)
            for rough in cut(block.text)
            for a, b in fitting_spans(block.text, rough, self._fits)
        ]

    def _header(self, block: Block) -> str:
        """4: the first row of a table, unless it is too long to be repeated."""
        if block.kind != "table":
            return ""
        row = block.text.partition("\n")[0]
        return (
            row if len(row) <= CHARS_PER_TOKEN * self._most and self._counted(row) <= self._most * HEADER_SHARE else ""
        )

    def _unit(self, blocks: tuple[Block, ...], span: Span, text: str, size: int | None = None) -> Unit:
        """A unit over a span. `size` is that of the whole block where the unit begins one."""
        own = text[span[0] : span[1]]
        counted = max(1, self._size(own))
        first = blocks[0]
        # Rows are like each other and many: a table parts at its rows as a document does at its paragraphs.
        rank = 0 if first.kind == "table" else -1
        if span[0] == first.start:
            rank = max(1, HEADING_LEVELS + 1 - first.level) if first.kind == "heading" else 0
        return Unit(span[0], span[1], counted, Mark(own, size or counted, rank), blocks)

    def _fits(self, text: str) -> bool:
        return len(text) <= self._most * CHARS_PER_TOKEN and self._counted(text) <= self._most

    def _chunk(self, ordinal: int, units: Sequence[Unit], text: str) -> Chunk:
        told = _told(units, text)
        kinds = {unit.blocks[-1].kind for unit in units}
        return Chunk(
            name="",
            ordinal=ordinal,
            text=told,
            start=units[0].start,
            end=units[-1].end,
            tokens=self._counted(told),
            kind=kinds.pop() if len(kinds) == 1 else "paragraph",
            heading_path=shared_path([block.heading_path for unit in units for block in unit.blocks]),
            page=units[0].blocks[0].page,
            lead=len(told) - (units[-1].end - units[0].start),
        )

    def _overlapped(self, chunks: list[Chunk], groups: Sequence[Sequence[Unit]], text: str) -> list[Chunk]:
        """4: what follows prose in the same section begins with the end of it."""
        later = [
            overlapping(after, (before[-1].start, before[-1].end), text, self._counted, (self._room, self.max_tokens))
            if _continues(before[-1], group[0])
            else after
            for (before, group), after in zip(pairwise(groups), chunks[1:], strict=True)
        ]
        return [*chunks[:1], *later]


def _told(units: Sequence[Unit], text: str) -> str:
    """What a chunk of these units says: the text they span, after the header row where they begin within a table."""
    own = text[units[0].start : units[-1].end]
    return f"{units[0].lead}\n{own}" if units[0].lead else own


def _continues(before: Unit, after: Unit) -> bool:
    """Whether prose goes on in the same section: a heading, a table or code begins something new."""
    return before.blocks[-1].kind in CONTINUED and after.blocks[0].kind in CONTINUED


def shared_path(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The headings that stand above all of several blocks."""
    levels = zip(*paths, strict=False)
    return tuple(level[0] for level in takewhile(lambda level: len(set(level)) == 1, levels))
