"""Stores of this room as an erasure sees them: the objects of one index generation, answers kept, sessions."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from processors.answer.kept import AnswerCache
from processors.answer.sessions import Sessions
from processors.ingest.memories import owner_of_all
from processors.ports import Index
from schemas.documents import DocumentHead

__all__ = ["IndexObjects", "KeptAnswers", "Purgeable", "SessionTurns"]


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


class KeptAnswers:
    """The answers that were drawn from a document, in a cache of answers.

    >>> from adapters.answer_cache import MemoryAnswers
    >>> from adapters.memory import ManualClock
    >>> KeptAnswers(MemoryAnswers(ManualClock())).held("acme", "handbook.md", None)
    frozenset()
    """

    name = "answers"

    def __init__(self, cache: AnswerCache) -> None:
        self._cache = cache

    def held(self, tenant: str, document: str, life: DocumentHead | None) -> frozenset[str]:
        """Keys of the answers, without those drawn from a newer life."""
        drawn = self._cache.resting(tenant, document)
        return frozenset(key for key, version in drawn.items() if life is None or version < life.version)

    def erase(self, tenant: str, document: str, things: frozenset[str]) -> None:  # noqa: ARG002  # the keys say it all
        """Drops answers."""
        for key in things:
            self._cache.drop(key)


class SessionTurns:
    """The turns of sessions that quote a document, or all of a user's (`root_of`).

    >>> from adapters.memory import ManualClock
    >>> from adapters.session_memory import MemorySessions
    >>> SessionTurns(MemorySessions(ManualClock())).held("acme", "handbook.md", None)
    frozenset()
    """

    name = "sessions"

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def held(self, tenant: str, document: str, life: DocumentHead | None) -> frozenset[str]:
        """Names of the turns, without those that quote a newer life."""
        if owner := owner_of_all(document):
            return self._sessions.of(owner)
        quoting = self._sessions.citing(tenant, document)
        return frozenset(name for name, version in quoting.items() if life is None or version < life.version)

    def erase(self, tenant: str, document: str, things: frozenset[str]) -> None:  # noqa: ARG002  # the names say it all
        """Empties turns."""
        if things:
            self._sessions.forget(sorted(things))
