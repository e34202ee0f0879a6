"""What waits on retry topics: read between a group's committed offsets and the end, after every assignment.

The way of a count:
1. Ask for the committed offsets, stable ones only: what a predecessor committed at last is in them.
2. Ask for the ends, with open transactions: a predecessor's records lie before them although their end marker may not
   be written yet, and readers of committed records can't see them. Asked after the offsets, since records climb.
3. Read from the one to the other, committed records only: that waits until those transactions are over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError as NoAnswerError
from typing import Any, Final

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from processors.contract import Stop
from processors.ports import Clock
from streams.clients import client_config, consumer_config
from streams.deferred import Deferred
from streams.errors import ClusterUnavailableError, StreamsError
from streams.parking import Parking
from streams.records import Partition, Record
from streams.settings import Kafka

__all__ = ["Outstanding", "UnevenTopicsError", "together"]

_POLL_S: Final = 0.1
_READ_MOST: Final = 500


class UnevenTopicsError(StreamsError):
    """A retry topic has other partitions than its topic, so its keys can't keep their order; the worker ends."""


def together(kafka: Kafka) -> Kafka:
    """The settings of a group whose members get a topic and its retry topics by the same partition numbers.

    >>> together(Kafka(group_protocol="classic")).extra["partition.assignment.strategy"]
    'range'
    """
    if kafka.group_protocol == "consumer":
        return kafka  # The broker's range assignor is asked for everywhere.
    return kafka.model_copy(update={"extra": {**kafka.extra, "partition.assignment.strategy": "range"}})


class Outstanding:
    """Fills a parking with what waits. Use one per hop that has retry topics, from the thread that handles batches.

    Raises Stop where the cluster does not answer in time, UnevenTopicsError.
    """

    def __init__(self, kafka: Kafka, group: str, parking: Parking, clock: Clock) -> None:
        self._kafka = kafka
        self._group = group
        self._parking = parking
        self._clock = clock
        self._consumer: Any = None
        self._admin: Any = None
        self._even = False

    def count(self, places: Sequence[Partition], keep_on: Callable[[], bool] = lambda: True) -> None:
        """Counts anew what waits on some retry partitions. Nothing is known of them where this raises."""
        self._parking.forget()
        deadline = self._clock.monotonic() + self._kafka.deadline_s
        try:
            self._open()
            ranges = self._ranges(places)
            for place in places:
                self._parking.fill(place, [])
            self._read(ranges, lambda: keep_on() and self._clock.monotonic() < deadline)
        except (KafkaException, NoAnswerError) as error:
            self._parking.forget()
            raise Stop(f"what waits on retry topics is not known: {error}") from error
        except Stop:
            self._parking.forget()
            raise

    def check(self) -> None:
        """Raises UnevenTopicsError where keys could not keep their order, ClusterUnavailableError without an answer."""
        try:
            if self._parking.retry_topics:
                self._open()
        except UnevenTopicsError:
            self.close()
            raise
        except KafkaException as error:
            raise ClusterUnavailableError(f"asking for the retry topics of {self._group!r}: {error}") from error

    def close(self) -> None:
        """Lets go of the consumer."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _open(self) -> None:
        if self._consumer is None:
            more = {"enable.partition.eof": True, "fetch.wait.max.ms": 100, "isolation.level": "read_committed"}
            self._consumer = Consumer(consumer_config(self._kafka, self._group, **more))
            self._admin = AdminClient(client_config(self._kafka))
        if not self._even:
            self._compare(self._consumer.list_topics(timeout=self._kafka.deadline_s).topics)
            self._even = True

    def _compare(self, topics: dict[str, Any]) -> None:
        for name in self._parking.retry_topics:
            ladder, _ = self._parking.step(name) or (None, 0)
            own = ladder.topic if ladder else name
            wanted, found = (len(topics[each].partitions) if each in topics else 0 for each in (own, name))
            if wanted != found:
                raise UnevenTopicsError(
                    f"wanted {wanted} partitions of {name!r}, as {own!r} has, found {found};"
                    " run `headwater topics ensure`, and give a retry topic more where its topic got more"
                )

    def _ranges(self, places: Sequence[Partition]) -> dict[Partition, tuple[int, int]]:
        timeout_s = self._kafka.deadline_s
        begins = self._consumer.committed([TopicPartition(*place) for place in places], timeout=timeout_s)
        futures = self._admin.list_offsets(
            {TopicPartition(*place): OffsetSpec.latest() for place in places},
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=timeout_s,
        )
        ends = {(at.topic, at.partition): future.result(timeout_s).offset for at, future in futures.items()}
        ranges = {}
        for begin in begins:
            if begin.error is not None:
                raise KafkaException(begin.error)
            ranges[begin.topic, begin.partition] = (max(0, begin.offset), ends[begin.topic, begin.partition])
        return {place: (begin, end) for place, (begin, end) in ranges.items() if begin < end}

    def _read(self, ranges: dict[Partition, tuple[int, int]], keep_on: Callable[[], bool]) -> None:
        self._consumer.assign([TopicPartition(*place, begin) for place, (begin, _) in ranges.items()])
        try:
            while ranges:
                if not keep_on():
                    raise Stop("what waits on retry topics was not read in time")
                for message in self._consumer.consume(_READ_MOST, _POLL_S):
                    self._take(message, ranges)
        finally:
            self._consumer.unassign()

    def _take(self, message: Any, ranges: dict[Partition, tuple[int, int]]) -> None:
        place, error, at = (message.topic(), message.partition()), message.error(), message.offset()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(error)
        if place not in ranges:
            return
        if error is None and at < ranges[place][1]:
            headers = tuple((name, value or b"") for name, value in message.headers() or ())
            own, _ = self._parking.step(place[0]) or (None, 0)
            record = Record(*place, at, message.key(), None, headers)
            self._parking.entered(place, message.key(), Deferred.read(record, own.topic if own else "").not_before)
        if at + (error is None) >= ranges[place][1]:
            del ranges[place]
