"""Late interaction: each word of the question looks for its best match in a text, and rare words count for more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from adapters.blas import one_thread_per_product
from adapters.token_vectors import TokenVectors

__all__ = ["MaxSimRanker", "TokenEncoder"]


class TokenEncoder(Protocol):
    """What the ranker needs of a model: token vectors, remembered for texts that were seen lately."""

    @property
    def model(self) -> str: ...

    def token_vectors(self, texts: Sequence[str]) -> list[TokenVectors]: ...


class MaxSimRanker:
    """The Ranker port by MaxSim over an embedding model's own token vectors. Use it where no cross-encoder is at hand.

    >>> ranker = MaxSimRanker(SentenceTransformerEmbedder())                                 # doctest: +SKIP
    >>> ranker.score("Who wrote it?", ["Ada Lovelace wrote it.", "It rains."])               # doctest: +SKIP
    [0.61, 0.24]

    Give it the object that also embeds: what was embedded lately, the question included, then costs no forward pass.
    A score is the weighted mean of cosines, so it lies between -1 and 1. Source: ColBERT, arXiv:2004.12832, with the
    token weights of `TokenVectors`.
    """

    def __init__(self, encoder: TokenEncoder) -> None:
        one_thread_per_product()
        self._encoder = encoder

    @property
    def model(self) -> str:
        return f"maxsim-{self._encoder.model}"

    def score(self, question: str, texts: Sequence[str]) -> list[float]:
        """One score per text, comparable across calls with the same question."""
        if not texts:
            return []
        asked, *found = self._encoder.token_vectors([question, *texts])
        weights = asked.weights if asked.weights.any() else np.ones_like(asked.weights)
        matches = _best_matches(asked, found)
        scores: npt.NDArray[np.float32] = (weights @ matches) / weights.sum()
        return [float(score) for score in scores]


def _best_matches(asked: TokenVectors, found: Sequence[TokenVectors]) -> npt.NDArray[np.float32]:
    """For each token of the question (rows) and each text (columns), the cosine of the nearest token."""
    question = asked.codes.astype(np.float32) * asked.scales[:, None]
    codes = np.concatenate([text.codes for text in found]).astype(np.float32)
    scales = np.concatenate([text.scales for text in found])
    starts = np.cumsum([0, *(len(text.codes) for text in found[:-1])])
    cosines = (question @ codes.T) * scales
    best: npt.NDArray[np.float32] = np.maximum.reduceat(cosines, starts, axis=1)
    return best
