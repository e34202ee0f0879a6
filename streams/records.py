"""A record as it was read, an event on its way through a hop, a record about to be written. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from schemas.envelope import Event, Micros
from schemas.failures import Headers
from topics.topic import Topic

AnyTopic = Topic[Any]
Partition = tuple[str, int]
"""Topic name and partition number."""


# Records and outgoings are made once per message: a msgspec struct costs a tenth of a frozen dataclass, and the garbage
# collector need not look at it.
class Record(msgspec.Struct, frozen=True, gc=False):
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


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A record to be written. `declared` and `event` select its partition; a dead letter has neither.

    `partition` says it outright: a record that is tried later stays in its number.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    declared: AnyTopic | None = None
    event: Event | None = None
    partition: int | None = None


@dataclass
class Processed:
    """What became of a batch, record by record, so that those of a revoked partition can be dropped.

    `kept` are the records about which nothing is decided, with the time before which they need not be tried again;
    behind the first of a partition all its others are kept. `moved` went to a retry topic, to be due at that time.
    """

    outgoing: list[list[Outgoing]]
    rejected: list[int] = field(default_factory=list)
    kept: dict[int, Micros] = field(default_factory=dict)
    moved: dict[int, tuple[Partition, Micros]] = field(default_factory=dict)

    @classmethod
    def nothing(cls, records: int) -> Processed:
        return cls([[] for _ in range(records)])
