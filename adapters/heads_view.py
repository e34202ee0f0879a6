"""The view of document heads in this process's memory, folded from the log of heads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from threading import Lock

from adapters.errors import HeadsClosedError
from processors.ingest.heads import newer
from schemas.documents import DocumentHead

__all__ = ["MemoryHeads"]


class MemoryHeads:
    """The port Heads for one generation. Starts closed: fold the log into it, then `open` it; threads may share it.

    >>> heads = MemoryHeads("g1")
    >>> heads.open()
    >>> heads.get("acme", "handbook.md") is None
    True

    While it is closed it takes heads and answers nothing (HeadsClosedError), so that nobody mistakes a document it has
    not heard of yet for one that does not exist. Heads of other generations are passed over.
    """

    def __init__(self, generation: str) -> None:
        self.generation = generation
        self._lock = Lock()
        self._heads: dict[str, dict[str, DocumentHead]] = {}
        self._is_open = False

    @property
    def is_open(self) -> bool:
        return self._is_open

    def open(self) -> None:
        """Answers from now on. Call it once every head that was committed by now is folded in."""
        self._is_open = True

    def close(self) -> None:
        """Answers nothing until `open`. Call it when heads may be missing: a new assignment, a rebuild."""
        self._is_open = False

    def forget(self) -> None:
        """Closes and drops every head: a rebuild from the beginning of the log."""
        with self._lock:
            self._is_open = False
            self._heads = {}

    def get(self, tenant: str, document: str) -> DocumentHead | None:
        """The head of a document, None for one that was never heard of. Raises HeadsClosedError."""
        return self.get_many(tenant, (document,)).get(document)

    def get_many(self, tenant: str, documents: Iterable[str]) -> Mapping[str, DocumentHead]:
        """The heads of several documents at one moment; unknown ones are left out. Raises HeadsClosedError."""
        with self._lock:
            known = self._answering().get(tenant, {})
            return {document: known[document] for document in documents if document in known}

    def fold(self, head: DocumentHead) -> bool:
        """Takes a head if it is newer than the one it holds; says whether it did. Works while closed."""
        if head.generation != self.generation:
            return False
        with self._lock:
            documents = self._heads.setdefault(head.tenant, {})
            if not newer(head, documents.get(head.document)):
                return False
            documents[head.document] = head
            return True

    def knows(self, tenant: str) -> bool:
        """Whether any document of a tenant was ever heard of, deleted ones included. Raises HeadsClosedError."""
        with self._lock:
            return bool(self._answering().get(tenant))

    def walk(self, tenant: str | None = None) -> Iterator[DocumentHead]:
        """Every head as of now, for audits. Raises HeadsClosedError."""
        with self._lock:
            held = [
                head
                for name, documents in self._answering().items()
                if tenant in (None, name)
                for head in documents.values()
            ]
        yield from held

    def _answering(self) -> dict[str, dict[str, DocumentHead]]:
        if not self._is_open:
            raise HeadsClosedError(
                f"wanted the heads of generation {self.generation!r}, but the view has not caught up with the log yet; "
                "try again shortly"
            )
        return self._heads
