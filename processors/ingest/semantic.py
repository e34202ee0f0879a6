"""Semantic chunking: a chunk begins where what is said next is unlike what was said before.

A paragraph begins a chunk where its first sentence is unlike the last sentence of both paragraphs before it. So one
that digresses does not end a topic, and an edit can move only the place where its paragraph begins and the next two.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final

import numpy as np

from processors.ingest.boundaries import StructureSplitter, Unit
from processors.ingest.packing import Cut
from processors.ingest.sentences import sentence_spans
from processors.ports import Vectors

__all__ = ["SemanticSplitter"]

# The edge of a document under edit is probed again and again; 8,192 vectors of 384 dimensions are 12 MB.
_VECTORS_KEPT: Final = 8_192
# A model rounds differently in batches of other lengths; what is closer than this counts as equal.
_STEPS: Final = 50
# Where nothing drops for long the text decides by its hash, so that an edit can't move all the cuts behind it.
_SPARSER: Final = 3


@dataclass(frozen=True)
class SemanticMark:
    """A place where a unit begins: `drop` says that it speaks of something else than what stands before it."""

    mark: Cut
    drop: bool

    @property
    def rank(self) -> int:
        return self.mark.rank

    @property
    def hash(self) -> int:
        return self.mark.hash

    def is_anchor(self, spacing: float) -> bool:
        return self.rank > 0 or self.drop or self.mark.is_anchor(_SPARSER * spacing)


@dataclass(frozen=True, kw_only=True)
class SemanticSplitter(StructureSplitter):
    """Cuts blocks where the `embed`ded sentences on both sides are less alike than `similarity`, sizes permitting.

    Use it for long prose whose paragraphs wander from topic to topic without headings: essays, minutes, interviews.
    `embedded_by` names the model. Each end of a paragraph is embedded once and remembered; that comes on top of what
    the chunks cost, as `probed` counts.
    """

    strategy: ClassVar[str] = "semantic/2"

    embed: Callable[[Sequence[str]], Vectors]
    embedded_by: str
    similarity: float = 0.2
    _remembered: OrderedDict[str, Vectors] = field(init=False, repr=False, compare=False, default_factory=OrderedDict)
    _probes: list[int] = field(init=False, repr=False, compare=False, default_factory=lambda: [0])

    def __post_init__(self) -> None:
        if not -1 <= self.similarity <= 1:
            raise ValueError(f"wanted a similarity from -1 to 1, got {self.similarity}; change chunking.similarity")
        super().__post_init__()

    @property
    def probed(self) -> int:
        """How many sentences were embedded so far to find where to cut."""
        return self._probes[0]

    def _words(self) -> list[str]:
        return [*super()._words(), f"similarity={self.similarity:g}", f"model={self.embedded_by}"]

    def _marks(self, units: Sequence[Unit], text: str) -> list[Cut]:
        bar = round(self.similarity * _STEPS)
        alike = self._alike(units, text)
        return [SemanticMark(unit.mark, near < bar) for unit, near in zip(units, alike, strict=True)]

    def _alike(self, units: Sequence[Unit], text: str) -> Iterator[int]:
        """How near each unit's first sentence is to the last ones of the two units before, in steps."""
        ends = [_ends(text[unit.start : unit.end]) for unit in units]
        vectors = self._vectors([sentence for pair in ends for sentence in pair])
        for at, (first, _) in enumerate(ends):
            before = [vectors[last] for _, last in ends[max(0, at - 2) : at]]
            yield max((round(float(last @ vectors[first]) * _STEPS) for last in before), default=-_STEPS)

    def _vectors(self, sentences: Sequence[str]) -> dict[str, Vectors]:
        wanted = list(dict.fromkeys(sentences))
        missing = [sentence for sentence in wanted if sentence not in self._remembered]
        if missing:
            self._probes[0] += len(missing)
            computed = np.asarray(self.embed(missing))
            self._remembered.update(zip(missing, computed, strict=True))
        found = {sentence: self._remembered[sentence] for sentence in wanted}
        for sentence in wanted:
            self._remembered.move_to_end(sentence)
        while len(self._remembered) > _VECTORS_KEPT:
            self._remembered.popitem(last=False)
        return found


def _ends(text: str) -> tuple[str, str]:
    """The first and the last sentence of a unit."""
    spans = sentence_spans(text)
    first, last = spans[0], spans[-1]
    return text[first[0] : first[1]], text[last[0] : last[1]]
