"""The doors of an erasure: what may hold something of a document, what its log says, by when the logs have forgotten.

A store that is to forget documents implements `Erasable` and joins the list in `streams/parts.py` (`_erasables`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.documents import DocumentHead
from schemas.envelope import Micros, Version

__all__ = ["Erasable", "ErasureLog", "Lives", "LogForgets", "Standing"]


class Erasable(Protocol):
    """A store that may hold something of a document: an index, a claim store, a cache, a compacted topic.

    `held` names what it holds of a document now, read from the store itself; what other documents share is left out,
    and so is what belongs to `life`, the head of a life that began after the delete. `erase` removes things by those
    names; a name that is not there is no error. Both raise the adapter's UnavailableError where the store is away.
    """

    @property
    def name(self) -> str: ...

    def held(self, tenant: str, document: str, life: DocumentHead | None) -> frozenset[str]: ...

    def erase(self, tenant: str, document: str, things: frozenset[str]) -> None: ...


@dataclass(frozen=True)
class Standing:
    """What the log of changes says of a document: its newest version, whether its last word is a document, and the
    version of its last delete."""

    newest: Version | None = None
    alive: bool = False
    deleted: Version | None = None


@dataclass(frozen=True)
class LogForgets:
    """By when a topic holds nothing any more of what is covered now; `by` is None where its settings give no bound."""

    topic: str
    by: Micros | None
    setting: str = ""


class Lives(Protocol):
    """A document in every index generation that is not retired.

    `heads` has one entry per generation that this process holds open, None where it never heard of the document, and
    raises the adapter's UnavailableError before all of them were tried. `unreached` names those that are not open here.
    """

    def heads(self, tenant: str, document: str) -> Sequence[DocumentHead | None]: ...

    @property
    def unreached(self) -> tuple[str, ...]: ...


class ErasureLog(Protocol):
    """The cluster as an erasure needs it: where a document stands, and by when its topics forget."""

    def standing(self, tenant: str, document: str) -> Standing: ...

    def forgets(self, letters: bool) -> list[LogForgets]: ...

    def answers_forget(self) -> list[LogForgets]: ...
