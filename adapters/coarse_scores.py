"""Vectors once more, in one byte per dimension: a first look over all of them that reads a quarter of the memory.

What it says is nearly the inner product; whoever searches takes somewhat more than he needs by it and compares those
exactly. It needs the `index` extra; without it, searches compare all vectors exactly, which is slower and finds the
same.

Not a graph (HNSW): of hashed vectors, whose neighbours are nearly equally far, one finds 63 to 86 % of the ten nearest
(usearch, 40,000 vectors, expansions of 64 to 512), and a filter by readers costs it more of them.
"""

from __future__ import annotations

import importlib.util
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from processors.ports import Vectors

__all__ = ["CoarseScores", "is_there"]

_MOST: Final = 127.0
# Vectors of nothing but zeros have no largest component to divide by.
_LEAST: Final = np.float32(1e-30)


def is_there() -> bool:
    """Whether this installation can do it."""
    return importlib.util.find_spec("numkong") is not None


class CoarseScores:
    """One byte per dimension and a scale per row, for a fixed number of rows. Use it through VectorShelf.

    >>> coarse = CoarseScores(2, 3)
    >>> coarse.take(np.arange(2), np.array([[0.6, 0.8, 0.0], [0.0, 0.0, 1.0]], np.float32))
    >>> [round(float(score), 2) for score in coarse.of(np.array([0.0, 1.0, 0.0], np.float32), 2)]
    [0.8, 0.0]
    """

    def __init__(self, rows: int, dimension: int) -> None:
        import numkong

        self._pack: Any = numkong.dots_pack
        self._dots: Any = numkong.dots_packed
        self._matrix = np.zeros((rows, dimension), np.int8)
        self._scales = np.zeros(rows, np.float32)

    def take(self, rows: npt.NDArray[np.intp], vectors: Vectors) -> None:
        """Writes these rows anew."""
        self._matrix[rows], self._scales[rows] = _coarse(vectors)

    def of(self, vector: Vectors, count: int) -> npt.NDArray[np.float32]:
        """Nearly the inner products of the first `count` rows with a vector."""
        asked, scale = _coarse(vector.reshape(1, -1))
        # Not cdist: it hands its results over one by one, in double precision, which takes as long as all the products.
        products = np.asarray(self._dots(self._matrix[:count], self._pack(asked)), np.float32)
        return products.reshape(-1) * (self._scales[:count] * scale)


def _coarse(vectors: Vectors) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Each vector in steps of its largest component's 127th part, and how large a step is."""
    steps = np.maximum(np.abs(vectors).max(axis=1), _LEAST) / np.float32(_MOST)
    return np.rint(vectors / steps[:, None]).astype(np.int8), steps.astype(np.float32)
