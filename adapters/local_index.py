"""The index in a folder of this machine: BM25 by tantivy, exact vectors by numpy, both built from one log of objects.

A write goes, in this order, to the object log, to the keywords (committed with the number of the operation), to memory.
Opening reads the log and brings to the keywords what a crash kept from them, so both halves hold the same objects.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np

from adapters.errors import IndexUnavailableError
from adapters.keyword_index import KeywordIndex
from adapters.object_log import IndexFolderError, ObjectLog, Opened, Record, Regranted, Removed, Written
from adapters.vector_shelf import Entry, VectorShelf
from processors.ports import Candidate, IndexObject, Vectors

__all__ = ["IndexFolderError", "LocalIndex"]

# Below this many operations, rewriting the log saves too little to be worth the pause.
_COMPACT_FROM: Final = 2_000


class LocalIndex:
    """Everything that can be found, in one folder. Use it for up to about 50,000 chunks per tenant, in one process.

    >>> index = LocalIndex(Path(".headwater/index"))                                   # doctest: +SKIP
    >>> index.upsert(objects)                                                          # doctest: +SKIP
    >>> index.search_text("acme", "leaky valve", 10, frozenset({"*"}))[0].score        # doctest: +SKIP
    7.1

    Safe for threads: writers wait for each other, searches run beside them. What `upsert` wrote survives a kill -9.
    Raises IndexFolderError where the folder is held by another process or damaged, IndexUnavailableError where it can't
    be written (then nothing of the call was kept) or is closed, ValueError for a vector of another dimension.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._writing = threading.RLock()
        self._shelves: dict[str, VectorShelf] = {}
        # Which object an operation wrote: how a hit of the keyword search is read.
        self._by_seq: dict[int, Entry] = {}
        self._dimension: int | None = None
        self._seq = 0
        self._operations = 0
        self._closed = False
        self._lock = _locked(folder)
        try:
            self._keywords = KeywordIndex(folder / "keywords")
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
            vectors = self._vectors(latest)
            written = [Written(self._seq + number, found) for number, found in enumerate(latest, start=1)]
            self._write(written, written)
            self._seq = written[-1].seq
            gone = [self._shelve(record, vector) for record, vector in zip(written, vectors, strict=True)]
            self._settle(gone)

    def remove(self, tenant: str, object_ids: Iterable[str]) -> int:
        """Forgets objects and says how many there were; an unknown id is no error."""
        with self._writing:
            shelf = self._shelves.get(tenant)
            held = [name for name in dict.fromkeys(object_ids) if shelf and shelf.get(name)]
            if shelf is None or not held:
                return 0
            self._write([Removed(self._seq + 1, tenant, tuple(held))], [])
            self._seq += 1
            gone = [entry.seq for name in held if (entry := shelf.drop(name))]
            self._operations += len(gone)
            self._forget(gone)
            self._compact()
            return len(held)

    def existing(self, tenant: str, object_ids: Iterable[str]) -> set[str]:
        """Those of the ids that are held in full, words and vector."""
        self._require_open()
        shelf = self._shelves.get(tenant)
        return {name for name in object_ids if shelf.get(name)} if shelf else set()

    def search_text(self, tenant: str, text: str, limit: int, access: frozenset[str]) -> list[Candidate]:
        """The best objects by BM25 over title, headings and text; any text is only words."""
        self._require_open()
        if limit <= 0 or tenant not in self._shelves:
            return []
        hits = self._keywords.search(tenant, text, limit, access)
        found = ((self._by_seq.get(seq), score) for seq, score in hits)
        return [Candidate(entry.whole(), score) for entry, score in found if entry is not None][:limit]

    def search_vector(self, tenant: str, vector: Vectors, limit: int, access: frozenset[str]) -> list[Candidate]:
        """The nearest objects by inner product, exactly."""
        self._require_open()
        shelf = self._shelves.get(tenant)
        if shelf is None:
            return []
        if vector.shape != (self._dimension,):
            raise ValueError(f"wanted a vector of dimension {self._dimension}, got one of shape {vector.shape}")
        return shelf.search(vector, limit, access)

    def set_access(self, tenant: str, object_ids: Iterable[str], access: tuple[str, ...]) -> None:
        """Patches the filter hint; no vector is touched, an unknown id is no error."""
        with self._writing:
            shelf = self._shelves.get(tenant)
            if shelf is None:
                return
            entries = [entry for name in dict.fromkeys(object_ids) if (entry := shelf.get(name))]
            stale = [entry for entry in entries if entry.object.access != access]
            if not stale:
                return
            patches = [
                Regranted(self._seq + number, tenant, entry.object.object_id, access)
                for number, entry in enumerate(stale, start=1)
            ]
            words = [Written(patch.seq, _regranted(entry, access)) for patch, entry in zip(patches, stale, strict=True)]
            self._write(patches, words)
            self._seq = patches[-1].seq
            self._settle([self._regrant(shelf, patch) for patch in patches])

    def walk(self, tenant: str | None = None) -> Iterator[IndexObject]:
        """Every object, of one tenant or of all, as they are when their tenant's turn comes."""
        self._require_open()
        for name in sorted(self._shelves) if tenant is None else [tenant]:
            shelf = self._shelves.get(name)
            for entry in shelf.entries() if shelf else []:
                yield entry.whole()

    def count(self, tenant: str) -> int:
        """How many objects a tenant has."""
        return len(self._shelves.get(tenant, ()))

    def is_empty(self) -> bool:
        """Whether nothing is held: a new folder, or one that was removed and is to be rebuilt from the log."""
        return not any(len(shelf) for shelf in self._shelves.values())

    def close(self) -> None:
        """Gives the folder to the next process."""
        with self._writing:
            if self._closed:
                return
            self._closed = True
            self._keywords.close()
            self._log.close()
            os.close(self._lock)

    def __enter__(self) -> LocalIndex:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _recover(self) -> None:
        """Reads the log into memory, then brings to the keywords what they miss."""
        stale: set[int] = set()
        for record in self._log.replay():
            stale.update(self._replayed(record))
            self._seq = record.seq
        if self._keywords.committed > self._seq:
            self._keywords.clear()
        known = self._keywords.committed
        missing = [entry for seq, entry in self._by_seq.items() if seq > known]
        if not missing and not any(seq <= known for seq in stale) and known == self._seq:
            return
        for entry in missing:
            self._keywords.add(entry.seq, entry.object)
        self._keywords.drop(sorted(seq for seq in stale if seq <= known))
        self._keywords.commit(self._seq)
        self._keywords.reload()

    def _replayed(self, record: Record) -> list[int]:
        """Applies a record to memory; returns the operations it made void."""
        if isinstance(record, Written):
            old = self._shelve(record, self._vectors([record.object])[0])
            gone = [] if old is None else [old]
        elif isinstance(record, Regranted):
            shelf = self._shelves.get(record.tenant)
            old = self._regrant(shelf, record) if shelf else None
            gone = [] if old is None else [old]
        elif isinstance(record, Removed):
            shelf = self._shelves.get(record.tenant)
            dropped = (shelf.drop(name) for name in record.object_ids) if shelf else ()
            gone = [entry.seq for entry in dropped if entry]
            self._operations += len(gone)
        else:
            gone = []
        for seq in gone:
            self._by_seq.pop(seq, None)
        return gone

    def _write(self, records: Sequence[Record], words: Sequence[Written]) -> None:
        """Both halves or neither."""
        self._require_open()
        try:
            before = self._log.append(records)
        except OSError as error:
            raise IndexUnavailableError(
                f"wanted to write objects in {str(self._folder)!r}, got {error}; make room or make it writable"
            ) from error
        if not words:
            return
        try:
            for record in words:
                self._keywords.add(record.seq, record.object)
            self._keywords.commit(words[-1].seq)
        except IndexUnavailableError:
            self._log.truncate(before)
            raise

    def _shelve(self, record: Written, vector: Vectors) -> int | None:
        """Puts an object in memory; returns the operation that wrote it before, if any."""
        found = record.object
        shelf = self._shelves.get(found.tenant)
        if shelf is None:
            shelf = self._shelves[found.tenant] = VectorShelf(len(vector))
        held = shelf.get(found.object_id)
        self._by_seq[record.seq] = shelf.put(found, vector, record.seq)
        self._operations += 1
        return held.seq if held else None

    def _regrant(self, shelf: VectorShelf, patch: Regranted) -> int | None:
        held = shelf.get(patch.object_id)
        entry = shelf.regrant(patch.object_id, patch.access, patch.seq)
        if held is None or entry is None:
            return None
        self._by_seq[patch.seq] = entry
        self._operations += 1
        return held.seq

    def _settle(self, gone: Iterable[int | None]) -> None:
        """Lets searches see a write, and only then forgets the words it replaced."""
        self._keywords.reload()
        self._forget([seq for seq in gone if seq is not None])
        self._compact()

    def _forget(self, seqs: Sequence[int]) -> None:
        for seq in seqs:
            self._by_seq.pop(seq, None)
        if self._keywords.drop(seqs):
            self._keywords.commit(self._seq)
            self._keywords.reload()

    def _compact(self) -> None:
        """Rewrites the log once more than half of what it tells is void."""
        held = len(self._by_seq)
        if self._operations < max(_COMPACT_FROM, 2 * held):
            return
        try:
            self._keywords.commit(self._seq)
            living = sorted((entry for shelf in self._shelves.values() for entry in shelf.entries()), key=_seq_of)
            self._log.rewrite([*(Written(entry.seq, entry.whole()) for entry in living), Opened(self._seq)])
        except OSError as error:
            raise IndexUnavailableError(
                f"wanted to compact the log in {str(self._folder)!r}, got {error}; make room or make it writable"
            ) from error
        self._operations = held

    def _vectors(self, objects: Sequence[IndexObject]) -> Vectors:
        for found in objects:
            dimension = self._dimension or len(found.vector) // 4
            if len(found.vector) != 4 * dimension or dimension == 0:
                raise ValueError(
                    f"wanted a vector of {dimension} float32 for object {found.object_id!r}, "
                    f"got {len(found.vector)} bytes; a new embedding model needs a new generation and folder"
                )
            self._dimension = dimension
        vectors = np.frombuffer(b"".join(found.vector for found in objects), "<f4").reshape(len(objects), -1)
        if not np.isfinite(vectors).all():
            raise ValueError("wanted vectors of finite numbers, got NaN or infinity; check the embedder")
        return vectors

    def _require_open(self) -> None:
        if self._closed:
            raise IndexUnavailableError(f"wanted the index in {str(self._folder)!r}, but it was closed; open it again")


def _seq_of(entry: Entry) -> int:
    return entry.seq


def _regranted(entry: Entry, access: tuple[str, ...]) -> IndexObject:
    whole = entry.whole()
    return IndexObject(**{**whole.__dict__, "access": access})


def _locked(folder: Path) -> int:
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
