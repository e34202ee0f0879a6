"""Vectors of questions that were asked before, in memory: a repeated one is not embedded again."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from processors.ports import Embedder, Vectors

__all__ = ["KeptVectors"]

Key = tuple[str, str, bytes]


class _Held(NamedTuple):
    """A vector, and the query that was charged for it; empty where none was yet."""

    vector: Vectors
    charged_to: str


class KeptVectors:
    """The last vectors of a process by tenant, model and SHA-256 of the text. One per process; threads may share it.

    A vector depends on the text alone, so one that is kept is right for good. Tenants have entries of their own: how
    fast an answer comes must not tell what somebody else asked. `most` bounds them. `tell` hears of each text
    whether its vector was there.
    """

    def __init__(self, most: int, tell: Callable[[bool], None] = lambda _: None) -> None:
        self._most = most
        self._tell = tell
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, _Held] = OrderedDict()

    def of(self, tenant: str, embedder: Embedder, texts: Sequence[str], query_id: str) -> tuple[Vectors, list[str]]:
        """A vector per text, and those texts whose embedding is charged to this query.

        That is the same whenever it asks: a step that fails is done again, and must not find its own work for nothing.
        """
        keys = [_key(tenant, embedder, text) for text in texts]
        found = [self._get(key) for key in keys]
        missing = [place for place, held in enumerate(found) if held is None]
        self._told(found)
        if missing:
            for place, vector in zip(missing, embedder.embed([texts[place] for place in missing]), strict=True):
                found[place] = _Held(vector, "")
        known = [held for held in found if held is not None]
        charged = [text for text, held in zip(texts, known, strict=True) if held.charged_to in ("", query_id)]
        for key, held in zip(keys, known, strict=True):
            self._put(key, held._replace(charged_to=held.charged_to or query_id))
        return np.array([held.vector for held in known], np.float32), charged

    def looked_at(self, tenant: str, embedder: Embedder, text: str) -> Vectors:
        """The vector of a text for a step that charges nobody: `of` does so when it is asked next."""
        key = _key(tenant, embedder, text)
        held = self._get(key)
        if held is None:
            held = _Held(embedder.embed([text])[0], "")
            self._put(key, held)
        return held.vector

    def _get(self, key: Key) -> _Held | None:
        with self._lock:
            held = self._kept.get(key)
            if held is not None:
                self._kept.move_to_end(key)
            return held

    def _put(self, key: Key, held: _Held) -> None:
        with self._lock:
            # A copy: a row would keep the whole of what was embedded with it.
            known = self._kept.get(key)
            self._kept[key] = held._replace(vector=known.vector if known else held.vector.copy())
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def _told(self, found: Sequence[_Held | None]) -> None:
        for held in found:
            self._tell(held is not None)


def _key(tenant: str, embedder: Embedder, text: str) -> Key:
    return (tenant, embedder.model, hashlib.sha256(text.encode(errors="replace")).digest())
