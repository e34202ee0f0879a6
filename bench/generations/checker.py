"""Judges a run from what lies on the topics alone: which questions failed, mixed two generations, or were stale.

A passage's own word for its generation is not believed. Its object must be one that a head of that generation listed,
and its vector score must be what that generation's model makes of question and passage.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from adapters.memory import HashingEmbedder
from processors.ingest.passages import passage_text
from processors.ports import Vectors
from schemas.documents import DocumentHead
from schemas.envelope import Version
from schemas.queries import AnswerGiven, AnswerWithheld, Passage, PassagesFound
from streams.reading import Reading

SCORE_TOLERANCE: Final = 1e-3
# From the moment a head stands on the log until the view of the process that answers has it, and its transaction ends.
VIEW_LAG_S: Final = 1.0
MICROS: Final = 1_000_000

Embedding = Callable[[str], Vectors]


@dataclass(frozen=True)
class Asked:
    """A question of the run: when it was sent, about which document, and until when an answer counts."""

    id: str
    at: float
    document: str


@dataclass
class Log:
    """What lay on the topics after the run; times are those of the records, in seconds."""

    asked: Sequence[Asked]
    answers: dict[str, tuple[float, AnswerGiven | AnswerWithheld]] = field(default_factory=dict)
    found: dict[str, PassagesFound] = field(default_factory=dict)
    listed: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    versions: dict[tuple[str, str], list[tuple[float, Version]]] = field(default_factory=lambda: defaultdict(list))

    def take(self, readings: Iterable[Reading]) -> None:
        """Adds records; of several answers to one question the first counts."""
        for reading in readings:
            event, at = reading.event, reading.at / MICROS
            if isinstance(event, AnswerGiven | AnswerWithheld):
                self.answers.setdefault(event.answer_id, (at, event))
            elif isinstance(event, PassagesFound):
                self.found.setdefault(event.query.query_id, event)
            elif isinstance(event, DocumentHead):
                self.listed[event.generation] |= {chunk.object_id for chunk in event.chunks}
                self.versions[event.generation, event.document].append((at, event.version))


@dataclass(frozen=True)
class Verdict:
    """Ids of the questions in which something is wrong, by what is wrong."""

    failed: tuple[str, ...]
    mixed: tuple[str, ...]
    mislabelled: tuple[str, ...]
    stale: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        return {name: len(getattr(self, name)) for name in ("failed", "mixed", "mislabelled", "stale")}


def judge(log: Log, dimensions: Mapping[str, int]) -> Verdict:
    """The verdict over every question; `dimensions` says how wide the vectors of each generation are."""
    embedders = {generation: _embedding(HashingEmbedder(width)) for generation, width in dimensions.items()}
    given = {one.id: log.answers[one.id][1] for one in log.asked if one.id in log.answers}
    return Verdict(
        failed=tuple(one.id for one in log.asked if not isinstance(given.get(one.id), AnswerGiven)),
        mixed=tuple(one.id for one in log.asked if _mixed(given.get(one.id), log.found.get(one.id))),
        mislabelled=tuple(one.id for one in log.asked if _mislabelled(log, log.found.get(one.id), embedders)),
        stale=tuple(one.id for one in log.asked if _stale(log, one, given.get(one.id))),
    )


def _embedding(embedder: HashingEmbedder) -> Embedding:
    """The vector of a text; the same few texts come thousands of times."""
    return lru_cache(maxsize=None)(lambda text: embedder.embed([text])[0])


def _mixed(answer: AnswerGiven | AnswerWithheld | None, found: PassagesFound | None) -> bool:
    """Whether more than one generation had a part in it."""
    parts = {passage.generation for passage in found.passages} if found else set()
    if isinstance(answer, AnswerGiven):
        parts.add(answer.generation)
    return len(parts) > 1


def _mislabelled(log: Log, found: PassagesFound | None, embedders: Mapping[str, Embedding]) -> bool:
    """Whether a passage can't be of the generation that it says."""
    return found is not None and any(not _belongs(log, passage, found, embedders) for passage in found.passages)


def _belongs(log: Log, passage: Passage, found: PassagesFound, embedders: Mapping[str, Embedding]) -> bool:
    embedding = embedders.get(passage.generation)
    if embedding is None or passage.object_id not in log.listed[passage.generation]:
        return False
    if (score := passage.scores.get("dense")) is None:
        return True
    told = passage_text(passage.title, passage.heading_path, passage.text)
    is_like = embedding(told)
    return any(math.isclose(float(embedding(one) @ is_like), score, abs_tol=SCORE_TOLERANCE) for one in found.plan)


def _stale(log: Log, asked: Asked, answer: AnswerGiven | AnswerWithheld | None) -> bool:
    """Whether it cites a version that its generation knew to be superseded well before the question was asked."""
    if not isinstance(answer, AnswerGiven):
        return False
    for citation in answer.citations:
        known = log.versions[answer.generation, citation.document]
        before = [version for at, version in known if at < asked.at - VIEW_LAG_S]
        if before and citation.version < max(before):
            return True
    return False


def cut_over(log: Log, promoted_at: float, old: str) -> float:
    """Seconds from a promotion's record to the last answer that the old generation still gave; 0 where none did."""
    late = [
        at - promoted_at
        for at, answer in log.answers.values()
        if isinstance(answer, AnswerGiven) and answer.generation == old and at > promoted_at
    ]
    return max(late, default=0.0)
