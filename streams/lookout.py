"""The lookout: asks the brokers for a sign of life and for the ends of partitions, and says what stands still.

A silent partition learns its end from nobody else (its fetches are what would tell), so the ends are asked for: by a
client of its own, and without waiting. On the consumer's connection a question stands behind the fetch that waits there
for half a second, and the poll thread would stand with it.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from processors.ports import Clock
from streams.errors import StreamsError
from streams.records import Partition
from streams.watchdog import StalledError, Watchdog

__all__ = ["LOOK_EVERY_S", "Lookout", "SilentError"]

# Often enough to see a stall of half a minute, seldom enough to cost nothing.
LOOK_EVERY_S: Final = 1.0
# The group's coordinator is asked three times within the patience: one slow answer is no silence.
SIGNS_OF_LIFE: Final = 3
# A partition may stand because its turn has not come: time in which more was there than one read takes counts a
# twentieth.
BUSY: Final = 1 / 20
ENDS_AT_ONCE: Final = 4


class SilentError(StreamsError):
    """Nobody answers a consumer any more, or it never learned where to begin: only a new one helps."""


class Lookout:
    """Looks after one consumer. Use one per consumer, from its poll thread; `look` once a turn.

    Raises SilentError where the consumer has to be replaced.
    """

    def __init__(self, patience_s: float, clock: Clock, config: Mapping[str, Any]) -> None:
        self.positions: dict[Partition, tuple[int, int]] = {}
        """Per partition where it stands, or will begin, and where its committed records end, as of the last look."""
        self._patience_s = patience_s
        self._clock = clock
        self._watchdog = Watchdog(patience_s)
        self._began = self._looked = self._answered = self._coordinated = clock.monotonic()
        self._hungry_s = 0.0
        self._emptied_at: float | None = None
        self._config = dict(config)
        self._admin: Any = None
        self._asked: dict[TopicPartition, Any] = {}
        self._ends: dict[Partition, int] = {}
        self._begins: dict[Partition, int] = {}
        """Where a partition that never gave a record would begin; it may have nothing to give."""
        self._firsts: dict[TopicPartition, Any] = {}
        self._turn = 0

    def emptied(self, is_empty: bool) -> None:
        """Says after each read whether it left the consumer nothing. Time between two that did explains no lag.

        The consumer fetches all the while: what came of a partition since the first would have been in the second.
        """
        now = self._clock.monotonic()
        if is_empty and self._emptied_at is not None:
            self._hungry_s += now - self._emptied_at
        self._emptied_at = now if is_empty else None

    def is_due(self) -> bool:
        """Whether it is time to look again."""
        return self._clock.monotonic() - self._looked >= LOOK_EVERY_S

    def look(self, consumer: Any, places: Sequence[Partition], waiting: Container[Partition]) -> list[Partition]:
        """The partitions that stand still and should be sought again; those that wait on purpose are left out."""
        now = self._looked = self._clock.monotonic()
        for known in (self._ends, self._begins):
            for gone in known.keys() - set(places):
                del known[gone]
        self._firsts = {at: first for at, first in self._firsts.items() if (at.topic, at.partition) in places}
        try:
            self._ask(consumer, places, now)
            self.positions = self._stand(consumer, places)
        except KafkaException as error:
            if now - self._answered > self._patience_s:
                raise SilentError(f"no broker answered for {self._patience_s:g} s: {error.args[0]}") from error
            return []
        self._answered = now
        watched = {place: at for place, at in self.positions.items() if place not in waiting}
        try:
            standing = self._watchdog.look(watched, self._hungry_s + (now - self._began - self._hungry_s) * BUSY)
        except StalledError as error:
            raise SilentError(str(error)) from error
        if lost := [place for place in standing if place in self._begins]:
            raise SilentError(f"partitions {lost} have records and never gave one")
        return standing

    def _ask(self, consumer: Any, places: Sequence[Partition], now: float) -> None:
        """The ends of the next few partitions; more seldom the coordinator, without whom nothing is ever fetched."""
        self._learn()
        if places and not self._asked:
            chosen = {places[(self._turn + n) % len(places)] for n in range(min(ENDS_AT_ONCE, len(places)))}
            self._turn += ENDS_AT_ONCE
            self._admin = self._admin or AdminClient(self._config)
            wanted = {TopicPartition(*place): OffsetSpec.latest() for place in chosen}
            level = IsolationLevel.READ_COMMITTED
            self._asked = self._admin.list_offsets(wanted, isolation_level=level, request_timeout=LOOK_EVERY_S)
        if places and now - self._coordinated > self._patience_s / SIGNS_OF_LIFE:
            consumer.committed([TopicPartition(*places[0])], timeout=LOOK_EVERY_S)
            self._coordinated = now

    def _learn(self) -> None:
        """What has been answered since the last look. Raises KafkaException where that is a failure."""
        if not all(answer.done() for answer in self._asked.values()):
            return
        asked, self._asked = self._asked, {}
        for place, answer in asked.items():
            self._ends[(place.topic, place.partition)] = _offset(answer)

    def _stand(self, consumer: Any, places: Sequence[Partition]) -> dict[Partition, tuple[int, int]]:
        """Where each partition stands and ends; one of which nobody knows yet where it begins is left out."""
        stands, ends = dict[Partition, int](), dict[Partition, int]()
        for at in consumer.position([TopicPartition(*place) for place in places]):
            place = (at.topic, at.partition)
            known = consumer.get_watermark_offsets(at, cached=True) or (0, 0)
            stands[place], ends[place] = at.offset, max(known[1], self._ends.get(place, 0))
        self._begin(consumer, [place for place, at in stands.items() if at < 0 and ends[place] > 0])
        for place, at in stands.items():
            if at >= 0:
                self._begins.pop(place, None)
        begins = self._begins
        return {
            place: (begins.get(place, max(0, at)), ends[place])
            for place, at in stands.items()
            if at >= 0 or not ends[place] or place in begins
        }

    def _begin(self, consumer: Any, silent: Sequence[Partition]) -> None:
        """Learns where partitions begin that never gave a record: at the group's offset, else at their first one.

        Under backlog that is most of them, for the records of one come first. The group's coordinator has a connection
        of its own and is asked for all at once; the first offsets are not waited for.
        """
        for at, answer in list(self._firsts.items()):
            if answer.done():
                del self._firsts[at]
                self._begins.setdefault((at.topic, at.partition), _offset(answer))
        asked = {(at.topic, at.partition) for at in self._firsts}
        unknown = [TopicPartition(*place) for place in silent if place not in self._begins and place not in asked]
        if not unknown:
            return
        committed = consumer.committed(unknown, timeout=LOOK_EVERY_S)
        self._begins |= {(at.topic, at.partition): at.offset for at in committed if at.offset >= 0}
        if without := {
            TopicPartition(at.topic, at.partition): OffsetSpec.earliest() for at in committed if at.offset < 0
        }:
            self._admin = self._admin or AdminClient(self._config)
            self._firsts |= self._admin.list_offsets(without, request_timeout=LOOK_EVERY_S)


def _offset(answer: Any) -> int:
    """The offset that was asked for. Raises KafkaException: a new one, for the answer's own would hold the frames that
    hold the answer, and with them the consumer."""
    if (error := answer.exception()) is not None:
        raise KafkaException(*error.args)
    return int(answer.result().offset)
