"""Every index generation that is not retired, as an erasure sees them: their heads, and their indexes as stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapters.erasables import IndexObjects
from processors.ingest.erasing import Erasable
from processors.ports import Index
from schemas.documents import DocumentHead
from streams.generations import Generations

__all__ = ["LivingHeads", "LivingStores"]


class LivingHeads:
    """The Lives port over the generations that this process holds open.

    >>> LivingHeads(generations).heads("acme", "handbook.md")  # doctest: +SKIP
    [DocumentHead(generation="g1", ...), None]
    """

    def __init__(self, generations: Generations) -> None:
        self._generations = generations

    @property
    def unreached(self) -> tuple[str, ...]:
        return self._generations.unreached()

    def heads(self, tenant: str, document: str) -> Sequence[DocumentHead | None]:
        """What each generation says of a document. Raises GenerationClosedError while they are being opened."""
        with self._generations.at_hand() as held:
            return [one.heads.get(tenant, document) for one in held]


class LivingStores:
    """The stores of an erasure: the index of each generation that is there now, then the `shared` ones."""

    def __init__(self, generations: Generations, shared: Sequence[Erasable]) -> None:
        self._generations, self._shared = generations, shared

    def __iter__(self) -> Iterator[Erasable]:
        with self._generations.at_hand() as held:
            names = [one.generation for one in held]
        yield from (_LivingIndex(self._generations, name) for name in names)
        yield from self._shared


class _LivingIndex:
    """The objects of one generation; one that is retired meanwhile holds nothing any more."""

    def __init__(self, generations: Generations, generation: str) -> None:
        self._generations, self._generation = generations, generation
        self.name = f"index {generation}"

    def held(self, tenant: str, document: str, life: DocumentHead | None) -> frozenset[str]:
        """Ids of the document's objects, without those that a newer life lists."""
        with self._generations.at_hand() as held:
            found = [self._objects(one.store) for one in held if one.generation == self._generation]
            return frozenset(name for objects in found for name in objects.held(tenant, document, life))

    def erase(self, tenant: str, document: str, things: frozenset[str]) -> None:
        """Removes objects, from the files too."""
        with self._generations.at_hand() as held:
            for one in held:
                if one.generation == self._generation:
                    self._objects(one.store).erase(tenant, document, things)

    def _objects(self, store: Index) -> IndexObjects:
        return IndexObjects(self._generation, store)
