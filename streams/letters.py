"""Dead letters as they lie on their topics: their bytes untouched, why they are there, whether they were replayed."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from confluent_kafka import KafkaException, Message, murmur2

from processors.ports import Clock
from schemas.codec import Codec
from schemas.envelope import EVENT_NAMESPACE, Event, Micros
from schemas.failures import ATTEMPT, EXCEPTION, REASON, SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TOPIC, STEP
from streams import headers as names
from streams.errors import StreamsError
from streams.reading import EVERYTHING, Reader, Reading, Slice, topic_named
from streams.settings import Kafka
from topics.ingest import SOURCE_CHANGES

__all__ = [
    "REPLAYED",
    "REPLAYED_TO",
    "REPLAY_ID",
    "SUFFIX",
    "Letter",
    "LetterMissingError",
    "LetterReader",
    "Pile",
    "RawHeaders",
    "Reason",
    "Spot",
]

REPLAY_ID: Final = "dlq.replay-id"
"""On a record that was put back: which letter it was."""
REPLAYED: Final = "dlq.replayed"
"""On a marker, behind the letters: the id of the one that was put back."""
REPLAYED_TO: Final = "dlq.replayed-to"
SUFFIX: Final = ".dlq"

_OURS: Final = "dlq."
_RETRY: Final = ".retry."
_REASON_CHARS: Final = 100
_KINDS: Final = 200
_POLL_S: Final = 0.1

RawHeaders = tuple[tuple[str, bytes | None], ...]
Spot = tuple[int, int]
"""Partition and offset."""


class LetterMissingError(StreamsError):
    """No dead letter lies where one was looked for."""


@dataclass(frozen=True)
class Letter(Reading):
    """A record of a dead-letter topic with its key and headers as bytes. Its event is not decoded: see `opened`.

    >>> forged, real = (SOURCE_TOPIC, b"elsewhere"), (SOURCE_TOPIC, b"t.v1")
    >>> Letter("t.v1.dlq", 0, 7, Micros(0), "k", (), b"v", raw_headers=(forged, real)).home
    't.v1'

    The engine writes its `dlq.*` headers last: one that the original record brought along does not count.
    """

    raw_key: bytes | None = None
    raw_headers: RawHeaders = ()

    @property
    def spot(self) -> Spot:
        return (self.partition, self.offset)

    @property
    def replay_id(self) -> str:
        """The same for the same letter, whoever replays it."""
        return str(uuid.uuid5(EVENT_NAMESPACE, json.dumps(["replay", self.topic, *self.spot])))

    @property
    def is_marker(self) -> bool:
        """Whether this says of another that it was replayed. Any letter has a source, also one with a forged mark."""
        named = {name for name, _ in self.raw_headers}
        return REPLAYED in named and SOURCE_TOPIC not in named

    @property
    def original(self) -> RawHeaders:
        """The headers of the record before it became a letter."""
        return tuple((name, value) for name, value in self.raw_headers if not name.startswith(_OURS))

    def said(self, name: str) -> str:
        """What the engine wrote under a name, empty where it wrote nothing."""
        return (names.value(reversed(self.raw_headers), name) or b"").decode(errors="replace")

    @property
    def reason(self) -> str:
        return self.said(REASON)

    @property
    def event_id(self) -> str:
        return (names.value(self.original, names.EVENT_ID) or b"").decode(errors="replace")

    @property
    def attempts(self) -> int | None:
        return names.number(reversed(self.raw_headers), ATTEMPT)

    @property
    def source(self) -> tuple[str, int | None, int | None]:
        """Topic, partition and offset of the original; None for a record that never lay on its topic."""
        last_first = self.raw_headers[::-1]
        partition, offset = (names.number(last_first, name) for name in (SOURCE_PARTITION, SOURCE_OFFSET))
        return self.said(SOURCE_TOPIC), partition, offset

    @property
    def home(self) -> str:
        """The topic it goes back to; empty where what it says is not a topic whose dead letters lie here."""
        base = self.said(SOURCE_TOPIC).partition(_RETRY)[0]
        raw = re.fullmatch(SOURCE_CHANGES.name, base) is not None
        return base if self.topic == (SOURCE_CHANGES.dead_letters if raw else f"{base}{SUFFIX}") else ""


@dataclass(frozen=True)
class Reason:
    """Why letters lie there: letters of one kind share the shortened text, the step and the exception."""

    text: str
    step: str = ""
    exception: str = ""

    @classmethod
    def of(cls, letter: Letter) -> Reason:
        text = " ".join(letter.reason.split())
        short = text if len(text) <= _REASON_CHARS else f"{text[:_REASON_CHARS]} …"
        return cls(short, letter.said(STEP), letter.said(EXCEPTION))


@dataclass
class Pile:
    """The letters of one topic: how many wait, since when none came, why they are there, how many were replayed."""

    topic: str
    letters: int = 0
    replayed: int = 0
    newest: Micros | None = None
    kinds: Counter[Reason] = field(default_factory=Counter)

    def add(self, letter: Letter) -> None:
        """Count a letter that waits. The kinds are bounded: reasons that never repeat are counted as one."""
        self.letters += 1
        self.newest = max(self.newest or letter.at, letter.at)
        kind = Reason.of(letter)
        self.kinds[kind if kind in self.kinds or len(self.kinds) < _KINDS else Reason("(other reasons)")] += 1


class LetterReader(Reader):
    """Reads dead letters, and what was said of them since. Use it as a context, as a Reader; nothing is committed.

        >>> with LetterReader(settings.kafka, codec, clock) as reader:  # doctest: +SKIP
        ...     [(pile.topic, pile.letters) for pile in reader.piles(reader.topics())]
        [('rag.document.changed.v1.dlq', 2)]

    Raises ClusterUnavailableError, TopicMissingError, LetterMissingError.
    """

    def __init__(self, kafka: Kafka, codec: Codec, clock: Clock) -> None:
        super().__init__(kafka, codec, clock)
        self._kafka = kafka

    def __enter__(self) -> LetterReader:
        return self

    def topics(self) -> list[str]:
        """Every dead-letter topic that the cluster has, declared or not."""
        try:
            found = self._consumer.list_topics(timeout=self._deadline_s).topics
        except KafkaException as error:
            raise self._away("the dead letters", error.args[0].str()) from error
        return sorted(name for name in found if name.endswith(SUFFIX))

    def letters(self, *topics: str) -> Iterator[Letter]:
        """What lies there now, replayed or not, in the order of each partition; markers are left out."""
        return (letter for letter in self._all(topics, EVERYTHING) if not letter.is_marker)

    def markers(self, *topics: str) -> dict[str, Letter]:
        """Which letters were replayed, by their replay id."""
        found = self._all(topics, Slice(keep=lambda _, value: not value))
        return {letter.said(REPLAYED): letter for letter in found if letter.is_marker}

    def piles(self, topics: Sequence[str]) -> list[Pile]:
        """What waits on each of some dead-letter topics; one with nothing on it is left out."""
        piles = {topic: Pile(topic) for topic in topics}
        markers = self.markers(*topics)
        for letter in self.letters(*topics):
            if letter.replay_id in markers:
                piles[letter.topic].replayed += 1
            else:
                piles[letter.topic].add(letter)
        return [pile for pile in piles.values() if pile.letters or pile.replayed]

    def at(self, topic: str, spot: Spot) -> Letter:
        """The letter of one place."""
        partition, offset = spot
        low, high = self.bounds(topic).get(partition, (0, 0))
        wanted = {(topic, partition): (offset, offset + 1)} if low <= offset < high else {}
        found = [letter for letter in self._until(wanted, {topic: EVERYTHING}) if isinstance(letter, Letter)]
        if not found or found[0].is_marker:
            what = "the marker of a replay" if found else "nothing"
            raise LetterMissingError(
                f"wanted a letter at {partition}@{offset} of {topic!r}, found {what};"
                f" partition {partition} holds {low} up to {high}"
            )
        return found[0]

    def of_event(self, topic: str, event_id: str) -> Letter:
        """The newest letter of an event, known by the id in its headers."""
        mine = (letter for letter in self.letters(topic) if letter.event_id == event_id)
        newest = max(mine, key=lambda letter: (letter.at, letter.offset), default=None)
        if newest is None:
            raise LetterMissingError(
                f"wanted PARTITION@OFFSET or the id of an event, got {event_id!r}; no letter of {topic!r} carries it"
            )
        return newest

    def after(self, letter: Letter, topic: str) -> Spot:
        """Where on a topic the records begin that are newer than the one that became a letter."""
        source, partition, offset = letter.source
        if source == topic and partition is not None and offset is not None:
            return partition, offset + 1
        # It never lay there: what came after the letter did is newer.
        bounds = self.bounds(topic)
        partition = int(murmur2(letter.raw_key or b"", len(bounds)))
        return partition, self._at((topic, partition), letter.at, bounds[partition][1], bounds[partition][1])

    def newest(self, topic: str, begin: Mapping[int, int], keys: Container[bytes]) -> dict[tuple[int, bytes], int]:
        """The newest offset of each of some keys in a partition, looked for from an offset of each partition on."""
        ends = {}
        for partition, (low, high) in self.bounds(topic).items():
            if max(low, begin.get(partition, high)) < high:
                ends[topic, partition] = (max(low, begin[partition]), high)
        found = self._until(ends, {topic: Slice(keep=lambda key, _: key in keys)}) if ends else ()
        return {(one.partition, one.raw_key or b""): one.offset for one in found if isinstance(one, Letter)}

    def opened(self, letter: Letter) -> tuple[Event | None, str]:
        """The event of a letter, or None and why it can't be decoded."""
        return self._decoded(topic_named(letter.topic), letter.value)

    def settle(self, topic: str) -> None:
        """Wait until no transaction is open in what the topic holds: before, not all that is committed can be read."""
        kafka = self._kafka.model_copy(update={"extra": {**self._kafka.extra, "isolation.level": "read_uncommitted"}})
        with Reader(kafka, self._codec, self._clock) as uncommitted:
            ends = {partition: high for partition, (_, high) in uncommitted.bounds(topic).items()}
        until = self._clock.monotonic() + self._deadline_s
        while any(self.bounds(topic)[partition][1] < end for partition, end in ends.items()):
            if self._clock.monotonic() > until:
                raise self._away(topic, "a transaction that stays open; the broker ends it when its time is up")
            threading.Event().wait(_POLL_S)

    def _all(self, topics: Sequence[str], part: Slice) -> Iterator[Letter]:
        return (found for found in self.read_each(dict.fromkeys(topics, part)) if isinstance(found, Letter))

    def _reading(self, message: Message) -> Letter:
        return Letter(
            topic=str(message.topic()),
            partition=int(message.partition() or 0),
            offset=int(message.offset() or 0),
            at=Micros(int(message.timestamp()[1]) * 1000),
            key=(message.key() or b"").decode(errors="replace"),
            headers=tuple((name, value or b"") for name, value in message.headers() or ()),
            value=message.value(),
            raw_key=message.key(),
            raw_headers=tuple(message.headers() or ()),
        )
