"""The view of document heads in this process's memory, folded from the log of heads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from threading import Lock

from adapters.errors import HeadsClosedError
from processors.ingest.heads import newer
from processors.ports import Stretch
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
        self._applied: dict[int, int] = {}
        self._log = ""
        self._life = 0
        self._is_open = False

    @property
    def is_open(self) -> bool:
        return self._is_open

    def open(self) -> None:
        """Answers from now on. Call it once every head that was committed by now is folded in."""
        self._is_open = True

    def close(self) -> None:
        """Answers nothing until `open`. Call it when heads may be missing: a new assignment, a rebuild."""
        with self._lock:
            self._is_open = False
            self._life += 1

    def forget(self) -> None:
        """Closes and drops every head: a rebuild from the beginning of the log."""
        with self._lock:
            self._forget()

    def applied(self) -> Mapping[int, int]:
        """By partition, the offset below which everything of the log is folded."""
        with self._lock:
            return dict(self._applied)

    def apply(self, stretch: Stretch, heads: Sequence[DocumentHead]) -> int:
        """Folds a stretch of the log, unless something before it is missing; returns how far its partition is."""
        with self._lock:
            at = self._applied.get(stretch.partition, 0)
            if stretch.start > at:
                return at
            for head in heads:
                self._take(head)
            self._applied[stretch.partition] = max(at, stretch.end)
            return self._applied[stretch.partition]

    def mark(self, log: str = "") -> str:
        """The view's present life; of another log than before it begins a new one."""
        with self._lock:
            if log and self._log and log != self._log:
                self._forget()
            self._log = log or self._log
            return str(self._life)

    def prove(self, mark: str, ends: Mapping[int, int]) -> bool:
        """Opens the view if it lives the marked life still and holds the log up to `ends`; says whether it did."""
        with self._lock:
            whole = all(self._applied.get(partition, 0) >= end for partition, end in ends.items())
            if mark != str(self._life) or not whole:
                return False
            self._is_open = True
            return True

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
        with self._lock:
            return self._take(head)

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

    def _take(self, head: DocumentHead) -> bool:
        if head.generation != self.generation:
            return False
        documents = self._heads.setdefault(head.tenant, {})
        if not newer(head, documents.get(head.document)):
            return False
        documents[head.document] = head
        return True

    def _forget(self) -> None:
        self._is_open = False
        self._life += 1
        self._heads, self._applied = {}, {}

    def _answering(self) -> dict[str, dict[str, DocumentHead]]:
        if not self._is_open:
            raise HeadsClosedError(
                f"wanted the heads of generation {self.generation!r}, but the view has not caught up with the log yet; "
                "try again shortly"
            )
        return self._heads
