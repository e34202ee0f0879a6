"""The fakes: one for each port, in memory, deterministic, no packages. They pass the suites that the real parts pass.

Use them in tests, in examples and for a first run in a second. Their answers are poor: they count words.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from math import log
from typing import Final

import numpy as np

from adapters.errors import ClaimMissingError
from adapters.hashing_embedder import HashingEmbedder
from adapters.judges import OverlapJudge
from processors.answer.words import stem
from processors.ports import Candidate, IndexObject, Vectors
from schemas.envelope import Micros

__all__ = [
    "CountingIds",
    "DictEmbeddingCache",
    "HashingEmbedder",
    "ManualClock",
    "MemoryClaims",
    "MemoryIndex",
    "OverlapJudge",
]

_WORD: Final = re.compile(r"\w+")
# Some day in October 2025; what matters is that it is not 0, which means that no time was given.
_START: Final = Micros(1_760_000_000_000_000)


class MemoryIndex:
    """The Index port in a dict; every search looks at every object of the tenant. For some thousand chunks."""

    def __init__(self) -> None:
        self._tenants: dict[str, dict[str, IndexObject]] = {}
        self._lock = threading.Lock()

    def upsert(self, objects: Sequence[IndexObject]) -> None:
        """Keeps the objects, each once."""
        with self._lock:
            for found in objects:
                self._tenants.setdefault(found.tenant, {})[found.object_id] = found

    def remove(self, tenant: str, object_ids: Iterable[str]) -> int:
        """Forgets objects and says how many there were."""
        with self._lock:
            held = self._tenants.get(tenant, {})
            return sum(held.pop(name, None) is not None for name in object_ids)

    def existing(self, tenant: str, object_ids: Iterable[str]) -> set[str]:
        """Those of the ids that are held."""
        with self._lock:
            return self._tenants.get(tenant, {}).keys() & set(object_ids)

    def search_text(self, tenant: str, text: str, limit: int, access: frozenset[str]) -> list[Candidate]:
        """The objects with the rarest of the words, by summed inverse document frequency over the root of length."""
        words = {found.object_id: _stems(_told(found)) for found in self.walk(tenant)}
        spread = Counter(stem for stems in words.values() for stem in set(stems))
        asked = set(_stems(text)) & spread.keys()

        def score(found: IndexObject) -> float:
            counts = Counter(words.get(found.object_id) or _stems(_told(found)))
            told = sum(log(1 + len(words) / spread[stem]) * counts[stem] / (counts[stem] + 1) for stem in asked)
            return told / (1 + log(1 + counts.total()))

        return [found for found in self._best(tenant, score, limit, access) if found.score > 0]

    def search_vector(self, tenant: str, vector: Vectors, limit: int, access: frozenset[str]) -> list[Candidate]:
        """The nearest objects by inner product."""
        return self._best(tenant, lambda found: float(np.frombuffer(found.vector, "<f4") @ vector), limit, access)

    def set_access(self, tenant: str, object_ids: Iterable[str], access: tuple[str, ...]) -> None:
        """Patches the filter hint."""
        with self._lock:
            held = self._tenants.get(tenant, {})
            for name in held.keys() & set(object_ids):
                held[name] = replace(held[name], access=access)

    def walk(self, tenant: str | None = None) -> Iterator[IndexObject]:
        """Every object, as they are when it begins."""
        with self._lock:
            names = sorted(self._tenants) if tenant is None else [tenant]
            found = [held for name in names for held in self._tenants.get(name, {}).values()]
        yield from found

    def _best(
        self, tenant: str, score: Callable[[IndexObject], float], limit: int, access: frozenset[str]
    ) -> list[Candidate]:
        seen = [found for found in self.walk(tenant) if not access.isdisjoint(found.access)]
        scored = [Candidate(replace(found, vector=b""), score(found)) for found in seen]
        return sorted(scored, key=lambda candidate: -candidate.score)[: max(0, limit)]


class MemoryClaims:
    """The Claims port in a dict."""

    def __init__(self) -> None:
        self._bodies: dict[str, bytes] = {}

    def put(self, body: bytes) -> str:
        """Keeps the bytes and returns their URI."""
        uri = f"memory:{hashlib.sha256(body).hexdigest()}"
        self._bodies[uri] = body
        return uri

    def get(self, uri: str, sha256: str) -> bytes:
        """The bytes under a URI, proven by their hash. Raises ClaimMissingError."""
        body = self._bodies.get(uri)
        if body is None or hashlib.sha256(body).hexdigest() != sha256:
            raise ClaimMissingError(f"wanted the body {uri!r} with hash {sha256!r}, found none; publish it again")
        return body

    def holds(self, uri: str) -> bool:
        """Whether a body is there."""
        return uri in self._bodies

    def drop(self, uri: str) -> None:
        """Forgets a body."""
        self._bodies.pop(uri, None)


class DictEmbeddingCache:
    """The EmbeddingCache port in memory: the vectors used last, up to a number of them. Safe for threads."""

    def __init__(self, max_entries: int = 200_000) -> None:
        self._room = max_entries
        self._held: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, model: str, text_hash: str) -> bytes | None:
        """The vector, None where it is not held."""
        with self._lock:
            vector = self._held.get((model, text_hash))
            if vector is not None:
                self._held.move_to_end((model, text_hash))
            return vector

    def put(self, model: str, text_hash: str, vector: bytes) -> None:
        """Keeps a vector, and drops the one that was not used for longest where there is no room."""
        with self._lock:
            self._held[(model, text_hash)] = vector
            self._held.move_to_end((model, text_hash))
            while len(self._held) > self._room:
                self._held.popitem(last=False)

    def drop(self, model: str, text_hash: str) -> None:
        """Forgets a vector."""
        with self._lock:
            self._held.pop((model, text_hash), None)


class ManualClock:
    """The Clock port, moved by hand: both clocks advance together.

    >>> clock = ManualClock()
    >>> clock.advance(1.5)
    >>> clock.monotonic(), clock.now() - ManualClock().now()
    (1.5, 1500000)
    """

    def __init__(self, now: Micros = _START) -> None:
        self._now = now
        self._elapsed = 0.0

    def now(self) -> Micros:
        return self._now

    def monotonic(self) -> float:
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Lets time pass."""
        self._elapsed += seconds
        self._now = Micros(self._now + round(seconds * 1_000_000))


class CountingIds:
    """The Ids port, counting from 1, in the form of a UUIDv7: they sort by the order in which they were made.

    >>> CountingIds().new()
    '00000000-0001-7000-8000-000000000000'
    """

    def __init__(self) -> None:
        self._made = 0
        self._lock = threading.Lock()

    def new(self) -> str:
        with self._lock:
            self._made += 1
            digits = f"{self._made:012x}"
        return f"{digits[:8]}-{digits[8:]}-7000-8000-000000000000"


def _told(found: IndexObject) -> str:
    return "\n".join((found.title, *found.chunk.heading_path, found.chunk.text))


def _stems(text: str) -> list[str]:
    return [_stem(word) for word in _WORD.findall(text.lower())]


_stem: Final = lru_cache(maxsize=100_000)(stem)
