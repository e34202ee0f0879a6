"""A topic: its name, what may travel on it, what keys it, how long it keeps. A value; it reads and writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec

from schemas.envelope import Event

E = TypeVar("E", bound=Event)
Cleanup = Literal["delete", "compact"]


@dataclass(frozen=True)
class Topic(Generic[E]):
    """Where events of a closed union travel. Use it once per topic, as a constant in `topics/<journey>.py`.

    >>> from topics.ingest import CHUNK_CREATED
    >>> CHUNK_CREATED.name, CHUNK_CREATED.dead_letters
    ('rag.chunk.created.v1', 'rag.chunk.created.v1.dlq')

    `key` gives the Kafka key; `route` gives what selects the partition where that is not the key. A topic that is
    not `transactional` is read uncommitted: nothing on it is ever written in a transaction. On a topic with `replies`
    a header may name the partition, so that a gateway reads only what it asked for. A `raw` one stands for all topics
    whose names match the regular expression `name`: others own them, and their bytes are not ours. One with a `lane`
    carries the same events as its sibling without; whoever reads both reads them by weight.
    """

    name: str
    events: tuple[type[Any], ...]
    key: Callable[[Any], str]
    cleanup: Cleanup = "delete"
    retention: timedelta | None = None
    route: Callable[[Any], str] | None = None
    transactional: bool = True
    restricted: bool = False
    replies: bool = False
    lane: str = ""
    raw: bool = False

    def __post_init__(self) -> None:
        # msgspec learns a class's fields when it first converts to it, and two threads that are first at once end the
        # process (a null pointer, 0.22.0): so it is told here, where modules are imported one after the other.
        for event in self.events:
            msgspec.json.Decoder(event)

    @property
    def dead_letters(self) -> str:
        return "cdc.dlq" if self.raw else f"{self.name}.dlq"

    @property
    def subject(self) -> str:
        """The registry's subject of its values (TopicNameStrategy)."""
        return f"{self.name}-value"

    @property
    def constant(self) -> str:
        """The name of its constant: the words between `rag.` and the version."""
        return "_".join(self.name.split(".")[1:-1]).upper()

    def routed(self, event: E) -> str:
        """What selects the partition of an event: equal values share one, on every topic of a journey."""
        return (self.route or self.key)(event)


MAX_RECORD_BYTES: Final = 8_000_000
"""Largest value of a record: a parsed document of several megabytes still fits; above it a dead letter says so."""

MAX_SOURCE_BYTES: Final = 64_000_000
"""Largest record that a source's own topic takes: a row of 10 MB comes as it was and as it is, in one record."""
