"""A record as it was read, an event on its way through a hop, a record about to be written. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from schemas.envelope import Event
from schemas.failures import Headers
from topics.topic import Topic

AnyTopic = Topic[Any]
Partition = tuple[str, int]
"""Topic name and partition number."""


@dataclass(frozen=True, slots=True)
class Record:
    """What came from Kafka, bytes untouched, stamped with the assignment epoch in which it was read."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    epoch: int = 0

    @property
    def place(self) -> Partition:
        return (self.topic, self.partition)


@dataclass(frozen=True, slots=True)
class Inbound:
    """A decoded event and where it came from; `root` is the position in the batch of the record that caused it."""

    event: Event
    topic: str
    headers: Headers
    root: int
    origin: Record


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to be written. `declared` and `event` select its partition; a dead letter has neither."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    declared: AnyTopic | None = None
    event: Event | None = None


@dataclass
class Processed:
    """What became of a batch, record by record, so that those of a revoked partition can be dropped."""

    outgoing: list[list[Outgoing]]
    rejected: list[int] = field(default_factory=list)

    @classmethod
    def nothing(cls, records: int) -> Processed:
        return cls([[] for _ in range(records)])
