"""Where chunks begin and end: structure first, then content-defined packing, so that boundaries hold still under edits.

How a document is cut (`StructureSplitter.split`):
1. A heading travels with what follows it.
2. A block that fits and is long enough to be found by itself is a chunk.
3. A block that is too long is cut at sentences (prose) or lines (tables, code, lists), and its parts are packed.
4. Runs of small blocks between those are packed up to the target.
5. A tiny leftover joins its neighbour in the same section, where it fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, takewhile
from typing import Any, Final

from processors.ingest.formats import GAP
from processors.ingest.packing import Priority, packed, priority_of
from processors.ingest.sentences import fitting_spans, line_spans, sentence_spans
from schemas.documents import Block, BlockKind, Chunk

__all__ = ["SPLITTER_VERSION", "StructureSplitter"]

SPLITTER_VERSION: Final = "s1"
"""Part of every chunk's name. Raise it when the same text must become a new chunk."""

# A word of 100 letters is one token to WordPiece; characters bound what tokens don't.
CHARS_PER_TOKEN: Final = 8
# Shares of the target: from the first on a block is a chunk by itself; what is below the second joins a neighbour.
ALONE_SHARE: Final = 1 / 3
TINY_SHARE: Final = 1 / 6
HEADING_RANKS: Final = 7


@dataclass(frozen=True)
class Unit:
    """What is never cut again: a block with the headings before it, or a part of a block that was too long."""

    start: int
    end: int
    tokens: int
    priority: Priority
    kind: BlockKind
    paths: tuple[tuple[str, ...], ...]
    page: int | None
    part: bool = False

    @property
    def opens_section(self) -> bool:
        return self.priority[0] > 0


Group = list[Unit]


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

    def __post_init__(self) -> None:
        if not 0 < self.target_tokens <= self.max_tokens:
            raise ValueError(
                f"wanted 0 < target_tokens <= max_tokens, got {self.target_tokens} and {self.max_tokens}; "
                "raise max_tokens or lower target_tokens"
            )
        words = f"structure/{SPLITTER_VERSION}/max={self.max_tokens}/target={self.target_tokens}/by={self.counted_by}"
        object.__setattr__(self, "fingerprint", words)

    def split(self, blocks: Sequence[Any]) -> list[Chunk]:
        """The chunks in reading order. `text` is the parsed text from `start` to `end`, character for character."""
        text = _text(blocks)
        groups = [group for run in self._runs(self._units(blocks, text)) for group in self._packed(run, text)]
        return [self._chunk(ordinal, group, text) for ordinal, group in enumerate(self._tidied(groups, text))]

    def _units(self, blocks: Sequence[Block], text: str) -> Iterator[Unit]:
        """1 and 3: headings joined to what follows, long blocks in parts."""
        waiting: list[Block] = []
        for block in blocks:
            if block.kind == "heading":
                if waiting and not self._fits(text[waiting[0].start : block.end]):
                    yield from self._parts(waiting.pop(), waiting, text)
                    waiting = []
                waiting.append(block)
                continue
            yield from self._parts(block, waiting, text)
            waiting = []
        if waiting:
            yield from self._parts(waiting.pop(), waiting, text)

    def _parts(self, block: Block, headings: Sequence[Block], text: str) -> Iterator[Unit]:
        """The units of one block; the headings before it belong to the first."""
        if self._fits(text[block.start : block.end]):
            spans = [(block.start, block.end)]
        else:
            cut = sentence_spans if block.kind in ("paragraph", "heading", "UNKNOWN") else line_spans
            fine = (span for rough in cut(block.text) for span in fitting_spans(block.text, rough, self._fits))
            spans = [(block.start + a, block.start + b) for a, b in fine]
        part = len(spans) > 1
        start, end = spans[0]
        if headings and self._fits(text[headings[0].start : end]):
            yield self._unit([*headings, block], (headings[0].start, end), text, part)
        else:
            for heading in headings:
                yield self._unit([heading], (heading.start, heading.end), text, False)
            yield self._unit([block], (start, end), text, part)
        for span in spans[1:]:
            yield self._unit([block], span, text, part)

    def _unit(self, blocks: Sequence[Block], span: tuple[int, int], text: str, part: bool) -> Unit:
        first = blocks[0]
        own = text[span[0] : span[1]]
        opens = first.kind == "heading" and span[0] == first.start
        rank = max(1, HEADING_RANKS - first.level) if opens else 0
        return Unit(
            start=span[0],
            end=span[1],
            tokens=self.count(own),
            priority=priority_of(own, rank),
            kind=blocks[-1].kind,
            paths=tuple(block.heading_path for block in blocks),
            page=first.page,
            part=part,
        )

    def _runs(self, units: Iterator[Unit]) -> Iterator[Group]:
        """2, 3, 4: blocks that stand alone, the parts of one long block, and runs of small blocks."""
        alone = self.target_tokens * ALONE_SHARE
        numbered = groupby(enumerate(units), key=lambda item: self._run_of(item[1], item[0], alone))
        for _, run in numbered:
            yield [unit for _, unit in run]

    @staticmethod
    def _run_of(unit: Unit, position: int, alone: float) -> tuple[str, int | tuple[str, ...]]:
        if unit.part:
            return "part", 0
        return ("alone", position) if unit.tokens >= alone else ("small", 0)

    def _packed(self, run: Group, text: str) -> Iterator[Group]:
        limit = self.max_tokens if run[0].part else self.target_tokens

        def fits(start: int, end: int) -> bool:
            tokens = sum(unit.tokens for unit in run[start:end])
            return tokens <= limit and self._fits(text[run[start].start : run[end - 1].end])

        sizes = [unit.tokens for unit in run]
        least = int(self.target_tokens * ALONE_SHARE)
        for start, end in packed(sizes, [unit.priority for unit in run], fits, least):
            yield run[start:end]

    def _tidied(self, groups: Sequence[Group], text: str) -> list[Group]:
        """5: no chunk of three words where its neighbour has room."""
        tidy: list[Group] = []
        joins = False
        for at, group in enumerate(groups):
            if joins:
                tidy[-1] = [*tidy[-1], *group]
                joins = False
                continue
            after = groups[at + 1] if at + 1 < len(groups) else None
            joins = after is not None and self._tiny(group) and self._may_join(group, after, text)
            if not joins and tidy and self._tiny(group) and self._may_join(tidy[-1], group, text):
                tidy[-1] = [*tidy[-1], *group]
                continue
            tidy.append(group)
        return tidy

    def _tiny(self, group: Group) -> bool:
        return sum(unit.tokens for unit in group) < self.target_tokens * TINY_SHARE

    def _may_join(self, group: Group, after: Group, text: str) -> bool:
        return not after[0].opens_section and self._fits(text[group[0].start : after[-1].end])

    def _fits(self, text: str) -> bool:
        return len(text) <= self.max_tokens * CHARS_PER_TOKEN and self.count(text) <= self.max_tokens

    def _chunk(self, ordinal: int, group: Group, text: str) -> Chunk:
        own = text[group[0].start : group[-1].end]
        kinds = {unit.kind for unit in group}
        return Chunk(
            name="",
            ordinal=ordinal,
            text=own,
            start=group[0].start,
            end=group[-1].end,
            tokens=self.count(own),
            kind=kinds.pop() if len(kinds) == 1 else "paragraph",
            heading_path=_shared([path for unit in group for path in unit.paths]),
            page=group[0].page,
        )


def _shared(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The headings that stand above all of several blocks."""
    levels = zip(*paths, strict=False)
    return tuple(level[0] for level in takewhile(lambda level: len(set(level)) == 1, levels))


def _text(blocks: Sequence[Block]) -> str:
    """The parsed text, rebuilt from its blocks."""
    return GAP.join(block.text for block in blocks)
