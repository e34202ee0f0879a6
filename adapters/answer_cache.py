"""Answers kept in this process's memory, and who is at work on which question."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Final

from processors.answer.kept import KeptAnswer
from processors.ports import Clock
from schemas.documents import DocumentHead
from schemas.envelope import Version

__all__ = ["LOOK_S", "MemoryAnswers"]

LOOK_S: Final = 0.01
"""How often somebody who waits looks: a small part of what an answer takes."""

_Place = tuple[str, str]


class MemoryAnswers:
    """The port AnswerCache for one process: the `most` answers used last, each for `ttl_s`; threads may share it.

    >>> from adapters.memory import ManualClock
    >>> answers = MemoryAnswers(ManualClock())
    >>> answers.lead("key", "q1", 10.0), answers.lead("key", "q2", 10.0), answers.get("key")
    (True, False, None)
    """

    def __init__(self, clock: Clock, most: int = 5_000, ttl_s: float = 3_600.0) -> None:
        self._clock = clock
        self._most = most
        self._ttl_s = ttl_s
        self._held: OrderedDict[str, tuple[str, KeptAnswer, float]] = OrderedDict()
        self._resting: defaultdict[_Place, set[str]] = defaultdict(set)
        self._leading: dict[str, tuple[str, float]] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: str) -> KeptAnswer | None:
        """The answer of a key; it was used last then."""
        with self._lock:
            held = self._held.get(key)
            if held is None:
                return None
            _, kept, until = held
            if until <= self._clock.monotonic():
                self._drop(key)
                return None
            self._held.move_to_end(key)
            return kept

    def put(self, tenant: str, key: str, kept: KeptAnswer) -> None:
        """Keeps an answer; where there is no room, the one not used for longest goes."""
        with self._lock:
            self._drop(key)
            self._held[key] = (tenant, kept, self._clock.monotonic() + self._ttl_s)
            for place in _places(tenant, kept):
                self._resting[place].add(key)
            while len(self._held) > self._most:
                self._drop(next(iter(self._held)))

    def drop(self, key: str) -> None:
        """Forgets an answer; one that is not held is no error."""
        with self._lock:
            self._drop(key)

    def forget(self, heads: Sequence[DocumentHead]) -> int:
        """Forgets what was drawn from an earlier version of any of these documents."""
        with self._lock:
            return sum(self._swapped(head) for head in heads)

    def resting(self, tenant: str, document: str) -> Mapping[str, Version]:
        """By key, the version of a document that each answer was drawn from."""
        with self._lock:
            return {key: self._version(key, document) for key in self._resting.get((tenant, document), ())}

    def lead(self, key: str, query_id: str, for_s: float) -> bool:
        """Whether this query is the one that answers the key now; again, where it is already."""
        now = self._clock.monotonic()
        with self._lock:
            if self._is_led(key) and self._leading[key][0] != query_id:
                return False
            self._leading[key] = (query_id, now + for_s)
            if len(self._leading) > self._most:
                self._leading = {name: led for name, led in self._leading.items() if led[1] > now}
            return True

    def leave(self, key: str, query_id: str) -> None:
        """Lets those go on who wait for this query; another that leads stays."""
        with self._lock:
            if self._leading.get(key, ("",))[0] == query_id:
                del self._leading[key]

    async def settled(self, key: str, within_s: float) -> None:
        """Waits until nobody leads the key, for `within_s` at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._is_led(key):
                    await asyncio.sleep(LOOK_S)

    def _is_led(self, key: str) -> bool:
        led = self._leading.get(key)
        return led is not None and led[1] > self._clock.monotonic()

    def _swapped(self, head: DocumentHead) -> int:
        drawn = self._resting.get((head.tenant, head.document), ())
        old = [key for key in drawn if self._version(key, head.document) < head.version]
        for key in old:
            self._drop(key)
        return len(old)

    def _version(self, key: str, document: str) -> Version:
        return min(used.version for used in self._held[key][1].used if used.document == document)

    def _drop(self, key: str) -> None:
        held = self._held.pop(key, None)
        if held is None:
            return
        for place in _places(*held[:2]):
            self._resting[place].discard(key)
            if not self._resting[place]:
                del self._resting[place]


def _places(tenant: str, kept: KeptAnswer) -> set[_Place]:
    return {(tenant, used.document) for used in kept.used}
