"""Strategies for prose beside the structure-aware one: by separators, by number of sentences, by parent and child.

Each changes how units are made or how they are counted; where chunks part stays content-defined
(`processors/ingest/packing.py`), so that boundaries hold still under edits for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import msgspec

from processors.ingest.boundaries import LEAST_SHARE, PROSE, SPACING_SHARE, StructureSplitter, Unit
from processors.ingest.formats import parsed_text
from processors.ingest.packing import Bounds, Cut, Mark, packed
from processors.ingest.sentences import Span, fitting_spans, line_spans, sentence_spans
from schemas.documents import Block, Chunk, Parent

__all__ = ["SEPARATORS", "ParentSplitter", "RecursiveSplitter", "SentenceSplitter"]

SEPARATORS: Final = ("\n\n", "\n", ". ", " ")
_WHOLE: Final = ("heading", "table", "code")


@dataclass(frozen=True, kw_only=True)
class RecursiveSplitter(StructureSplitter):
    """Cuts at the first of its separators that makes the parts fit, whatever the blocks are.

    Use it for text without structure: transcripts, logs, mail. Parts of at most `target_tokens` are packed.

    >>> from processors.ingest.formats import Piece, laid_out
    >>> splitter = RecursiveSplitter(max_tokens=4, target_tokens=2, count=lambda text: len(text.split()))
    >>> [c.text for c in splitter.split(laid_out([Piece("paragraph", "a b\\nc d\\ne f g h")]))]
    ['a b', 'c d', 'e f g h']
    """

    strategy: ClassVar[str] = "recursive/2"

    separators: tuple[str, ...] = SEPARATORS

    def __post_init__(self) -> None:
        if not all(self.separators):
            raise ValueError(
                f"wanted separators of at least one character, got {self.separators!r}; leave out the empty"
            )
        super().__post_init__()

    def _words(self) -> list[str]:
        return [*super()._words(), f"separators={'|'.join(map(repr, self.separators))}"]

    def _units(self, blocks: Sequence[Block], text: str) -> Iterator[Unit]:
        place = 0
        for start, end, depth in self.parts((0, len(text)), text):
            while place + 1 < len(blocks) and blocks[place].end <= start:
                place += 1
            last = place
            while last + 1 < len(blocks) and blocks[last + 1].start < end:
                last += 1
            own = text[start:end]
            size = max(1, self._counted(own))
            # Words are where nothing better was: a chunk begins there only where it must.
            rank = 0 if depth < len(self.separators) and self.separators[depth] != " " else -1
            yield Unit(start, end, size, Mark(own, size, rank), tuple(blocks[place : last + 1]))

    def parts(self, span: Span, text: str) -> Iterator[tuple[int, int, int]]:
        """Bare spans that fit the target, each with the depth of the separator before it; no word is left out."""
        return self._parts(span, (0, 0), text)

    def _parts(self, span: Span, depths: tuple[int, int], text: str) -> Iterator[tuple[int, int, int]]:
        """`depths` are that of the separator to cut at, and that of the one before the span."""
        (start, end), (depth, before) = _bare(text, span), depths
        if start == end:
            return
        if self._small(text[start:end]):
            yield start, end, before
            return
        if depth < len(self.separators):
            for number, part in enumerate(_separated(text, (start, end), self.separators[depth])):
                yield from self._parts(part, (depth + 1, depth if number else before), text)
            return
        for a, b in fitting_spans(text, (start, end), self._small):
            yield a, b, before if a == start else depth

    def _small(self, text: str) -> bool:
        return self._fits(text) and self._counted(text) <= self.target_tokens


@dataclass(frozen=True, kw_only=True)
class SentenceSplitter(StructureSplitter):
    """Cuts prose into chunks of at most `sentences` sentences, at paragraphs where there are any near.

    Use it where answers are one sentence long: policies, question-and-answer pages, release notes.
    """

    strategy: ClassVar[str] = "sentence/2"

    sentences: int = 6

    def __post_init__(self) -> None:
        if self.sentences < 1:
            raise ValueError(f"wanted at least one sentence, got {self.sentences}; raise chunking.sentences")
        super().__post_init__()

    def _words(self) -> list[str]:
        return [*super()._words(), f"sentences={self.sentences}"]

    def _bounds(self) -> Bounds:
        return Bounds(self.sentences, self.sentences * SPACING_SHARE, self.sentences * LEAST_SHARE)

    def _size(self, text: str) -> int:  # noqa: ARG002  # a sentence counts as one, however long
        return 1

    def _spans(self, block: Block, text: str) -> list[Span]:
        if block.kind in _WHOLE and self._fits(text[block.start : block.end]):
            return [(block.start, block.end)]
        cut = sentence_spans if block.kind in PROSE else line_spans
        fitting = [span for part in cut(block.text) for span in fitting_spans(block.text, part, self._fits)]
        return [(block.start + a, block.start + b) for a, b in fitting]


@dataclass(frozen=True)
class ParentSplitter:
    """Small to big: small `children` are embedded and found, the passage of up to `parent_tokens` around them is read.

    Use it where a match is a sentence and an answer needs its surroundings. A child's name holds its parent's text: an
    edit makes new objects of that parent's children, whose vectors are known, except those whose own words changed.
    """

    children: StructureSplitter
    parent_tokens: int
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        if self.parent_tokens < self.children.max_tokens:
            raise ValueError(
                f"wanted parents of at least the {self.children.max_tokens} tokens of a child, "
                f"got {self.parent_tokens}; raise chunking.parent_tokens"
            )
        words = f"parent/2/parent={self.parent_tokens}/{self.children.fingerprint}"
        object.__setattr__(self, "fingerprint", words)

    def splitter_for(self, media_type: str, blocks: Sequence[Any]) -> ParentSplitter:  # noqa: ARG002  # the port's
        """Itself: one strategy for every document."""
        return self

    def split(self, blocks: Sequence[Any]) -> list[Chunk]:
        """The children in reading order, each with its parent where that says more than the child."""
        text = parsed_text(blocks)
        children = self.children.split(blocks)
        starts = {block.start for block in blocks if block.kind == "heading"}
        marks: list[Cut] = [Mark(child.text, child.tokens, int(child.start in starts)) for child in children]
        half = self.parent_tokens / 2
        bounds = Bounds(self.parent_tokens, half, half * SPACING_SHARE)

        def fits(start: int, end: int) -> bool:
            return self.children.count(text[children[start].start : children[end - 1].end]) <= self.parent_tokens

        groups = packed([child.tokens for child in children], marks, bounds, fits)
        return [child for a, b in groups for child in _with_parent(children[a:b], text)]


def _with_parent(children: Sequence[Chunk], text: str) -> list[Chunk]:
    start, end = children[0].start, children[-1].end
    if len(children) == 1:
        return list(children)
    parent = Parent(text=text[start:end], start=start, end=end)
    return [msgspec.structs.replace(child, parent=parent) for child in children]


def _bare(text: str, span: Span) -> Span:
    """The span without white space at its ends."""
    start, end = span
    own = text[start:end]
    if not (bare := own.strip()):
        return start, start
    begin = start + own.index(bare)
    return begin, begin + len(bare)


def _separated(text: str, span: Span, separator: str) -> Iterator[Span]:
    """The parts of a span, each with the separator that ends it: no character is lost."""
    start, end = span
    while (found := text.find(separator, start, end)) >= 0:
        yield start, found + len(separator)
        start = found + len(separator)
    if start < end:
        yield start, end
