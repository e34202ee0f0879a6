"""The cache of answers as this deployment has it: which it is, what names the pipeline, what is counted."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

from prometheus_client import Counter

from adapters.answer_cache import MemoryAnswers
from adapters.question_vectors import KeptVectors
from processors.answer.asked import NOT_KEPT, QuestionVectors
from processors.answer.caching import Answers, CacheLimits, Result
from processors.answer.kept import AnswerCache
from schemas.documents import DocumentHead
from streams.pins import pins_of

if TYPE_CHECKING:
    from streams.parts import Parts
    from streams.settings import Settings

__all__ = ["answers_of", "cache_of", "forget_swapped", "pipeline_of", "vectors_of"]

REQUESTS: Final = Counter(
    "headwater_cache_requests",
    "Questions that the caches of answers and of vectors were asked, by how it went.",
    ("layer", "result"),
)
SWAPPED: Final = Counter(
    "headwater_cache_swapped", "Answers dropped because a document they were drawn from changed.", ("layer",)
)
_LAYER: Final = "answer"
_VECTORS: Final = "vector"
# How long an answer may take and what opens the server does not decide it; whatever else the section says does.
_OPENS: Final = {"api_key", "salt_secret", "timeout_s", "prompts"}
# Which model writes, and what is written where none does; not how hard it is tried.
_WRITES: Final = {"small_url", "small_model", "small_chars", "small_sources", "small_bulk", "fallback"}


def answers_of(parts: Parts) -> Answers:
    """The port of a process: without a cache where the settings name none."""
    chosen = parts.settings.cache
    limits = CacheLimits(chosen.wait_s, chosen.waiting, chosen.nearness)
    return Answers(parts.port("answer_cache"), pipeline_of(parts.settings, parts), limits, _count, parts.port("load"))


def pipeline_of(settings: Settings, parts: Parts) -> str:
    """A digest of all that decides an answer beside the question, the asker and the documents."""
    told = {
        "release": [parts.version, settings.git_sha],
        "pipeline": pins_of(settings).pipeline,
        # What that name leaves out: which server answers, how long it may take, what tokens are made with.
        "generate": settings.generate.model_dump(mode="json", exclude=_OPENS),
        "models": settings.models.model_dump(mode="json", include=_WRITES),
        "verify": settings.verify.model_dump(mode="json"),
        "outlet": parts.port("outlet").fingerprint(),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def forget_swapped(answers: Answers, heads: list[DocumentHead]) -> None:
    """Drops what a stretch of the log of heads swapped; for the follower of that log."""
    SWAPPED.labels(_LAYER).inc(answers.forget(heads))


def cache_of(parts: Parts) -> AnswerCache | None:
    """The cache that the settings name, None where they name none."""
    chosen = parts.settings.cache
    if chosen.kind == "none":
        return None
    if chosen.kind == "memory":
        return MemoryAnswers(parts.port("clock"), chosen.entries, chosen.ttl_s)
    from adapters.redis_answers import KeepLimits, RedisAnswers
    from adapters.redis_heads import RedisOptions

    options = RedisOptions(parts.settings.heads.url, chosen.timeout_s)
    limits = KeepLimits(chosen.entries, chosen.ttl_s)
    return RedisAnswers(options, parts.settings.index.corpus, limits, parts.port("clock"))


def vectors_of(settings: Settings) -> QuestionVectors:
    """The vectors of questions that a process keeps, if it is to keep any."""
    most = settings.cache.questions
    return KeptVectors(most, lambda held: _count_vector("hit" if held else "miss")) if most else NOT_KEPT


def _count_vector(result: str) -> None:
    REQUESTS.labels(_VECTORS, result).inc()


def _count(result: Result) -> None:
    REQUESTS.labels(_LAYER, result).inc()
