"""The index in a folder of this machine: BM25 by tantivy, all vectors compared, both built from one log of objects.

A write goes to the log first, then to both halves in memory. Opening reads the log and builds both from it, so they
hold the same objects whatever happened before.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final

from adapters.blas import one_thread_per_product
from adapters.errors import IndexUnavailableError
from adapters.keyword_index import KeywordIndex
from adapters.object_log import IndexFolderError, ObjectLog, Opened, Record, Regranted, Removed, Written
from adapters.shelves import Shelves
from processors.ports import Candidate, IndexObject, Vectors

__all__ = ["IndexFolderError", "LocalIndex", "locked"]

# Below this many operations, rewriting the log saves too little to be worth the pause.
_COMPACT_FROM: Final = 2_000


class LocalIndex:
    """Everything that can be found, in one folder. Use it for up to some 200,000 chunks per tenant, in one process.

    >>> index = LocalIndex(Path(".headwater/index"))                                   # doctest: +SKIP
    >>> index.upsert(objects)                                                          # doctest: +SKIP
    >>> index.search_text("acme", "leaky valve", 10, frozenset({"*"}))[0].score        # doctest: +SKIP
    7.1

    Safe for threads: writers wait for each other, searches run beside them. What `upsert` wrote survives a kill -9.
    Raises IndexFolderError where the folder is held by another process or damaged, IndexUnavailableError where it can't
    be written (then nothing of the call was kept) or is closed, ValueError for a vector of another dimension.
    `compact_from` is the number of operations below which the log is never rewritten.
    """

    def __init__(self, folder: Path, compact_from: int = _COMPACT_FROM) -> None:
        one_thread_per_product()
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._writing = threading.RLock()
        self._shelves = Shelves()
        self._seq = 0
        self._compact_from = self._compact_at = compact_from
        self._closed = False
        self._lock = locked(folder)
        try:
            self._keywords = KeywordIndex()
            self._log = ObjectLog(folder / "objects.log")
            self._recover()
        except BaseException:
            os.close(self._lock)
            raise

    def upsert(self, objects: Sequence[IndexObject]) -> None:
        """Writes objects; when it returns they are durable and both searches find them."""
        latest = list({(found.tenant, found.object_id): found for found in objects}.values())
        if not latest:
            return
        with self._writing:
            vectors = self._shelves.vectors(latest)
            written = [Written(seq, found) for seq, found in zip(self._numbers(len(latest)), latest, strict=True)]
            self._write(written)
            gone = [self._shelves.put(record, vector) for record, vector in zip(written, vectors, strict=True)]
            self._show(written, gone)

    def remove(self, tenant: str, object_ids: Iterable[str]) -> int:
        """Forgets objects and says how many there were; an unknown id is no error."""
        with self._writing:
            held = tuple(name for name in dict.fromkeys(object_ids) if self._shelves.entry(tenant, name))
            if not held:
                return 0
            removed = Removed(next(self._numbers(1)), tenant, held)
            self._write([removed])
            gone = self._shelves.drop(removed)
            self._shelves.forget(gone)
            if self._keywords.drop(gone):
                self._keywords.commit()
            self._compact()
            return len(held)

    def existing(self, tenant: str, object_ids: Iterable[str]) -> set[str]:
        """Those of the ids that are held in full, words and vector."""
        self._require_open()
        return {name for name in object_ids if self._shelves.entry(tenant, name)}

    def search_text(self, tenant: str, text: str, limit: int, access: frozenset[str]) -> list[Candidate]:
        """The best objects by BM25 over title, headings and text; any text is only words."""
        self._require_open()
        shelf = self._shelves.shelf(tenant)
        if limit <= 0 or shelf is None:
            return []
        # Of a tenant that has most of the objects, the best of all hold as many as are wanted, unless few are readable.
        if 2 * len(shelf) >= (held := len(self._shelves)):
            asked = limit if len(shelf) == held else 2 * limit
            hits = self._keywords.best_of_all(text, asked)
            found = [one for one in self._candidates(hits) if _may_read(one.object, tenant, access)]
            if len(found) >= limit or len(hits) < asked:
                return found[:limit]
        return self._candidates(self._keywords.search(tenant, text, limit, access))[:limit]

    def search_vector(self, tenant: str, vector: Vectors, limit: int, access: frozenset[str]) -> list[Candidate]:
        """The nearest objects by inner product; scores are exact."""
        self._require_open()
        shelf = self._shelves.shelf(tenant)
        if shelf is None:
            return []
        if vector.shape != (self._shelves.dimension,):
            raise ValueError(f"wanted a vector of dimension {self._shelves.dimension}, got one of shape {vector.shape}")
        return shelf.search(vector, limit, access)

    def _candidates(self, hits: Sequence[tuple[int, float]]) -> list[Candidate]:
        found = ((self._shelves.written_by(seq), score) for seq, score in hits)
        return [Candidate(entry.object, score) for entry, score in found if entry is not None]

    def set_access(self, tenant: str, object_ids: Iterable[str], access: tuple[str, ...]) -> None:
        """Patches the filter hint; no vector is touched, an unknown id is no error."""
        with self._writing:
            entries = [entry for name in dict.fromkeys(object_ids) if (entry := self._shelves.entry(tenant, name))]
            stale = [entry.object for entry in entries if entry.object.access != access]
            if not stale:
                return
            numbered = list(zip(self._numbers(len(stale)), stale, strict=True))
            patches = [Regranted(seq, tenant, found.object_id, access) for seq, found in numbered]
            self._write(patches)
            gone = [self._shelves.regrant(patch) for patch in patches]
            self._show([Written(seq, replace(found, access=access)) for seq, found in numbered], gone)

    def walk(self, tenant: str | None = None) -> Iterator[IndexObject]:
        """Every object, of one tenant or of all, as they are when their tenant's turn comes."""
        self._require_open()
        for entry in self._shelves.entries(tenant):
            yield entry.whole()

    def count(self, tenant: str) -> int:
        """How many objects a tenant has."""
        shelf = self._shelves.shelf(tenant)
        return len(shelf) if shelf else 0

    def is_empty(self) -> bool:
        """Whether nothing is held: a new folder, or one that was removed and is to be rebuilt from the log."""
        return len(self._shelves) == 0

    def purge(self) -> None:
        """Writes the log anew without what was removed, so that the folder holds none of its text any more.

        Raises IndexUnavailableError where that can't be done now.
        """
        with self._writing:
            self._require_open()
            try:
                self._rewrite()
            except OSError as error:
                raise IndexUnavailableError(
                    f"wanted to write the log of {str(self._folder)!r} anew, got {error}; make room"
                ) from error

    def close(self) -> None:
        """Gives the folder to the next process."""
        with self._writing:
            if self._closed:
                return
            self._closed = True
            self._log.close()
            os.close(self._lock)

    def __enter__(self) -> LocalIndex:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _recover(self) -> None:
        """Reads the log into memory."""
        for record in self._log.replay():
            self._shelves.forget(self._shelves.replay(record))
            self._seq = record.seq
        for entry in self._shelves.entries():
            self._keywords.add(entry.seq, entry.object)
        self._keywords.commit()

    def _numbers(self, count: int) -> Iterator[int]:
        """The next numbers; those of a write that fails are not used again."""
        first = self._seq + 1
        self._seq += count
        return iter(range(first, first + count))

    def _write(self, records: Sequence[Record]) -> None:
        """Once the log has it, a write is done: what follows is in memory."""
        self._require_open()
        try:
            self._log.append(records)
        except OSError as error:
            raise IndexUnavailableError(
                f"wanted to write objects in {str(self._folder)!r}, got {error}; make room or make it writable"
            ) from error

    def _show(self, words: Sequence[Written], gone: Iterable[list[int]]) -> None:
        """Lets searches see a write, and only then forgets the operations it made void."""
        void = [seq for seqs in gone for seq in seqs]
        for record in words:
            self._keywords.add(record.seq, record.object)
        self._keywords.drop(void)
        self._keywords.commit()
        self._shelves.forget(void)
        self._compact()

    def _compact(self) -> None:
        """Rewrites the log once more than half of what it tells is void; what can't be done now is tried later."""
        if self._shelves.operations < max(self._compact_at, 2 * len(self._shelves)):
            return
        self._compact_at = self._shelves.operations + self._compact_from
        with contextlib.suppress(OSError):
            self._rewrite()

    def _rewrite(self) -> None:
        living = sorted(self._shelves.entries(), key=lambda entry: entry.seq)
        self._log.rewrite([*(Written(entry.seq, entry.whole()) for entry in living), Opened(self._seq)])
        self._shelves.operations, self._compact_at = len(self._shelves), self._compact_from

    def _require_open(self) -> None:
        if self._closed:
            raise IndexUnavailableError(f"wanted the index in {str(self._folder)!r}, but it was closed; open it again")


def _may_read(found: IndexObject, tenant: str, access: frozenset[str]) -> bool:
    return found.tenant == tenant and not access.isdisjoint(found.access)


def locked(folder: Path) -> int:
    """Holds the folder for this process; the system lets go of it when the process ends, however it ends."""
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        raise IndexFolderError(
            f"wanted the index folder {str(folder)!r} for this process, but process {holder} holds it; "
            "stop that one, or give this one another folder (index.folder)"
        ) from error
    os.ftruncate(handle, 0)
    os.pwrite(handle, str(os.getpid()).encode(), 0)
    return handle
