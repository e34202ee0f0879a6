"""A record that could not be processed, as it lies on a dead-letter topic: its bytes untouched, the reason beside."""

from __future__ import annotations

from typing import Final

from schemas.envelope import Value

REASON: Final = "dlq.reason"
EXCEPTION: Final = "dlq.exception"
SOURCE_TOPIC: Final = "dlq.source.topic"
SOURCE_PARTITION: Final = "dlq.source.partition"
SOURCE_OFFSET: Final = "dlq.source.offset"
ATTEMPT: Final = "dlq.attempt"
STEP: Final = "dlq.step"

Headers = tuple[tuple[str, bytes], ...]


class DeadLetter(Value, frozen=True, kw_only=True):
    """The original record and why it was given up. `headers` are the original ones only.

    >>> letter = DeadLetter(key=b"k", value=b"v", headers=(), reason="no schema", exception="", step="parse",
    ...                     topic="t", partition=0, offset=4, attempts=1)
    >>> dict(letter.reason_headers())["dlq.source.offset"]
    b'4'
    """

    key: bytes | None
    value: bytes | None
    headers: Headers
    reason: str
    exception: str
    step: str
    topic: str
    partition: int
    offset: int
    attempts: int

    def reason_headers(self) -> Headers:
        """The `dlq.*` headers that stand beside the original ones."""
        fields = {
            REASON: self.reason,
            EXCEPTION: self.exception,
            STEP: self.step,
            SOURCE_TOPIC: self.topic,
            SOURCE_PARTITION: str(self.partition),
            SOURCE_OFFSET: str(self.offset),
            ATTEMPT: str(self.attempts),
        }
        return tuple((name, value.encode()) for name, value in fields.items())
