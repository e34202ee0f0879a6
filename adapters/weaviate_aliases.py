"""Which generation of a corpus serves: an alias of Weaviate, switched in one step."""

from __future__ import annotations

from types import TracebackType

from adapters.weaviate_connection import IndexSchemaError, WeaviateOptions, opened, speaking
from adapters.weaviate_names import alias_name, collection_name

__all__ = ["ServingAlias"]


class ServingAlias:
    """The alias of a corpus. Use it to let readers from outside follow what `index promote` chose.

    >>> with ServingAlias(WeaviateOptions(), "handbook") as alias:  # doctest: +SKIP
    ...     alias.point_to("g2")

    Our own searches name the collection of their generation, so a switch never mixes two of them in one answer. An
    alias works for objects only: tenants and settings need the collection's own name, which `target` says.
    Raises IndexUnavailableError, and IndexSchemaError for a generation that has no collection.
    """

    def __init__(self, options: WeaviateOptions, corpus: str) -> None:
        self._options, self._corpus = options, corpus
        self._client = opened(options)

    @property
    def name(self) -> str:
        """The alias itself."""
        return alias_name(self._corpus)

    def target(self) -> str | None:
        """The collection it names now, None where it does not exist yet."""
        with speaking("reading the alias", self._options):
            found = self._client.alias.get(alias_name=self.name)
        return None if found is None else found.collection

    def point_to(self, generation: str) -> None:
        """Creates or switches it. All tenants move at once; a canary by tenant needs a table of its own."""
        wanted = collection_name(self._corpus, generation)
        with speaking("switching the alias", self._options):
            if not self._client.collections.exists(wanted):
                raise IndexSchemaError(
                    f"wanted the collection {wanted!r} for {self.name!r}, there is none; build it first"
                )
            now = self.target()
            if now is None:
                self._client.alias.create(alias_name=self.name, target_collection=wanted)
            elif now != wanted:
                self._client.alias.update(alias_name=self.name, new_target_collection=wanted)

    def remove(self) -> None:
        """Forgets the alias; no collection is touched."""
        with speaking("removing the alias", self._options):
            self._client.alias.delete(alias_name=self.name)

    def close(self) -> None:
        """Lets go of the connection."""
        self._client.close()

    def __enter__(self) -> ServingAlias:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
