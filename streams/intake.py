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
from schemas.failures import Headers
from streams import metrics
from streams.clients import consumer_config
from streams.commits import OffsetLedger
from streams.errors import StreamsError
from streams.records import Partition, Record
from streams.runs import decode
from streams.settings import Kafka, Worker
from streams.watchdog import StalledError, Watchdog

_LOG = structlog.get_logger(__name__)
# Often enough to see a stall of half a minute, seldom enough to cost nothing.
LOOK_EVERY_S: Final = 1.0
# Long enough for a loaded coordinator, short enough that a member that must join again does so soon.
ASK_TIMEOUT_S: Final = 2.0


FULL_QUEUE_BACKOFF_MS: Final = 5
ASK_AGAIN_S: Final = 0.2
# A consumer is asked for a sign of life three times within the patience: one slow answer is no silence.
SIGNS_OF_LIFE: Final = 3
ASK_TIMES: Final = 4


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
        self.revocations = 0
        self.replaced = 0
        self._looked = clock.monotonic()
        self._heard = clock.monotonic()
        self._paused = False
        self._fresh: set[Partition] = set()
        self._done: dict[Partition, frozenset[int]] = {}
        self._topics = list(topics)
        self._patience_s = worker.stall_s
        self._config = consumer_config(
            kafka,
            group,
            **{
                "queued.max.messages.kbytes": worker.queue_kbytes,
                # A full queue is asked about again after a second by default: it would be empty most of that time.
                "fetch.queue.backoff.ms": FULL_QUEUE_BACKOFF_MS,
                "isolation.level": "read_committed",
                **({"group.remote.assignor": "range"} if kafka.group_protocol == "consumer" else {}),
            },
        )
        self._consumer: Any = None
        self._open()

    def read(self, most: int, wait_s: float) -> list[Record]:
        """Up to `most` records: waits for the first, then takes what is there (`consume` alone would wait for all)."""
        first = self._consumer.poll(wait_s)
        if first is None:
            return []
        return self._records([first, *(self._consumer.consume(most - 1, 0) if most > 1 else ())])

    def more(self, most: int, wait_s: float) -> list[Record]:
        """What else arrives within `wait_s`, to fill a batch under backlog."""
        return self._records(self._consumer.consume(most, wait_s))

    def current(self, record: Record) -> bool:
        """Whether the record was read in the present assignment of its partition."""
        return self.ledger.epoch((record.topic, record.partition)) == record.epoch

    def still_ours(self, records: list[Record], since: int) -> bool:
        """Whether nothing was taken away since `revocations` was `since`: then each record is current."""
        return since == self.revocations or all(map(self.current, records))

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
        for place, known in self._committed().items():
            epoch = self.ledger.epoch(place)
            if epoch is not None and known.offset >= 0:
                self.ledger.committed(place, known.offset, epoch)
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
        """Looks for stalls once a second: seeks again what stands still, and begins again where that did not help."""
        now = self._clock.monotonic()
        if now - self._looked < LOOK_EVERY_S:
            return
        self._looked = now
        if now - self._heard > self._patience_s / SIGNS_OF_LIFE and not self._hears(now):
            return
        positions = self._positions()
        metrics.LAG.labels(self.hop).set(sum(max(0, end - at) for at, end in positions.values()))
        if self._paused:
            return
        try:
            standing = self._watchdog.look(positions, now)
        except StalledError as error:
            self.reopen(str(error))
            return
        for place in standing:
            metrics.STALLS.labels(self.hop).inc()
            _LOG.warning("partition.stalled", hop=self.hop, topic=place[0], partition=place[1])
            self._seek(place, positions[place][0])

    def reopen(self, reason: str) -> None:
        """Begins again with a new consumer, which reads from the committed offsets.

        One whose broker vanished from the metadata for a moment may never speak to it again (librdkafka#5511): it
        neither fetches nor answers, and says nothing. The old one leaves the group by itself, or is timed out there.
        """
        self.replaced += 1
        self.revocations += 1
        metrics.REPLACED.labels(self.hop).inc()
        _LOG.warning("consumer.replaced", hop=self.hop, reason=reason)
        threading.Thread(target=self._consumer.close, name="left consumer", daemon=True).start()
        for place in self.ledger.places():
            self.ledger.revoke(place)
        self._fresh.clear()
        self._done.clear()
        self._watchdog = Watchdog(self._patience_s)
        self._open()

    def _open(self) -> None:
        self._consumer = Consumer(self._config)
        self._consumer.subscribe(
            self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    def _hears(self, now: float) -> bool:
        """Whether the brokers answer this consumer. One that they do not answer for the whole patience is replaced.

        Both are asked: who has the records, and who keeps the group's offsets; without these nothing is ever fetched.
        """
        place = next(iter(self.ledger.places()), None)
        try:
            if place is not None:
                self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=LOOK_EVERY_S)
                self._consumer.committed([TopicPartition(*place)], timeout=LOOK_EVERY_S)
            self._heard = now
        except KafkaException as error:
            if now - self._heard > self._patience_s:
                self._heard = now
                self.reopen(f"no broker answered for {self._patience_s:g} s: {error.args[0]}")
            return False
        return True

    def close(self) -> None:
        """Leaves the group."""
        self._consumer.close()

    def _records(self, messages: Sequence[Message]) -> list[Record]:
        """Messages as records of the present assignment, each counted as delivered; repeats are passed over."""
        if self._fresh and messages:
            self._recall()
        ledger, done, found = self.ledger, self._done, list[Record]()
        for message in messages:
            if (error := message.error()) is not None:
                self._fail_if_fatal(error)
                continue
            place, offset = (message.topic(), message.partition()), message.offset()
            if (epoch := ledger.epoch(place)) is None:
                continue
            ledger.deliver(place, offset)
            if done and offset in done.get(place, ()):
                metrics.PASSED_OVER.labels(self.hop).inc()
                ledger.complete(place, offset, epoch)
                continue
            found.append(Record(*place, offset, message.key(), message.value(), _headers(message), epoch))
        return found

    def _fail_if_fatal(self, error: KafkaError) -> None:
        # A fatal error comes out of poll() with code _FATAL while its fatal() says False (librdkafka 2.16).
        if error.fatal() or error.code() == KafkaError._FATAL:
            raise IntakeError(f"the consumer of {self.hop!r} is broken: {error}")

    def _on_assign(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        if consumer is not self._consumer:
            return
        for partition in partitions:
            self.ledger.assign((partition.topic, partition.partition))
            self._fresh.add((partition.topic, partition.partition))
        self.assignments += 1
        _LOG.info("partitions.assigned", hop=self.hop, partitions=_names(partitions))

    def _on_revoke(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        if consumer is not self._consumer:
            return
        self.revocations += 1
        for partition in partitions:
            self.ledger.revoke((partition.topic, partition.partition))
            self._fresh.discard((partition.topic, partition.partition))
            self._done.pop((partition.topic, partition.partition), None)
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

    def _recall(self) -> None:
        """Learns what a predecessor completed beyond its commits: those records are passed over.

        Where the broker does not say, they are done again, which is harmless: this is a saving, no guarantee.
        """
        try:
            found = self._ask_committed()
        except KafkaException as error:
            _LOG.warning("offsets.unknown", hop=self.hop, reason=str(error.args[0]))
            found = {}
        for place, known in found.items():
            if place in self._fresh and known.offset >= 0:
                self._done[place] = decode(known.offset, known.metadata)
        self._fresh.clear()

    def _committed(self) -> dict[Partition, TopicPartition]:
        """The group's offsets as the broker has them, stable ones only; none, and a new consumer, where it can't say.

        Between two tries it polls: a member that lost its place in the group gets no answer before it has joined again,
        which takes a poll. What comes in meanwhile is only counted as delivered, since the caller seeks back before it.
        """
        for _ in range(ASK_TIMES):
            try:
                return self._ask_committed()
            except KafkaException as error:
                _LOG.warning("offsets.waiting", hop=self.hop, reason=str(error.args[0]))
            message = self._consumer.poll(ASK_AGAIN_S)
            if message is not None and message.error() is None:
                place = (message.topic(), message.partition())
                if self.ledger.epoch(place) is not None:
                    self.ledger.deliver(place, message.offset())
        self.reopen("the committed offsets could not be read")
        return {}

    def _ask_committed(self) -> dict[Partition, TopicPartition]:
        mine = [TopicPartition(*place) for place in self.ledger.places()]
        found = self._consumer.committed(mine, timeout=ASK_TIMEOUT_S) if mine else []
        for each in found:
            if each.error is not None:
                raise KafkaException(each.error)
        return {(each.topic, each.partition): each for each in found}

    def _positions(self) -> dict[Partition, tuple[int, int]]:
        mine = [TopicPartition(*place) for place in self.ledger.places()]
        found = {}
        for at in self._consumer.position(mine):
            end = self._consumer.get_watermark_offsets(at, cached=True)
            if at.offset >= 0 and end is not None and end[1] >= 0:
                found[(at.topic, at.partition)] = (at.offset, end[1])
        return found


def _headers(message: Message) -> Headers:
    found = message.headers()
    return tuple([(name, value or b"") for name, value in found]) if found else ()


def _names(partitions: Iterable[TopicPartition]) -> list[str]:
    return [f"{partition.topic}/{partition.partition}" for partition in partitions]
