"""What the local index holds in memory: a shelf of vectors per tenant, and which object each operation wrote."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from adapters.object_log import Record, Regranted, Removed, Written
from adapters.vector_shelf import Entry, VectorShelf
from processors.ports import IndexObject, Vectors

__all__ = ["Shelves"]


class Shelves:
    """Every object by tenant, and by the operation that wrote it. Use it through LocalIndex.

    `put`, `regrant` and `drop` return the operation that was made void, which stays known until it is `forgotten`: a
    search that began before still finds its object by it. Raises ValueError for a vector of another dimension.
    """

    def __init__(self) -> None:
        self._tenants: dict[str, VectorShelf] = {}
        self._by_seq: dict[int, tuple[VectorShelf, str]] = {}
        self.dimension: int | None = None
        # Operations told by the log: once most of them are void, the log is worth rewriting.
        self.operations = 0

    def __len__(self) -> int:
        return sum(len(shelf) for shelf in self._tenants.values())

    def shelf(self, tenant: str) -> VectorShelf | None:
        return self._tenants.get(tenant)

    def entry(self, tenant: str, object_id: str) -> Entry | None:
        shelf = self._tenants.get(tenant)
        return shelf.get(object_id) if shelf else None

    def entries(self, tenant: str | None = None) -> Iterator[Entry]:
        """All entries, of one tenant or of all."""
        for name in sorted(self._tenants) if tenant is None else [tenant]:
            shelf = self._tenants.get(name)
            yield from shelf.entries() if shelf else ()

    def written_by(self, seq: int) -> Entry | None:
        """The object that an operation wrote, None where it is gone."""
        place = self._by_seq.get(seq)
        return place[0].get(place[1]) if place else None

    def forget(self, seqs: Iterable[int]) -> None:
        """Lets go of operations that no search can hit any more."""
        for seq in seqs:
            self._by_seq.pop(seq, None)

    def put(self, record: Written, vector: Vectors) -> list[int]:
        found = record.object
        shelf = self._tenants.get(found.tenant)
        if shelf is None:
            shelf = self._tenants[found.tenant] = VectorShelf(len(vector))
        held = shelf.get(found.object_id)
        shelf.put(found, vector, record.seq)
        self._by_seq[record.seq] = (shelf, found.object_id)
        self.operations += 1
        return [held.seq] if held else []

    def regrant(self, patch: Regranted) -> list[int]:
        held = self.entry(patch.tenant, patch.object_id)
        shelf = self._tenants.get(patch.tenant)
        if shelf is None or held is None:
            return []
        shelf.regrant(patch.object_id, patch.access, patch.seq)
        self._by_seq[patch.seq] = (shelf, patch.object_id)
        self.operations += 1
        return [held.seq]

    def drop(self, record: Removed) -> list[int]:
        shelf = self._tenants.get(record.tenant)
        gone = [entry for name in record.object_ids if shelf and (entry := shelf.drop(name))]
        self.operations += len(gone)
        return [entry.seq for entry in gone]

    def replay(self, record: Record) -> list[int]:
        """Takes a record of the log as it was taken when it was written."""
        if isinstance(record, Written):
            return self.put(record, self.vectors([record.object])[0])
        if isinstance(record, Regranted):
            return self.regrant(record)
        return self.drop(record) if isinstance(record, Removed) else []

    def vectors(self, objects: Sequence[IndexObject]) -> Vectors:
        """The objects' vectors as one matrix, checked; the first ones seen set the dimension."""
        dimension = self.dimension or len(objects[0].vector) // 4
        for found in objects:
            if len(found.vector) != 4 * dimension or dimension == 0:
                raise ValueError(
                    f"wanted a vector of {dimension} float32 for object {found.object_id!r}, "
                    f"got {len(found.vector)} bytes; a new embedding model needs a new generation and folder"
                )
        matrix = np.frombuffer(b"".join(found.vector for found in objects), "<f4").reshape(len(objects), -1)
        if not np.isfinite(matrix).all():
            raise ValueError("wanted vectors of finite numbers, got NaN or infinity; check the embedder")
        self.dimension = dimension
        return matrix
