"""Content-defined packing: which neighbours share a chunk, decided so that an edit moves next to nothing.

A run that is too long is cut at its boundary of highest priority, then each part alike. A boundary's priority hangs on
what follows it, not on where it stands; so an edit can only raise, lower, add or remove boundaries of its own, and
every cut elsewhere is found again. Source: `docs/adr/0004-chunk-boundaries.md`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Final

__all__ = ["Priority", "packed", "priority_of"]

Priority = tuple[int, bytes, bytes]
"""Rank of the structure that begins here, then hash of the first words, then of the whole text."""

# An edit mostly leaves the beginning of a paragraph alone, and then its boundary stays exactly where it was.
FIRST_WORDS: Final = 5
_HASH_BYTES: Final = 8


def priority_of(text: str, rank: int = 0) -> Priority:
    """The priority of the boundary before a text. `rank` puts headings before everything else."""
    return rank, _hash(" ".join(text.split()[:FIRST_WORDS])), _hash(text)


def packed(
    sizes: Sequence[int], priorities: Sequence[Priority], fits: Callable[[int, int], bool], least: int
) -> list[tuple[int, int]]:
    """Ranges of neighbours, in order. `fits(i, j)`: whether i..j-1 may be one; `least`: below it a part is too small.

    >>> marks = [priority_of(word) for word in ("a", "b", "c", "d")]
    >>> packed([5, 5, 5, 5], marks, lambda i, j: j - i <= 2, least=1)
    [(0, 1), (1, 3), (3, 4)]
    """
    before = [0, *accumulate(sizes)]
    todo = [(0, len(sizes))] if sizes else []
    done = []
    while todo:
        start, end = todo.pop()
        if end - start == 1 or fits(start, end):
            done.append((start, end))
            continue
        cut = _highest(range(start + 1, end), priorities, before, least)
        todo += [(cut, end), (start, cut)]
    return done


def _highest(candidates: range, priorities: Sequence[Priority], before: Sequence[int], least: int) -> int:
    first, last = before[candidates[0] - 1], before[candidates[-1] + 1]
    roomy = [at for at in candidates if before[at] - first >= least and last - before[at] >= least]
    middle = (first + last) / 2
    # Equal texts have equal priorities; the one nearest the middle keeps the parts even.
    return max(roomy or candidates, key=lambda at: (priorities[at], -abs(before[at] - middle)))


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=_HASH_BYTES).digest()
