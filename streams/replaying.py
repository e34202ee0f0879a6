"""Dead letters put back on the topics they came from, each of them once.

The way of a replay (`Replay.run`):
1. Open a producer under the one transactional id of the dead-letter topic: a replay that still runs is fenced from here
   on, and what a dead one left open is aborted. Both are over when the call returns.
2. Wait until no transaction is open in what the topic holds: a marker behind an open one can't be seen yet.
3. Read the markers. A letter whose id one of them carries was replayed.
4. Read the letters. What was not chosen, was replayed, is superseded or has no known way back is left where it is.
5. In one transaction per parcel: each record to its topic, its marker behind the letters. Both are there or neither.
Any failure ends the run. To run again is always right: step 1 settles what happened, step 3 tells.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from processors.ports import Clock
from streams.clients import producer_config
from streams.errors import ClusterUnavailableError, StreamsError
from streams.letters import REPLAY_ID, REPLAYED, REPLAYED_TO, Letter, LetterReader, Spot
from streams.reading import topic_named
from streams.settings import Kafka

__all__ = ["Choice", "Planned", "Replay", "ReplayError", "plan"]

_POLL_S: Final = 0.1
# A parcel is far from the transaction's timeout and from the producer's queue.
_PARCEL: Final = 100
_PARCEL_BYTES: Final = 8_000_000
# A producer that learned in the background that it is fenced says only _FATAL at the next call: nothing else is fatal
# to one that has begun its transaction.
_FENCED: Final = frozenset(
    {KafkaError._FENCED, KafkaError._FATAL, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED}
)


class ReplayError(StreamsError):
    """Letters were not confirmed as put back; to run again is safe, since each is put back once."""


@dataclass(frozen=True)
class Choice:
    """Which letters to put back, and where: those of some places, whose reason holds some words; else all."""

    spots: frozenset[Spot] = frozenset()
    reason: str = ""
    to: str = ""
    superseded: bool = False
    """Also those behind which a newer record of their key lies, on a topic that keeps the newest."""

    def takes(self, letter: Letter) -> bool:
        """Whether a letter is meant."""
        return (not self.spots or letter.spot in self.spots) and self.reason in letter.reason


@dataclass(frozen=True)
class Planned:
    """A chosen letter and where it goes; `problem` says why it stays. Partition -1 is where its key leads."""

    letter: Letter
    topic: str
    partition: int = -1
    problem: str = ""


def plan(reader: LetterReader, topic: str, choice: Choice) -> Iterator[Planned]:
    """What a replay would do with each chosen letter; writes nothing. Raises what reading raises."""
    markers = reader.markers(topic)
    newer = {} if choice.superseded else _newer(reader, topic, choice, markers)
    partitions: dict[str, int] = {}
    for letter in filter(choice.takes, reader.letters(topic)):
        target, marker = choice.to or letter.home, markers.get(letter.replay_id)
        if marker is not None:
            yield Planned(letter, target, problem=f"replayed before, to {marker.said(REPLAYED_TO)}")
        elif not target:
            yield Planned(letter, target, problem="its source is not a topic of these letters; name one with --to")
        elif letter.spot in newer:
            yield Planned(letter, target, problem=f"superseded by the record of its key at {newer[letter.spot]}")
        else:
            if target not in partitions:
                partitions[target] = len(reader.bounds(target))
            yield _placed(letter, target, partitions[target])


def _newer(reader: LetterReader, topic: str, choice: Choice, markers: Container[str]) -> dict[Spot, str]:
    """Which letters a newer record of their key has superseded, and where it lies.

    On a compacted topic the record that comes last is the state: put back, an old one would undo what followed it.
    """
    begins: dict[str, dict[Spot, tuple[bytes, Spot]]] = defaultdict(dict)
    for letter in filter(choice.takes, reader.letters(topic)):
        target = choice.to or letter.home
        if _is_state(target) and letter.raw_key is not None and letter.replay_id not in markers:
            begins[target][letter.spot] = (letter.raw_key, reader.after(letter, target))
    newer = {}
    for target, letters in begins.items():
        begin: dict[int, int] = {}
        for _, (partition, offset) in letters.values():
            begin[partition] = min(offset, begin.get(partition, offset))
        newest = reader.newest(target, begin, {key for key, _ in letters.values()})
        for spot, (key, (partition, offset)) in letters.items():
            found = newest.get((partition, key), -1)
            if found >= offset:
                newer[spot] = f"{target}/{partition}@{found}"
    return newer


def _is_state(topic: str) -> bool:
    declared = topic_named(topic)
    return declared is not None and declared.name == topic and declared.cleanup == "compact"


def _placed(letter: Letter, target: str, count: int) -> Planned:
    """The order of a key is that of its partition: the old number where it is still there, else by key."""
    _, partition, _ = letter.source
    if partition is not None and partition < count:
        return Planned(letter, target, partition)
    declared = topic_named(target)
    if declared is not None and declared.route is not None:
        return Planned(letter, target, problem=f"the key does not say its partition on {target}, and no header does")
    return Planned(letter, target)


class Replay:
    """Puts letters back on their topics. Use it as a context; one at a time per dead-letter topic, others are fenced.

        >>> with LetterReader(kafka, codec, clock) as reader, Replay(kafka, clock, reader, topic) as replay:
        ...     [planned.problem for planned in replay.run(Choice())]  # doctest: +SKIP
        ['', '', 'replayed before, to rag.document.changed.v1']

    Raises ReplayError, ClusterUnavailableError, TopicMissingError.
    """

    def __init__(self, kafka: Kafka, clock: Clock, reader: LetterReader, topic: str) -> None:
        self._deadline_s = kafka.deadline_s
        self._clock = clock
        self._reader = reader
        self._topic = topic
        self._refused = ""
        transactions = {
            "transactional.id": f"headwater.replay.{topic}",
            "transaction.timeout.ms": kafka.transaction_timeout_ms,
            "error_cb": lambda _: None,
        }
        self._producer = Producer(producer_config(kafka, **transactions))

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(KafkaException):
            self._producer.purge()

    def run(self, choice: Choice) -> Iterator[Planned]:
        """Each chosen letter, once what is said of it is true: committed, or left where it is and why."""
        self._open()
        self._reader.settle(self._topic)
        parcel, size = list[Planned](), 0
        for planned in plan(self._reader, self._topic, choice):
            if planned.problem:
                yield planned
                continue
            parcel.append(planned)
            size += len(planned.letter.value or b"")
            if len(parcel) >= _PARCEL or size >= _PARCEL_BYTES:
                self._commit(parcel)
                yield from parcel
                parcel, size = [], 0
        if parcel:
            self._commit(parcel)
            yield from parcel

    def _open(self) -> None:
        try:
            self._until(self._clock.monotonic() + self._deadline_s, self._producer.init_transactions)
        except KafkaException as error:
            raise ClusterUnavailableError(
                f"wanted a transactional producer within {self._deadline_s:g} s, got: {error.args[0].str()}"
            ) from error

    def _commit(self, parcel: Sequence[Planned]) -> None:
        deadline, self._refused = self._clock.monotonic() + self._deadline_s, ""
        try:
            self._producer.begin_transaction()
            for planned in parcel:
                self._produce(_back(planned), deadline)
                self._produce(_marker(planned), deadline)
            self._until(deadline, self._producer.commit_transaction)
        except (KafkaException, BufferError) as error:
            self._abort()
            raise self._failed(parcel, error) from error
        except BaseException:
            self._abort()
            raise

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        # The first says what is wrong; the others go with it.
        if error is not None and not self._refused:
            self._refused = error.str()

    def _produce(self, record: dict[str, Any], deadline: float) -> None:
        while True:
            try:
                self._producer.produce(**record, on_delivery=self._delivered)
                return
            except BufferError:
                if self._clock.monotonic() > deadline:
                    raise
                self._producer.poll(_POLL_S)

    def _until(self, deadline: float, call: Callable[[float], None]) -> None:
        while True:
            try:
                call(max(_POLL_S, deadline - self._clock.monotonic()))
                return
            except KafkaException as error:
                if not error.args[0].retriable() or self._clock.monotonic() > deadline:
                    raise

    def _abort(self) -> None:
        # Where this fails too, the next replay of this topic aborts what is open before it looks.
        with contextlib.suppress(KafkaException):
            self._producer.abort_transaction(self._deadline_s)

    def _failed(self, parcel: Sequence[Planned], error: Exception) -> ReplayError:
        code = error.args[0].code() if isinstance(error, KafkaException) else None
        if code in _FENCED:
            return ReplayError(f"another replay of {self._topic!r} began; let it end, then run this again")
        cause = self._refused or (error.args[0].str() if isinstance(error, KafkaException) else str(error))
        return ReplayError(
            f"wanted {len(parcel)} letters of {self._topic!r} ({_spot(parcel[0])} to {_spot(parcel[-1])}) put back in"
            f" one transaction, got: {cause}; run it again (none is put back twice), with --offset to find one refused"
        )


def _spot(planned: Planned) -> str:
    return f"{planned.letter.partition}@{planned.letter.offset}"


def _back(planned: Planned) -> dict[str, Any]:
    """The record as it was, and which letter it has been."""
    letter = planned.letter
    return {
        "topic": planned.topic,
        "partition": planned.partition,
        "key": letter.raw_key,
        "value": letter.value,
        "headers": [*letter.original, (REPLAY_ID, letter.replay_id.encode())],
    }


def _marker(planned: Planned) -> dict[str, Any]:
    """What lies behind a letter from then on; the key is its own, so that nothing else is ever compacted away."""
    letter = planned.letter
    said = [(REPLAYED, letter.replay_id.encode()), (REPLAYED_TO, planned.topic.encode())]
    key = letter.replay_id.encode()
    return {"topic": letter.topic, "partition": letter.partition, "key": key, "value": None, "headers": said}
