"""A follower folds a whole topic into a view in this process: heads, vectors already computed.

It reads every partition from the beginning (or from a while ago), committed records only, without a group: each process
has its own view.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
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


def behind(applied: Mapping[int, int], ends: Mapping[int, int]) -> str:
    """What a view lacks of the log, in words; empty where it lacks nothing.

    >>> behind({0: 7, 1: 2}, {0: 7, 1: 5})
    'partition 1 is read up to 2 of 5 (a transaction there may be open still)'
    """
    late = [
        f"{number} is read up to {applied.get(number, 0)} of {end}"
        for number, end in sorted(ends.items())
        if applied.get(number, 0) < end
    ]
    return f"partition {', '.join(late)} (a transaction there may be open still)" if late else ""


class Follower:
    """Keeps a view as new as the log. Use it where a step must know every committed record of a topic.

    `catch_up` waits until everything that was written when it was called is decided and, where it was committed,
    folded: call it after an assignment, with the own producer initialised and the group's offsets stable, and the view
    holds all that a predecessor committed. The last stable offset would not do: a predecessor's commit is promised
    before its end marker has reached every partition, and until then its records lie behind that offset.
    With `since_s` only what is younger is read: for a view of what passes. `dropped` hears the keys of tombstones. What
    `known` says of a key is in the view already (this process wrote it) is not decoded again.
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
        self.known: Callable[[str], bool] = lambda _: False
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
            while missing := behind(self._applied, ends):
                self._raise_if_failed()
                left = deadline - self._clock.monotonic()
                if left <= 0:
                    raise Stop(f"the view of {self.topic.name!r} has not caught up within {timeout_s:g} s: {missing}")
                self._moved.wait(left)

    def _raise_if_failed(self) -> None:
        if self._failed is not None:
            raise FollowError(f"following {self.topic.name!r} failed") from self._failed

    def _ends_by(self, deadline: float) -> dict[int, int]:
        """The ends; a partition just created has no leader yet, one whose broker died has none for a while."""
        while True:
            try:
                return self._written_ends(max(0.1, deadline - self._clock.monotonic()))
            except KafkaException as error:
                if self._clock.monotonic() > deadline or self._stop.wait(ASK_AGAIN_S):
                    raise Stop(f"the ends of {self.topic.name!r} are not known: {error.args[0]}") from error

    def _written_ends(self, timeout_s: float) -> dict[int, int]:
        """The high watermark of every partition: what is still open counts, for its end may be decided already."""
        if self._ends is None:
            self._ends = self._consumer(**{"isolation.level": "read_uncommitted"})
        return self._ends_of(self._ends, timeout_s)

    def _ends_of(self, consumer: Any, timeout_s: float) -> dict[int, int]:
        places = {partition: TopicPartition(self.topic.name, partition) for partition in self._partitions(consumer)}
        return {number: consumer.get_watermark_offsets(at, timeout=timeout_s)[1] for number, at in places.items()}

    def _consumer(self, **more: Any) -> Any:
        group = f"headwater.follow.{self.topic.name}"
        config = consumer_config(self._kafka, group, **{"isolation.level": "read_committed", **more})
        return Consumer(config)

    def _partitions(self, consumer: Any) -> list[int]:
        """The partitions there are. Raises KafkaException where the cluster does not know: none at all is no answer."""
        found = consumer.list_topics(self.topic.name, timeout=self._kafka.deadline_s).topics[self.topic.name]
        if not found.partitions:
            raise KafkaException(found.error or KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
        return sorted(found.partitions)

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
        key = (message.key() or b"").decode(errors="replace")
        if message.value() is None:
            self.dropped(key)
        elif not self.known(key) and (event := self._event(message)) is not None:
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
