"""The consumer side of a hop: reads batches, keeps the ledger of its assignments, pauses, rewinds, watches for stalls.

Rebalance callbacks only note what happened: no pausing in them (librdkafka#5591), no waiting, no committing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from processors.ports import Clock
from streams import metrics
from streams.clients import consumer_config
from streams.commits import OffsetLedger
from streams.errors import StreamsError
from streams.records import Partition, Record
from streams.settings import Kafka, Worker
from streams.watchdog import Watchdog

_LOG = structlog.get_logger(__name__)
# Often enough to see a stall of half a minute, seldom enough to cost nothing.
LOOK_EVERY_S: Final = 1.0
# A rebalance callback or a commit may not hold up the poll loop for longer.
SEEK_TIMEOUT_S: Final = 5.0


# A broker that restarts is back long before; the worker is started again where none is.
GIVE_UP_AFTER_S: Final = 120.0
ASK_AGAIN_S: Final = 0.2


class IntakeError(StreamsError):
    """The consumer is broken for good; the worker ends, to be started again."""


class Intake:
    """Reads the records of a group's topics. Use it from one thread: the poll thread of a hop."""

    def __init__(self, kafka: Kafka, worker: Worker, group: str, topics: Sequence[str], clock: Clock) -> None:
        self.hop = group
        self.ledger = OffsetLedger()
        self.assignments = 0
        self._clock = clock
        self._watchdog = Watchdog(worker.stall_s)
        self._looked = clock.monotonic()
        self._paused = False
        self._pulse = threading.Event()
        config = consumer_config(
            kafka,
            group,
            **{
                "queued.max.messages.kbytes": worker.queue_kbytes,
                "isolation.level": "read_committed",
                **({"group.remote.assignor": "range"} if kafka.group_protocol == "consumer" else {}),
            },
        )
        self._consumer: Any = Consumer(config)
        self._consumer.subscribe(
            list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    def read(self, most: int, wait_s: float) -> list[Record]:
        """Up to `most` records: waits for the first, then takes what is there (`consume` alone would wait for all)."""
        first = self._consumer.poll(wait_s)
        if first is None:
            return []
        messages = [first, *(self._consumer.consume(most - 1, 0) if most > 1 else ())]
        return [record for message in messages if (record := self._record(message)) is not None]

    def more(self, most: int, wait_s: float) -> list[Record]:
        """What else arrives within `wait_s`, to fill a batch under backlog."""
        messages = self._consumer.consume(most, wait_s)
        return [record for message in messages if (record := self._record(message)) is not None]

    def current(self, record: Record) -> bool:
        """Whether the record was read in the present assignment of its partition."""
        return self.ledger.epoch(record.place) == record.epoch

    def pause(self) -> None:
        """Stops fetching, while polling goes on. Do it again after every assignment: new partitions come unpaused."""
        self._paused = True
        self._apply(self._consumer.pause)

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._apply(self._consumer.resume)

    def rewind(self) -> None:
        """Reads again from the committed offsets of every partition that is ours.

        The broker is asked, for a commit whose outcome is unknown may have happened: what we remember would then do its
        batch a second time. Call it once the producer is aborted or replaced, so that nothing is pending any more.
        """
        for place, offset in self._committed().items():
            epoch = self.ledger.epoch(place)
            if epoch is not None and offset >= 0:
                self.ledger.committed(place, offset, epoch)
            resume = self.ledger.resume_at(place)
            self.ledger.rewind(place)
            if resume is not None:
                self._seek(place, resume)

    def group_metadata(self) -> Any:
        return self._consumer.consumer_group_metadata()

    def commit(self, offsets: Iterable[TopicPartition]) -> None:
        """Commits without waiting; the next commit repeats what a lost one said."""
        self._consumer.commit(offsets=list(offsets), asynchronous=True)

    def commit_now(self, offsets: Sequence[TopicPartition]) -> None:
        """Commits and waits: the last act before leaving the group."""
        if offsets:
            self._consumer.commit(offsets=list(offsets), asynchronous=False)

    def watch(self) -> None:
        """Looks for stalls once a second, and seeks again what stands still. Raises StalledError."""
        now = self._clock.monotonic()
        if now - self._looked < LOOK_EVERY_S:
            return
        self._looked = now
        positions = self._positions()
        metrics.LAG.labels(self.hop).set(sum(max(0, end - at) for at, end in positions.values()))
        if self._paused:
            return
        for place in self._watchdog.look(positions, now):
            metrics.STALLS.labels(self.hop).inc()
            _LOG.warning("partition.stalled", hop=self.hop, topic=place[0], partition=place[1])
            self._seek(place, positions[place][0])

    def close(self) -> None:
        """Leaves the group."""
        self._consumer.close()

    def _record(self, message: Message) -> Record | None:
        error = message.error()
        if error is not None:
            # A fatal error comes out of poll() with code _FATAL while its fatal() says False (librdkafka 2.16).
            if error.fatal() or error.code() == KafkaError._FATAL:
                raise IntakeError(f"the consumer of {self.hop!r} is broken: {error}")
            return None
        place = (message.topic(), message.partition())
        epoch = self.ledger.epoch(place)
        if epoch is None:
            return None
        self.ledger.deliver(place, message.offset())
        headers = tuple((name, value or b"") for name, value in message.headers() or ())
        return Record(place[0], place[1], message.offset(), message.key(), message.value(), headers, epoch)

    def _on_assign(self, _consumer: Any, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            self.ledger.assign((partition.topic, partition.partition))
        self.assignments += 1
        _LOG.info("partitions.assigned", hop=self.hop, partitions=_names(partitions))

    def _on_revoke(self, _consumer: Any, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            self.ledger.revoke((partition.topic, partition.partition))
        _LOG.info("partitions.revoked", hop=self.hop, partitions=_names(partitions))

    def _apply(self, act: Any) -> None:
        mine = [TopicPartition(*place) for place in self.ledger.places()]
        try:
            act(mine)
        except KafkaException as error:
            # A partition revoked this very moment; the next assignment applies the wanted state again.
            _LOG.debug("pause.skipped", hop=self.hop, reason=str(error))

    def _seek(self, place: Partition, offset: int) -> None:
        try:
            self._consumer.seek(TopicPartition(*place, offset))
        except KafkaException as error:
            _LOG.debug("seek.skipped", hop=self.hop, partition=place, reason=str(error))

    def _committed(self) -> dict[Partition, int]:
        """The group's offsets as the broker has them, stable ones only. Raises IntakeError where it stays away."""
        give_up = self._clock.monotonic() + GIVE_UP_AFTER_S
        while True:
            mine = [TopicPartition(*place) for place in self.ledger.places()]
            try:
                found = self._consumer.committed(mine, timeout=SEEK_TIMEOUT_S) if mine else []
                failed = next((each.error for each in found if each.error is not None), None)
                if failed is None:
                    return {(each.topic, each.partition): each.offset for each in found}
            except KafkaException as error:
                failed = error.args[0]
            if self._clock.monotonic() > give_up:
                raise IntakeError(f"the committed offsets of {self.hop!r} could not be read: {failed}")
            _LOG.warning("offsets.waiting", hop=self.hop, reason=str(failed))
            self._pulse.wait(ASK_AGAIN_S)

    def _positions(self) -> dict[Partition, tuple[int, int]]:
        mine = [TopicPartition(*place) for place in self.ledger.places()]
        found = {}
        for at in self._consumer.position(mine):
            end = self._consumer.get_watermark_offsets(at, cached=True)
            if at.offset >= 0 and end is not None and end[1] >= 0:
                found[(at.topic, at.partition)] = (at.offset, end[1])
        return found


def _names(partitions: Iterable[TopicPartition]) -> list[str]:
    return [f"{partition.topic}/{partition.partition}" for partition in partitions]
