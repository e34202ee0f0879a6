"""A follower folds a whole topic into a view in this process: heads, vectors already computed.

It reads every partition from the beginning (or from a while ago), committed records only, without a group: each process
has its own view.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any, Final

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from processors.contract import Stop
from processors.ports import Clock
from schemas.codec import Codec, SchemaError
from schemas.envelope import Event
from streams.clients import consumer_config
from streams.errors import StreamsError
from streams.hop import AnyTopic
from streams.settings import Kafka

_LOG = structlog.get_logger(__name__)
POLL_S: Final = 0.1
READ_MOST: Final = 500
ASK_AGAIN_S: Final = 0.1


class FollowError(StreamsError):
    """Following a topic failed for good; the worker ends, to be started again."""


class Follower:
    """Keeps a view as new as the log. Use it where a step must know every committed record of a topic.

    `catch_up` waits until everything that was committed when it was called is folded: call it after an assignment, when
    the group's offsets are known to be stable, and the view holds all that a predecessor committed. With `since_s` only
    what is younger is read: for a view of what passes. `dropped` hears the keys of tombstones.
    """

    def __init__(
        self,
        topic: AnyTopic,
        fold: Callable[[Event], None],
        codec: Codec,
        kafka: Kafka,
        clock: Clock,
        since_s: float | None = None,
    ) -> None:
        self.topic = topic
        self.dropped: Callable[[str], None] = lambda _: None
        self._since_s = since_s
        self._fold = fold
        self._codec = codec
        self._kafka = kafka
        self._clock = clock
        self._applied: dict[int, int] = {}
        self._moved = threading.Condition()
        self._stop = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"follow {topic.name}", daemon=True)
        self._ends: Any = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(5.0)

    def catch_up(self, timeout_s: float) -> None:
        """Waits until the view holds all that is committed now. Raises Stop when it does not within `timeout_s`."""
        deadline = self._clock.monotonic() + timeout_s
        ends = self._ends_by(deadline)
        with self._moved:
            while not all(self._applied.get(partition, 0) >= end for partition, end in ends.items()):
                self._raise_if_failed()
                left = deadline - self._clock.monotonic()
                if left <= 0:
                    raise Stop(f"the view of {self.topic.name!r} has not caught up within {timeout_s:g} s")
                self._moved.wait(left)

    def _raise_if_failed(self) -> None:
        if self._failed is not None:
            raise FollowError(f"following {self.topic.name!r} failed") from self._failed

    def _ends_by(self, deadline: float) -> dict[int, int]:
        """The ends; a partition just created has no leader yet, one whose broker died has none for a while."""
        while True:
            try:
                return self._committed_ends(max(0.1, deadline - self._clock.monotonic()))
            except KafkaException as error:
                if self._clock.monotonic() > deadline or self._stop.wait(ASK_AGAIN_S):
                    raise Stop(f"the ends of {self.topic.name!r} are not known: {error.args[0]}") from error

    def _committed_ends(self, timeout_s: float) -> dict[int, int]:
        """The last stable offset of every partition: under read_committed that is what the cluster answers."""
        if self._ends is None:
            self._ends = self._consumer()
        return self._ends_of(self._ends, timeout_s)

    def _ends_of(self, consumer: Any, timeout_s: float) -> dict[int, int]:
        places = {partition: TopicPartition(self.topic.name, partition) for partition in self._partitions(consumer)}
        return {number: consumer.get_watermark_offsets(at, timeout=timeout_s)[1] for number, at in places.items()}

    def _consumer(self, **more: Any) -> Any:
        group = f"headwater.follow.{self.topic.name}"
        config = consumer_config(self._kafka, group, **{"isolation.level": "read_committed", **more})
        return Consumer(config)

    def _partitions(self, consumer: Any) -> list[int]:
        metadata = consumer.list_topics(self.topic.name, timeout=self._kafka.deadline_s)
        return sorted(metadata.topics[self.topic.name].partitions)

    def _run(self) -> None:
        try:
            consumer = self._assigned()
            while not self._stop.is_set():
                self._turn(consumer)
            consumer.close()
        except BaseException as error:
            with self._moved:
                self._failed = error
                self._moved.notify_all()
            _LOG.exception("follower.failed", topic=self.topic.name)

    def _assigned(self) -> Any:
        consumer = self._consumer(**{"enable.partition.eof": True, "fetch.wait.max.ms": 100})
        while not self._stop.is_set():
            with contextlib.suppress(KafkaException, KeyError):
                consumer.assign(self._starts(consumer))
                break
            self._stop.wait(0.5)
        return consumer

    def _starts(self, consumer: Any) -> list[TopicPartition]:
        """Where to begin, per partition: the first record of the last `since_s` seconds, else the end."""
        partitions = self._partitions(consumer)
        if self._since_s is None:
            return [TopicPartition(self.topic.name, partition, OFFSET_BEGINNING) for partition in partitions]
        at_ms = self._clock.now() // 1_000 - int(self._since_s * 1_000)
        places = [TopicPartition(self.topic.name, partition, at_ms) for partition in partitions]
        found: list[TopicPartition] = consumer.offsets_for_times(places, timeout=self._kafka.deadline_s)
        return found

    def _turn(self, consumer: Any) -> None:
        first = consumer.poll(POLL_S)
        messages = [] if first is None else [first, *consumer.consume(READ_MOST, 0)]
        seen = [place for message in messages if (place := self._take(message)) is not None]
        if seen:
            with self._moved:
                for partition, offset in seen:
                    self._applied[partition] = max(offset, self._applied.get(partition, 0))
                self._moved.notify_all()

    def _take(self, message: Any) -> tuple[int, int] | None:
        """Folds a message; returns how far its partition is applied."""
        error = message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                return message.partition(), message.offset()
            return None
        if message.value() is None:
            self.dropped((message.key() or b"").decode(errors="replace"))
        elif (event := self._event(message)) is not None:
            self._fold(event)
        return message.partition(), message.offset() + 1

    def _event(self, message: Any) -> Event | None:
        """The event of a message; None for a tombstone, and for what can't be decoded."""
        if message.value() is None:
            return None
        try:
            return self._codec.decode(message.value(), self.topic.events)
        except SchemaError as broken:
            _LOG.error("follower.undecodable", topic=self.topic.name, offset=message.offset(), reason=str(broken))
            return None
