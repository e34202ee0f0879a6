"""Content-defined packing: which neighbours share a chunk, decided so that an edit moves next to nothing.

A chunk begins where its own text says so, not where the one before ends (`docs/adr/0004-chunk-boundaries.md`):
1. A mark is an anchor if its hash is small for its size, or if a heading stands there. Anchors cut, outside blocks.
2. A stretch between anchors that is too small gives up the anchor that it begins with, and joins what stands before;
   where a lower one ends it, it gives up that one, and joins what follows.
3. A stretch that is too long is cut at its highest mark: where a block begins if there is any, else within a block, and
   there at one that leaves two short parts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final, Protocol

__all__ = ["Bounds", "Cut", "Mark", "packed"]

Range = tuple[int, int]
_HASH_BYTES: Final = 8
_HASH_RANGE: Final = 2 ** (8 * _HASH_BYTES)


class Cut(Protocol):
    """Where a chunk may begin: whether it does, and how good a place it is among others (`rank`, then `hash`)."""

    @property
    def rank(self) -> int: ...

    @property
    def hash(self) -> int: ...

    def is_anchor(self, spacing: float) -> bool: ...


@dataclass(frozen=True)
class Mark:
    """Where a chunk may begin. `size` is that of what begins here, `rank` that of the structure: headings are above 0,
    the middle of a block below."""

    text: str
    size: int
    rank: int = 0

    @property
    def hash(self) -> int:
        return int.from_bytes(hashlib.blake2b(self.text.encode(), digest_size=_HASH_BYTES).digest(), "big")

    def is_anchor(self, spacing: float) -> bool:
        """Whether it cuts: one mark in every `spacing` of size on average, and surely where more begins than that."""
        return self.rank > 0 or (self.rank == 0 and self.hash / _HASH_RANGE < self.size / spacing)


@dataclass(frozen=True)
class Bounds:
    """Sizes of what is packed: `most` is never exceeded, `least` is missed only where nothing else fits."""

    most: int
    spacing: float
    least: float


def packed(sizes: Sequence[int], marks: Sequence[Cut], bounds: Bounds, fits: Callable[[int, int], bool]) -> list[Range]:
    """Ranges of neighbours, in order. `fits(i, j)` has the last word on whether i..j-1 may share a chunk.

    >>> marks = [Mark(word, size=5) for word in ("a", "b", "c", "d")]
    >>> packed([5, 5, 5, 5], marks, Bounds(most=10, spacing=100, least=2), lambda i, j: True)
    [(0, 2), (2, 4)]
    """
    if not sizes:
        return []
    stretch = _Stretches([0, *accumulate(sizes)], marks, bounds, fits)
    return [part for start, end in pairwise(stretch.cuts()) for part in stretch.short_parts(start, end)]


class _Stretches:
    """One packing; positions are between things, 0 before the first."""

    def __init__(
        self, before: Sequence[int], marks: Sequence[Cut], bounds: Bounds, fits: Callable[[int, int], bool]
    ) -> None:
        self._before = before
        self._bounds = bounds
        self._fits = fits
        self._keys = [(mark.is_anchor(bounds.spacing), mark.rank, mark.hash) for mark in marks]

    def cuts(self) -> list[int]:
        """1 and 2: the anchors that stay, with both ends."""
        last = len(self._keys)
        anchors = [0, *(at for at in range(1, last) if self._keys[at][0]), last]
        small = [(start, end) for start, end in pairwise(anchors) if self._size(start, end) < self._bounds.least]
        given_up = {end if self._keeps(start, end) else start for start, end in small} - {0, last}
        return [at for at in anchors if at not in given_up]

    def _keeps(self, start: int, end: int) -> bool:
        """Whether the anchor at the start of a small stretch stands higher than the one at its end. Of equals the one
        at the end stays: what begins there is not small, whatever is put between them."""
        return start == 0 or (end < len(self._keys) and self._rank(start) > self._rank(end))

    def _rank(self, at: int) -> int:
        return self._keys[at][1]

    def short_parts(self, start: int, end: int) -> Iterator[Range]:
        """3: parts that fit. A thing that is too long by itself stands alone."""
        todo = [(start, end)]
        while todo:
            start, end = todo.pop()
            if end - start == 1 or (self._size(start, end) <= self._bounds.most and self._fits(start, end)):
                yield start, end
                continue
            cut = self._best_cut(start, end)
            todo += [(cut, end), (start, cut)]

    def _best_cut(self, start: int, end: int) -> int:
        most, middle = self._bounds.most, (self._before[start] + self._before[end]) / 2
        # A block that is too long keeps its own cuts, whatever stands beside it.
        inside = [at for at in range(start + 1, end) if self._rank(at) >= 0] or range(start + 1, end)
        both_fit = [at for at in inside if self._size(start, at) <= most and self._size(at, end) <= most]
        # Equal texts have equal keys; the one nearest the middle keeps the parts even.
        return max(both_fit or inside, key=lambda at: (self._keys[at], -abs(self._before[at] - middle)))

    def _size(self, start: int, end: int) -> int:
        return self._before[end] - self._before[start]
