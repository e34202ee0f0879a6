"""One tenant's objects and vectors in memory, compared exactly: all of them or, where they are many, those that a first
look in one byte per dimension leaves (`coarse_scores.py`).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from adapters.coarse_scores import CoarseScores, is_there
from processors.ports import Candidate, IndexObject, Vectors

__all__ = ["Entry", "VectorShelf"]

_START_ROWS: Final = 64
# Below this many rows the room that dead ones take is not worth copying the living.
_COMPACT_FROM: Final = 256
# Sets of principals whose decision is remembered; more means many different askers, and deciding is cheap.
_MAX_DECIDED: Final = 256
_DEAD: Final = 0
# From this capacity on a first look pays: below, the exact product takes less than a millisecond.
_COARSE_FROM: Final = 8_192
# Rows that wait for their bytes; more are not left to the next search.
_MAX_STALE: Final = 2_048
# How many of the first look are compared exactly, per candidate that is wanted and at least.
_WIDER, _LEAST_WIDE = 4, 256


# Made for every write, and again whenever the rows grow: a dataclass takes several times as long.
class Entry(msgspec.Struct, frozen=True, gc=False):
    """An object, its vector apart (a view of its row), and the operation that wrote its words."""

    object: IndexObject
    seq: int
    row: int
    vector: Vectors

    def whole(self) -> IndexObject:
        """The object with its vector."""
        return _with_vector(self.object, self.vector.tobytes())


def _with_vector(held: IndexObject, vector: bytes) -> IndexObject:
    return IndexObject(
        object_id=held.object_id,
        tenant=held.tenant,
        document=held.document,
        version=held.version,
        title=held.title,
        source_uri=held.source_uri,
        access=held.access,
        chunk=held.chunk,
        vector=vector,
    )


@dataclass
class _Rows:
    """What a search reads: it keeps the one it began with while the writer grows or compacts into another."""

    matrix: Vectors
    readers: npt.NDArray[np.int32]
    entries: list[Entry | None] = field(default_factory=list)
    coarse: CoarseScores | None = None
    stale: set[int] = field(default_factory=set)
    _freshening: threading.Lock = field(default_factory=threading.Lock)

    def freshened(self) -> CoarseScores | None:
        """The first look, once it holds every row that was written before; None where there is none."""
        coarse = self.coarse
        if coarse is None:
            return None
        # Whoever comes while another is at it waits: what he looks for may be among those rows.
        with self._freshening:
            if self.stale:
                rows = sorted(self.stale)
                # Taken out first: a row that is written meanwhile is stale again.
                self.stale.difference_update(rows)
                coarse.take(np.array(rows, np.intp), self.matrix[rows])
        return coarse


class VectorShelf:
    """The vectors of one tenant. Use it through LocalIndex: one writer at a time, any number of searches beside it."""

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._rows = self._empty(_START_ROWS)
        self._entries: dict[str, Entry] = {}
        # Equal access lists share a number, so that a search decides about each list once, not about each object.
        self._readers: dict[tuple[str, ...], int] = {}
        self._decided: dict[frozenset[str], npt.NDArray[np.bool_]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, object_id: str) -> Entry | None:
        return self._entries.get(object_id)

    def put(self, found: IndexObject, vector: Vectors, seq: int) -> Entry:
        """Adds an object or writes it anew in its old place."""
        held = self._entries.get(found.object_id)
        row = held.row if held else self._free_row()
        rows = self._rows
        entry = Entry(_with_vector(found, b""), seq, row, rows.matrix[row])
        rows.matrix[row] = vector
        if rows.coarse is not None:
            rows.stale.add(row)
            if len(rows.stale) > _MAX_STALE:
                rows.freshened()
        rows.readers[row] = self._reader_number(found.access)
        if held:
            rows.entries[row] = entry
        else:
            rows.entries.append(entry)
        self._entries[found.object_id] = entry
        return entry

    def regrant(self, object_id: str, access: tuple[str, ...], seq: int) -> Entry | None:
        """Gives an object another access list; its vector stays."""
        held = self._entries.get(object_id)
        if held is None:
            return None
        entry = Entry(replace(held.object, access=access), seq, held.row, held.vector)
        self._entries[object_id] = self._rows.entries[held.row] = entry
        self._rows.readers[held.row] = self._reader_number(access)
        return entry

    def drop(self, object_id: str) -> Entry | None:
        """Forgets an object."""
        held = self._entries.pop(object_id, None)
        if held is None:
            return None
        self._rows.readers[held.row] = _DEAD
        self._rows.entries[held.row] = None
        if len(self._rows.entries) > max(_COMPACT_FROM, 2 * len(self._entries)):
            self._move(max(_START_ROWS, 2 * len(self._entries)))
        return held

    def search(self, vector: Vectors, limit: int, access: frozenset[str]) -> list[Candidate]:
        """The objects of greatest inner product that a reader with these principals may see."""
        rows = self._rows
        count = len(rows.entries)
        if count == 0 or limit <= 0:
            return []
        some, scores = _scored(rows, vector, self._hidden(rows, count, access), count, limit)
        best = _largest(scores, min(limit, len(scores)))
        best = best[np.isfinite(scores[best])]
        found = zip(some[best].tolist(), scores[best].tolist(), strict=True)
        return [Candidate(entry.object, score) for row, score in found if (entry := rows.entries[row]) is not None]

    def entries(self) -> list[Entry]:
        """All there is now."""
        return [entry for entry in self._rows.entries if entry is not None]

    def _hidden(self, rows: _Rows, count: int, access: frozenset[str]) -> npt.NDArray[np.bool_] | None:
        """Which rows these principals may not see; None where they may see all, which is soon said."""
        allowed = self._allowed(access)
        if count == len(self._entries) and allowed[_DEAD + 1 :].all():
            return None
        return ~allowed[rows.readers[:count].copy()]

    def _free_row(self) -> int:
        count = len(self._rows.entries)
        if count == len(self._rows.matrix):
            self._move(2 * count)
        return len(self._rows.entries)

    def _move(self, capacity: int) -> None:
        """Copies the living into new rows; searches under way keep the old ones."""
        old, new = self._rows, self._empty(capacity)
        living = [entry for entry in old.entries if entry is not None]
        kept = [entry.row for entry in living]
        new.matrix[: len(kept)] = old.matrix[kept]
        new.readers[: len(kept)] = old.readers[kept]
        if new.coarse is not None:
            new.coarse.take(np.arange(len(kept)), new.matrix[: len(kept)])
        new.entries = [Entry(entry.object, entry.seq, row, new.matrix[row]) for row, entry in enumerate(living)]
        self._entries = {entry.object.object_id: entry for entry in new.entries if entry is not None}
        self._rows = new

    def _empty(self, capacity: int) -> _Rows:
        rows = _Rows(np.zeros((capacity, self._dimension), np.float32), np.zeros(capacity, np.int32))
        if capacity >= _COARSE_FROM and is_there():
            rows.coarse = CoarseScores(capacity, self._dimension)
        return rows

    def _reader_number(self, access: tuple[str, ...]) -> int:
        return self._readers.setdefault(access, len(self._readers) + 1)

    def _allowed(self, access: frozenset[str]) -> npt.NDArray[np.bool_]:
        """Which numbers of access lists these principals may read; decided once per set of principals and lists."""
        decided = self._decided.get(access)
        known = list(self._readers)
        if decided is None or len(decided) != len(known) + 1:
            decided = np.array([False, *(not access.isdisjoint(readers) for readers in known)])
            if len(self._decided) >= _MAX_DECIDED:
                self._decided.clear()
            self._decided[access] = decided
        return decided


def _scored(
    rows: _Rows, vector: Vectors, hidden: npt.NDArray[np.bool_] | None, count: int, limit: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Rows and their inner products, -inf for hidden ones: all rows, or those that a first look leaves."""
    wide = max(_WIDER * limit, _LEAST_WIDE)
    coarse = rows.freshened() if wide < count else None
    if coarse is None:
        scores = rows.matrix[:count] @ vector
        if hidden is not None:
            scores[hidden] = -np.inf
        return np.arange(count), scores
    first = coarse.of(vector, count)
    if hidden is not None:
        first[hidden] = -np.inf
    some = np.argpartition(first, count - wide)[count - wide :]
    scores = rows.matrix[some] @ vector
    if hidden is not None:
        scores[hidden[some]] = -np.inf
    return some, scores


def _largest(scores: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.intp]:
    first = len(scores) - count
    best = np.argpartition(scores, first)[first:] if first else np.arange(count)
    return best[np.argsort(-scores[best], kind="stable")]
