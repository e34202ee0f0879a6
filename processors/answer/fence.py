"""The read-time fence: what a search found counts only if its document's current head says so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from processors.ingest.memories import READER, owner_in, owner_of, reader_of
from processors.ports import IndexObject
from schemas.documents import DocumentHead, Place
from schemas.queries import Query

__all__ = ["Fence", "may_read", "not_principals", "note_readers", "principals", "readers"]

_PRINCIPAL: Final = re.compile(r"\*|(?:group|user):\S.{0,254}")


def not_principals(access: Iterable[str]) -> list[str]:
    """What of an access list nobody could ever ask as. Use it where people write such lists.

    >>> not_principals(["*", "group:ops", "user:ada", "ops", "group:"])
    ['ops', 'group:']
    """
    return [name for name in access if not (_PRINCIPAL.fullmatch(name) and name.isprintable())]


def principals(query: Query) -> frozenset[str]:
    """Everyone as whom the asker may read: everybody, each of the groups, the user.

    >>> sorted(principals(Query(query_id="q", question="?", user="ada", groups=("group:ops",))))
    ['*', 'group:ops', 'user:ada']
    """
    own = {f"user:{query.user}"} if query.user else set()
    # Nobody reads notes by saying that he may.
    groups = {group for group in query.groups if not group.startswith(READER)}
    return frozenset({"*", *groups, *own})


def note_readers(tenant: str, query: Query) -> frozenset[str]:
    """As whom the asker reads notes: as nobody where the question does not ask for its memory.

    >>> note_readers("acme", Query(query_id="q", question="?", user="ada"))
    frozenset()
    """
    asks = query.memory and query.user
    return frozenset({reader_of(owner_of(tenant, query.user))}) if asks else frozenset()


def readers(tenant: str, query: Query) -> frozenset[str]:
    """Everyone as whom anything may be read for a question: documents, and the asker's notes where it asks for them."""
    return principals(query) | note_readers(tenant, query)


def may_read(head: DocumentHead, asker: frozenset[str]) -> bool:
    """Whether a document is there for an asker.

    A note is for its owner alone, whoever its access list admits; and who reads notes reads nothing else as that.
    """
    admitted = asker.intersection(head.access)
    if head.gone or not admitted:
        return False
    if owner := owner_in(head.document):
        return reader_of(owner) in admitted
    return any(not one.startswith(READER) for one in admitted)


class Fence:
    """The heads as they are now and who asks. Use one per search: it decides for all of its candidates."""

    def __init__(self, heads: Mapping[str, DocumentHead], asker: frozenset[str]) -> None:
        self._readable = {document: head for document, head in heads.items() if may_read(head, asker)}
        # Only of heads that list a candidate elsewhere than it says: laying out all would take longer than searching.
        self._laid_out: dict[str, dict[str, int]] = {}

    def admits(self, found: IndexObject) -> bool:
        """Whether its document's head lists the object and lets the asker read it. An unknown head means no."""
        return self._ordinal(found) is not None

    def standing(self, found: IndexObject) -> tuple[int, Place | None]:
        """How-manieth chunk of its document an admitted object is, and where it stands; KeyError for any other."""
        ordinal = self._ordinal(found)
        if ordinal is None:
            raise KeyError(found.object_id)
        return ordinal, self._readable[found.document].chunks[ordinal].place

    def superseded(self, found: IndexObject) -> bool:
        """Whether a newer version took the object's place: what that says, if the asker may read it, is to be found."""
        head = self._readable.get(found.document)
        return head is not None and not self.admits(found) and head.version > found.version

    def _ordinal(self, found: IndexObject) -> int | None:
        """Where the head lists the object: mostly where its chunk stood when it was written."""
        head = self._readable.get(found.document)
        if head is None:
            return None
        chunks, written = head.chunks, found.chunk.ordinal
        if 0 <= written < len(chunks) and chunks[written].object_id == found.object_id:
            return written
        listed = self._laid_out.get(found.document)
        if listed is None:
            listed = {chunk.object_id: ordinal for ordinal, chunk in enumerate(chunks)}
            self._laid_out[found.document] = listed
        return listed.get(found.object_id)
