"""Asks standing questions again: a thread of the worker that tells of them, for the questions that are its own.

A question is the worker's whose `tell` has the partition of its answers: the state that is compared there is then in
this process, and a question that changes hands is looked at anew by its next owner.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final

import structlog

from adapters.errors import AdapterError
from processors.contract import Stop
from schemas.codec import SchemaError
from schemas.documents import DocumentIndexed
from schemas.envelope import Event
from schemas.queries import QueryAsked
from streams import headers as names
from streams.batches import BatchHop
from streams.errors import StreamsError
from streams.follow import Follower
from streams.parts import Parts
from streams.publishing import Entrance, Publisher
from streams.standing import Owned, StandingWatch
from topics.answer import ANSWER_RENEWED, QUERY_ASKED_BULK, QUESTION_ANSWERED
from topics.ingest import DOCUMENT_INDEXED

__all__ = ["TELLING", "StandingKeeper"]

_LOG = structlog.get_logger(__name__)

TELLING: Final = "headwater.answer.tell.v1"
"""The group of the step that tells of answers, by whose partitions questions are shared out."""

_TURN_S: Final = 0.05
_IDLE_S: Final = 0.5
_AWAY_S: Final = 1.0
# Old answers are small: they may lie for a while.
_BURY_S: Final = 5.0
# What came just before the first look is seen by that look.
_SINCE_S: Final = 1.0


class StandingKeeper:
    """One thread of a worker; it costs nothing where nobody subscribed to anything."""

    name = "standing"

    def __init__(self, telling: BatchHop, parts: Parts) -> None:
        self.ready = threading.Event()
        self._telling = telling
        self._parts = parts
        self._watch: StandingWatch = parts.port("standing")
        self._clock = parts.port("clock")
        self._buried_at = self._clock.monotonic()
        self._publisher: Publisher | None = None
        self._receipts: Follower | None = None
        self._known: Owned | None = None
        self._served = -1

    def run(self, stop: threading.Event) -> None:
        """Works until `stop` is set; a cluster that is away is waited for."""
        self.ready.set()
        try:
            while not stop.is_set():
                stop.wait(self._turn())
        finally:
            if self._receipts is not None:
                self._receipts.stop()
            if self._publisher is not None:
                self._publisher.close()

    def _turn(self) -> float:
        """Asks what is to be asked; returns how long to wait."""
        if not self._watch.is_wanted:
            return _IDLE_S
        try:
            publisher = self._open()
            own = frozenset(partition for _, partition in self._telling.places())
            owned = Owned(own, publisher.partitions(ANSWER_RENEWED))
            self._catch_up(owned)
            self._look_who_serves()
            for asked in self._watch.turn(owned):
                publisher.send(QUERY_ASKED_BULK, asked, _headers(asked))
            self._bury(owned)
        except (StreamsError, AdapterError, SchemaError, Stop) as error:
            # What was not sent counts as late and is asked again.
            _LOG.warning("standing.waits", reason=str(error))
            return _AWAY_S
        return _TURN_S

    def _catch_up(self, owned: Owned) -> None:
        """What came with new partitions was answered by somebody else: not to know that would be to ask it again."""
        if owned == self._known:
            return
        for follower in self._parts.followers(("questions", "answered")):
            follower.catch_up(self._parts.settings.kafka.deadline_s)
        self._known = owned

    def _look_who_serves(self) -> None:
        version = self._parts.port("serving").wait(-1, 0.0)
        if version != self._served:
            self._served = version
            self._watch.promoted()

    def _open(self) -> Publisher:
        if self._publisher is None:
            settings, codec = self._parts.settings, self._parts.codec
            entrance = Entrance(self._clock, self._parts.port("ids"), self._parts.version, settings.git_sha)
            self._receipts = Follower(
                DOCUMENT_INDEXED, self._indexed, codec, settings.kafka, self._clock, since_s=_SINCE_S
            )
            self._receipts.start()
            self._publisher = Publisher(settings.kafka, codec, entrance)
        return self._publisher

    def _indexed(self, event: Event) -> None:
        if isinstance(event, DocumentIndexed):
            self._watch.changed([event])

    def _bury(self, owned: Owned) -> None:
        """Answers to questions that stand no more are forgotten: their text is of documents that may be erased."""
        now = self._clock.monotonic()
        if now - self._buried_at < _BURY_S:
            return
        self._buried_at = now
        if self._watch.orphans(owned):
            (questions,) = self._parts.followers(("questions",))
            questions.catch_up(self._parts.settings.kafka.deadline_s)
            self._parts.port("keyed_log").bury(QUESTION_ANSWERED, self._watch.orphans(owned))


def _headers(asked: QueryAsked) -> list[tuple[str, bytes]]:
    query = asked.query
    told: Mapping[str, str] = {names.DEADLINE: str(query.deadline_at), names.LANE: query.lane}
    return [(name, value.encode()) for name, value in told.items()]
