"""Judges that need no model server: how far a sentence is supported by texts, by its words or by its meaning."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from processors.answer.words import coverage, stems, word_list, words
from processors.ports import Embedder

_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")
_NEGATIONS: Final = word_list("no not never neither nor none nobody nothing without cannot")

# A number that no text holds, or a negation on one side only, turns a statement into another one.
NUMBER_PENALTY: Final = 0.4
NEGATION_PENALTY: Final = 0.6


class OverlapJudge:
    """Counts how much of a sentence's content is in the texts. Use it where nothing else is at hand: fast, no model.

    >>> OverlapJudge().support("Kafka keeps a log.", ["A log is what Kafka keeps."])
    1.0
    >>> OverlapJudge().support("It has 5 partitions.", ["It has 4 partitions."])
    0.2
    """

    def support(self, sentence: str, texts: Sequence[str]) -> float:
        """The best text's share of the sentence's stems, lowered where numbers or negations differ."""
        wanted = stems(sentence)
        return max((coverage(wanted, stems(text)) * agreement(sentence, text) for text in texts), default=0.0)


class EmbeddingJudge:
    """Compares meaning as well as words. Use it with an embedder: it forgives a paraphrase, not another number."""

    # Cosine of sentence embeddings below this is chance, above it the same statement: the scale between is linear.
    UNRELATED: Final = 0.25
    SAME: Final = 0.85

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def support(self, sentence: str, texts: Sequence[str]) -> float:
        """The best text's mean of word overlap and scaled cosine, lowered where numbers or negations differ."""
        if not texts or not sentence.strip():
            return 0.0
        vectors = self._embedder.embed([sentence, *texts])
        cosines = np.clip(vectors[1:] @ vectors[0], -1.0, 1.0)
        near = np.clip((cosines - self.UNRELATED) / (self.SAME - self.UNRELATED), 0.0, 1.0)
        wanted = stems(sentence)
        scores = [
            (0.5 * coverage(wanted, stems(text)) + 0.5 * float(close)) * agreement(sentence, text)
            for text, close in zip(texts, near, strict=True)
        ]
        return max(scores)


def agreement(sentence: str, text: str) -> float:
    """1 where numbers and negations of a sentence agree with a text, less where they do not.

    >>> agreement("It is not safe.", "It is safe.")
    0.6
    """
    factor = 1.0
    if not set(_NUMBER.findall(sentence)) <= set(_NUMBER.findall(text)):
        factor *= NUMBER_PENALTY
    if _negated(sentence) != _negated(text):
        factor *= NEGATION_PENALTY
    return factor


def _negated(text: str) -> bool:
    return any(word in _NEGATIONS or word.endswith("n't") for word in words(text))
