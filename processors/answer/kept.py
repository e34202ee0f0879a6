"""The port of the answer cache: what is kept of an answer, and for what it is given again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from schemas.documents import DocumentHead
from schemas.envelope import Version
from schemas.queries import AnswerGiven, AnswerWithheld

__all__ = ["AnswerCache", "KeptAnswer", "Used"]


class Used(NamedTuple):
    """An object that an answer was drawn from, of which version of its document."""

    document: str
    version: Version
    object_id: str


@dataclass(frozen=True)
class KeptAnswer:
    """An answer and what it stands on: what its search found and what of that was read (digests), what it was drawn
    from, of which generation.

    `vectors` are those of the searched variants and `scores` the ranker's, by object id, so that search and ranking
    (`ranked`, a digest of its order) can be done again without a model.
    """

    answer: AnswerGiven | AnswerWithheld
    generation: str
    found: str
    read: str = ""
    used: tuple[Used, ...] = ()
    vectors: tuple[bytes, ...] = ()
    scores: tuple[float, ...] = ()
    ranked: str = ""


class AnswerCache(Protocol):
    """Answers by key, and who is at work on which key. A cache, never the truth: whoever reads one checks it.

    It holds so many and each for so long; one that is away answers None and takes nothing. `forget` drops what was
    drawn from documents of which these heads are newer versions, and says how many. `resting` names what was drawn from
    a document, by the version it was, and raises CacheUnavailableError where nobody can say. `lead` is True for the
    first who asks for a key, until `leave` or `for_s`; `settled` waits until nobody leads it, or for a while.
    """

    def get(self, key: str) -> KeptAnswer | None: ...

    def put(self, tenant: str, key: str, kept: KeptAnswer) -> None: ...

    def drop(self, key: str) -> None: ...

    def forget(self, heads: Sequence[DocumentHead]) -> int: ...

    def resting(self, tenant: str, document: str) -> Mapping[str, Version]: ...

    def lead(self, key: str, query_id: str, for_s: float) -> bool: ...

    def leave(self, key: str, query_id: str) -> None: ...

    async def settled(self, key: str, within_s: float) -> None: ...
