"""The Embedder port without a model: hashed word stems, for tests and for measuring everything but a model."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from itertools import chain
from typing import Final

import numpy as np
import numpy.typing as npt

from processors.answer.words import stem
from processors.ingest.duplicates import bare_words, content_words
from processors.ports import Vectors

__all__ = ["HashingEmbedder"]

# Words of up to three letters are mostly grammar; they tell a little, not as much as a name.
_SHORT: Final = 3
_SHORT_WEIGHT: Final = 0.25
# More words than a language has in use: beyond it they are names and numbers that do not come again.
_WORDS_KEPT: Final = 100_000
# Their vectors then stay in the processor's cache.
_TEXTS_AT_ONCE: Final = 64


class HashingEmbedder:
    """The Embedder port by hashing word stems: texts that share words are near. For tests, never a silent default.

    >>> near, far = HashingEmbedder().embed(["a red valve", "red valves"]), HashingEmbedder().embed(["snow"])
    >>> bool(near[0] @ near[1] > near[0] @ far[0])
    True
    """

    def __init__(self, dimension: int = 384) -> None:
        self._dimension = dimension
        self._places = _Places(dimension)

    @property
    def model(self) -> str:
        return f"hashing-{self._dimension}"

    @property
    def dimension(self) -> int:
        return self._dimension

    def count(self, text: str) -> int:
        """Words, and marks one by one, as a model's tokens are about as many."""
        return len(bare_words(text))

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One unit vector per text; a text without a word points along the first axis."""
        vectors = np.zeros((len(texts), self._dimension), np.float32)
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            some = texts[start : start + _TEXTS_AT_ONCE]
            vectors[start : start + len(some)] = self._summed(some)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors[lengths[:, 0] == 0, 0] = 1.0
        lengths[lengths == 0] = 1.0
        unit: Vectors = vectors / lengths
        return unit

    def _summed(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """The weights of each text's words, added up at their places."""
        words = list(map(content_words, texts))
        if len(self._places) > _WORDS_KEPT:
            self._places = _Places(self._dimension)
        known = self._places
        numbers = np.fromiter(map(known.__getitem__, chain.from_iterable(words)), np.intp, sum(map(len, words)))
        places, weights = known.of(numbers)
        rows = np.repeat(np.arange(len(texts)) * self._dimension, [2 * len(found) for found in words])
        length = len(texts) * self._dimension
        flat: npt.NDArray[np.float64] = np.bincount(rows + places.ravel(), weights.ravel(), length).astype(
            np.float64, copy=False
        )
        return flat.reshape(len(texts), self._dimension)


class _Places(dict[str, int]):
    """Words by number, and where each weighs in a vector; a word is placed when it is first asked for.

    Two signed places per word: where one is shared by chance, the other still tells the words apart. Safe for threads.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self._dimension = dimension
        self._lock = threading.Lock()
        self._places = np.zeros((1_024, 2), np.intp)
        self._weights = np.zeros((1_024, 2))

    def __missing__(self, word: str) -> int:
        digest = hashlib.blake2b(stem(word).encode(errors="replace"), digest_size=16).digest()
        weight = _SHORT_WEIGHT if len(word) <= _SHORT else 1.0
        halves = (int.from_bytes(digest[:8]), int.from_bytes(digest[8:]))
        with self._lock:
            if word not in self:
                row = len(self)
                self._make_room(row)
                self._places[row] = [half % self._dimension for half in halves]
                self._weights[row] = [weight if half >> 63 else -weight for half in halves]
                # Last, so that whoever finds the number finds its places.
                self[word] = row
        return self[word]

    def of(self, numbers: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
        """Two places and two weights for each number."""
        with self._lock:
            return self._places[numbers], self._weights[numbers]

    def _make_room(self, row: int) -> None:
        if row == len(self._places):
            self._places = np.concatenate([self._places, np.zeros_like(self._places)])
            self._weights = np.concatenate([self._weights, np.zeros_like(self._weights)])
