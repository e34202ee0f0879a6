"""By when topics have forgotten what is covered or outdated now, computed from the settings that the cluster has.

A compacted topic cleans at the latest `max.compaction.lag.ms` after a tombstone was written, once its segment was
rolled, which the same setting forces at the next record. A topic that deletes by age keeps a record as long as its
segment: `retention.ms` after the newest of it, which is at most `segment.ms` younger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from processors.ingest.erasing import LogForgets
from schemas.envelope import Micros
from streams.hop import AnyTopic
from topics.answer import (
    ANSWER_CHANGED,
    ANSWER_DELTA,
    ANSWER_DRAFTED,
    ANSWER_GIVEN,
    ANSWER_RENEWED,
    PASSAGES_FOUND,
    PASSAGES_RANKED,
    PROMPT_ASSEMBLED,
    QUESTION_ANSWERED,
)
from topics.ingest import (
    ACCESS_CHANGED,
    CHUNK_CREATED,
    CHUNK_EMBEDDED,
    DOCUMENT_CHANGED,
    DOCUMENT_HEAD,
    DOCUMENT_PARSED,
    DOCUMENT_REDACTED,
    EMBEDDING_COMPUTED,
    MEMORY_KEPT,
)

__all__ = ["OWN", "QUOTING", "forgets"]

OWN: Final[tuple[AnyTopic, ...]] = (
    DOCUMENT_CHANGED,
    ACCESS_CHANGED,
    DOCUMENT_PARSED,
    DOCUMENT_REDACTED,
    CHUNK_CREATED,
    CHUNK_EMBEDDED,
    EMBEDDING_COMPUTED,
    DOCUMENT_HEAD,
    MEMORY_KEPT,
)
"""Topics that hold a document's text, or numbers made of it."""

QUOTING: Final[tuple[AnyTopic, ...]] = (
    PASSAGES_FOUND,
    PASSAGES_RANKED,
    PROMPT_ASSEMBLED,
    ANSWER_DELTA,
    ANSWER_DRAFTED,
    ANSWER_GIVEN,
    ANSWER_RENEWED,
    QUESTION_ANSWERED,
    ANSWER_CHANGED,
)
"""Topics that hold passages which a question was answered with."""

# What the broker does in its own time: it looks every 5 minutes, cleans, and removes a file a minute after.
_SLACK_MS: Final = 15 * 60_000
_NO_BOUND_MS: Final = 2**62
_MICROS: Final = 1_000


def forgets(configs: Mapping[str, Mapping[str, str]], topics: Iterable[str], now: Micros) -> list[LogForgets]:
    """When each topic has forgotten, by the settings it has; None, and the setting to change, where it never must.

    >>> config = {"cleanup.policy": "compact", "max.compaction.lag.ms": "1000", "min.compaction.lag.ms": "0"}
    >>> forgets({DOCUMENT_CHANGED.name: config}, [DOCUMENT_CHANGED.name], Micros(0))[0].by
    901000000
    """
    return [_forgets(topic, configs.get(topic, {}), now) for topic in topics]


def _forgets(topic: str, config: Mapping[str, str], now: Micros) -> LogForgets:
    if "compact" in config.get("cleanup.policy", "delete"):
        lag = _millis(config, "max.compaction.lag.ms")
        if lag is None:
            return LogForgets(topic, None, "max.compaction.lag.ms is not set")
        span = max(lag, _millis(config, "min.compaction.lag.ms") or 0)
    else:
        kept, segment = _millis(config, "retention.ms"), _millis(config, "segment.ms")
        if kept is None or segment is None:
            return LogForgets(topic, None, "retention.ms or segment.ms is not set")
        span = kept + segment
    return LogForgets(topic, Micros(now + (span + _SLACK_MS) * _MICROS))


def _millis(config: Mapping[str, str], setting: str) -> int | None:
    """A duration; None where it is missing, negative (for ever) or the largest there is."""
    text = config.get(setting, "")
    found = int(text) if text.lstrip("-").isdigit() else -1
    return found if 0 <= found < _NO_BOUND_MS else None
