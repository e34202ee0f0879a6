"""Extracting: which sentences of the sources answer a question, and how sure that is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from processors.answer.sentences import sentences
from processors.answer.words import coverage, rarity, stems
from processors.ports import Ranker
from schemas.queries import Sentence, Source

MOST_SENTENCES: Final = 3


@dataclass(frozen=True)
class Evidence:
    """The sentences to quote, in reading order, and the confidence that they answer the question (0 to 1)."""

    sentences: tuple[Sentence, ...]
    confidence: float


@dataclass(frozen=True)
class _Candidate:
    source: Source
    order: int
    text: str
    score: float


def extract(question: str, sources: Sequence[Source], ranker: Ranker) -> Evidence:
    """The one to three sentences that answer a question best; none where the sources hold nothing near it."""
    found = [(source, span.text) for source in sources for span in sentences(source.passage.text)]
    if not found:
        return Evidence((), 0.0)
    weight = rarity(text for _, text in found)
    wanted = stems(question)
    scores = ranker.score(question, [question, *(text for _, text in found)])
    own = scores[0] or 1.0
    candidates = [
        _Candidate(source, order, text, 0.5 * score / own + 0.5 * coverage(wanted, stems(text), weight))
        for order, ((source, text), score) in enumerate(zip(found, scores[1:], strict=True))
    ]
    best = sorted(candidates, key=lambda each: -each.score)[:MOST_SENTENCES]
    kept = [each for each in best if each.score >= 0.85 * best[0].score]
    kept.sort(key=lambda each: each.order)
    quoted = tuple(
        Sentence(text=" ".join(each.text.split()), cites=(each.source.number,), support=each.score) for each in kept
    )
    return Evidence(quoted, max(0.0, min(1.0, best[0].score)))


_NUMBER: Final = re.compile(r"\d")
