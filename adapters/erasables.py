"""Stores of this room as an erasure sees them: the objects of one index generation."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from processors.ports import Index
from schemas.documents import DocumentHead

__all__ = ["IndexObjects", "Purgeable"]


@runtime_checkable
class Purgeable(Protocol):
    """An index whose files still hold what was removed until it is told to purge them."""

    def purge(self) -> None: ...


class IndexObjects:
    """The objects of a document in one index generation. Use one per generation that follows the log.

    >>> from adapters.memory import MemoryIndex
    >>> IndexObjects("g1", MemoryIndex()).held("acme", "handbook.md", None)
    frozenset()

    It looks at what the index holds, not at what a head lists, so that what a zombie left behind goes too.
    """

    def __init__(self, generation: str, store: Index) -> None:
        self._store = store
        self.name = f"index {generation}"

    def held(self, tenant: str, document: str, life: DocumentHead | None) -> frozenset[str]:
        """Ids of the document's objects, without those that a newer life lists."""
        stays = {chunk.object_id for chunk in life.chunks} if life else set()
        return frozenset(
            found.object_id
            for found in self._store.walk(tenant)
            if found.document == document and found.object_id not in stays
        )

    def erase(self, tenant: str, document: str, things: frozenset[str]) -> None:  # noqa: ARG002  # the ids say it all
        """Removes objects, from the files too."""
        if things:
            self._store.remove(tenant, sorted(things))
        if isinstance(self._store, Purgeable):
            self._store.purge()
