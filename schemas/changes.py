"""A source's own record, and Debezium's envelope in our words."""

from __future__ import annotations

from schemas.envelope import Event


class SourceRecord(Event, frozen=True, kw_only=True):
    """A record of another system's topic, its bytes untouched; `value` is None for a tombstone."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes | None = None
