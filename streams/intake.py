"""The consumer side of a hop: reads batches, keeps the ledger of its assignments, pauses, rewinds, watches for stalls.

Rebalance callbacks only note what happened: no pausing in them (librdkafka#5591), no waiting. What must be said before
a partition goes (`leaving`) is a commit that is not waited for.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from processors.ports import Clock
from streams import metrics
from streams.bounded import Bounded, StuckError
from streams.clients import client_config, consumer_config
from streams.commits import OffsetLedger
from streams.errors import StreamsError
from streams.fetching import fetched, headers_of, runs
from streams.lookout import Lookout, SilentError
from streams.records import Partition, Record
from streams.refusals import log_refusal
from streams.runs import decode
from streams.settings import Kafka, Worker
from streams.transactions import AbortedError

_LOG = structlog.get_logger(__name__)
# Long enough for a loaded coordinator, short enough that a member that must join again does so soon.
ASK_TIMEOUT_S: Final = 2.0
FULL_QUEUE_BACKOFF_MS: Final = 5
MARK_TIMEOUT_S: Final = 5.0
ASK_AGAIN_S: Final = 0.2
ASK_TIMES: Final = 4
# A static member's id is free once its predecessor has left, or its session is over: asked soon, then ever more seldom.
REFUSED_S: Final = 0.25
REFUSED_MAX_S: Final = 2.0
_UNRELEASED: Final = KafkaError(KafkaError.UNRELEASED_INSTANCE_ID).str()


class IntakeError(StreamsError):
    """The consumer is broken for good; the worker ends, to be started again."""


class Intake:
    """Reads the records of a group's topics. Use it from one thread: the poll thread of a hop."""

    def __init__(self, kafka: Kafka, worker: Worker, group: str, topics: Sequence[str], clock: Clock) -> None:
        self.hop = group
        self.ledger = OffsetLedger()
        metrics.announce(group)
        self.assignments = 0
        self._clock = clock
        self._asking = client_config(kafka)
        self._lookout = Lookout(worker.stall_s, clock, self._asking)
        self.revocations = 0
        self._lost_at = -math.inf
        self.replaced = 0
        self._paused = False
        self.leaving: Callable[[Sequence[Partition]], None] = lambda _: None
        self.uncommitted = 0
        self._held: frozenset[Partition] = frozenset()
        self._held_of = self.assignments
        self._refusals = 0
        self._join_at: float | None = None
        self._fresh: set[Partition] = set()
        self._done: dict[Partition, frozenset[int]] = {}
        self.met: dict[Partition, tuple[int, str | None]] = {}
        """What the last owners of partitions assigned since left: offset and metadata. Whoever looks takes it out."""
        self._marking = Bounded("marks")
        self._topics = list(topics)
        self._only_topic = topics[0] if len(topics) == 1 and not topics[0].startswith("^") else None
        self._patience_s = worker.stall_s
        self._most_bytes = worker.queue_kbytes * 1024
        self._config = self._configured(kafka, worker)
        self._consumer: Any = None
        self._open()

    def _configured(self, kafka: Kafka, worker: Worker) -> dict[str, Any]:
        return consumer_config(
            kafka,
            self.hop,
            **{
                "queued.max.messages.kbytes": worker.queue_kbytes,
                # A full queue is asked about again after a second by default: it would be empty most of that time.
                "fetch.queue.backoff.ms": FULL_QUEUE_BACKOFF_MS,
                "isolation.level": "read_committed",
                "on_commit": self._on_commit,
                **({"group.instance.id": f"{self.hop}-{worker.slot}"} if worker.static_member else {}),
                **({"group.remote.assignor": "range"} if kafka.group_protocol == "consumer" else {}),
            },
        )

    def read(self, most: int, wait_s: float) -> list[Record]:
        """Up to `most` records: waits for the first, then takes what is there (`consume` alone would wait for all)."""
        if self._join_at is not None and not self._joined_again(wait_s):
            return []
        first = self._consumer.poll(wait_s)
        if not self._paused:
            # A partition comes back as paused as it was when it was taken.
            self.hold(self._held)
        if first is None:
            self._lookout.emptied(True)
            return []
        rest, are_all = fetched(self._consumer, most - 1, self._most_bytes - len(first))
        self._lookout.emptied(are_all)
        return self._records([first, *rest])

    def more(self, most: int, wait_s: float) -> list[Record]:
        """What else arrives within `wait_s`, to fill a batch under backlog."""
        messages = self._consumer.consume(most, wait_s)
        self._lookout.emptied(len(messages) < most)
        return self._records(messages)

    def current(self, record: Record) -> bool:
        """Whether the record was read in the present assignment of its partition."""
        return self.ledger.epoch((record.topic, record.partition)) == record.epoch

    def all_current(self, stamps: Iterable[tuple[str, int, int]]) -> bool:
        """Whether each assignment, as topic, partition and epoch, is the present one."""
        return all(self.ledger.epoch((topic, partition)) == epoch for topic, partition, epoch in stamps)

    def still_ours(self, records: list[Record], since: int) -> bool:
        """Whether nothing was taken away since `revocations` was `since`: then each record is current."""
        return since == self.revocations or all(map(self.current, records))

    def pause(self) -> None:
        """Stops fetching, while polling goes on. Do it again after every assignment, for what comes new is fetched."""
        self._paused = True
        self._apply(self._consumer.pause)

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._apply(self._consumer.resume, set(self.ledger.places()) - self._held)

    def hold(self, held: frozenset[Partition]) -> None:
        """Fetches from all partitions but these. Say it every turn: it acts where that or the assignment changed."""
        if held == self._held and self._held_of == self.assignments:
            return
        self._held, self._held_of = held, self.assignments
        mine = set(self.ledger.places())
        for places, act in ((mine & held, self._consumer.pause), (mine - held, self._consumer.resume)):
            if places:
                self._apply(act, places)

    def recalled(self, place: Partition) -> frozenset[int]:
        """The offsets that a predecessor had completed beyond its last commit."""
        return self._done.get(place, frozenset())

    def rewind(self) -> None:
        """Reads again from the committed offsets of every partition that is ours.

        The broker is asked, for a commit whose outcome is unknown may have happened: what we remember would then do its
        batch a second time. Call it once the producer is aborted or replaced, so that nothing is pending any more.
        """
        for place, known in self._committed().items():
            self.ledger.read_back(place, known.offset if known.offset >= 0 else None)
            resume = self.ledger.resume_at(place)
            self.ledger.rewind(place)
            if resume is not None:
                self._seek(place, resume)

    def group_metadata(self) -> Any:
        return self._consumer.consumer_group_metadata()

    def commit(self, offsets: Iterable[TopicPartition]) -> None:
        """Commits without waiting; `uncommitted` counts those that failed, to be said again."""
        self._consumer.commit(offsets=list(offsets), asynchronous=True)

    def commit_now(self, offsets: Sequence[TopicPartition]) -> None:
        """Commits and waits: the last act before leaving the group."""
        if offsets:
            self._consumer.commit(offsets=list(offsets), asynchronous=False)

    def mark(self, texts: Mapping[Partition, str], wait: bool) -> None:
        """Commits the offset again at which each partition resumes, with words beside it (`suspects.py`).

        Raises AbortedError where it waits and the words may not be there.
        """
        at = {place: self.ledger.resume_at(place) for place in texts}
        marks = [TopicPartition(*place, offset, texts[place]) for place, offset in at.items() if offset is not None]
        if not wait:
            with contextlib.suppress(KafkaException):
                self.commit(marks)
            return
        try:
            self._confirm(at)
            self._marking(partial(self.commit_now, marks), MARK_TIMEOUT_S)
        except (KafkaException, StuckError) as error:
            raise AbortedError(f"what is in hand could not be marked: {error}") from error

    def _confirm(self, offsets: Mapping[Partition, int | None]) -> None:
        """Raises AbortedError where a commit was promised and not carried out: a mark above it would lose records."""
        promised = {place for place in offsets if self.ledger.confirmed(place)}
        known = self._ask_committed() if promised else {}
        for place in promised:
            if place in known and known[place].offset != offsets[place]:
                raise AbortedError(f"wanted {place} committed up to {offsets[place]}, found {known[place].offset}")

    def watch(self) -> None:
        """Looks for stalls once a second: seeks again what stands still, and begins again where only that helps."""
        if not self._lookout.is_due():
            return
        places, silent, standing = self.ledger.places(), "", list[Partition]()
        try:
            standing = self._lookout.look(self._consumer, places, places if self._paused else self._held)
        except SilentError as error:
            silent = str(error)
        if silent:  # Not while the error is handled: a call that fails then would leak it, and the consumer with it.
            self.reopen(silent)
            return
        metrics.observe_positions(self.hop, self._lookout.positions, len(places))
        for place in standing:
            metrics.STALLS.labels(self.hop).inc()
            _LOG.warning("partition.stalled", hop=self.hop, topic=place[0], partition=place[1])
            self._seek(place, self._lookout.positions[place][0])

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
        self._lookout = Lookout(self._patience_s, self._clock, self._asking)
        self._open()

    def _open(self) -> None:
        self._consumer = Consumer(self._config)
        self._consumer.subscribe(
            self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )

    def close(self) -> None:
        """Leaves the group."""
        self._consumer.close()

    def _records(self, messages: Sequence[Message]) -> list[Record]:
        """Messages as records of the present assignment, each counted as delivered; repeats are passed over."""
        if self._fresh and messages:
            self._recall()
        found = list[Record]()
        # A fetch brings runs of one partition: what is the same for all of a run is looked up once.
        for place, run in runs(messages, self._only_topic, self._fail_if_fatal):
            if (epoch := self.ledger.epoch(place)) is None:
                continue
            self.ledger.deliver_run(place, [message.offset() for message in run])
            found += self._of_run(place, epoch, run)
        return found

    def _of_run(self, place: Partition, epoch: int, run: Sequence[Message]) -> list[Record]:
        done = self._done.get(place)
        if done:
            repeated = [offset for message in run if (offset := message.offset()) in done]
            metrics.PASSED_OVER.labels(self.hop).inc(len(repeated))
            self.ledger.complete_run(place, repeated, epoch)
            run = [message for message in run if message.offset() not in done]
        topic, partition = place
        return [
            Record(topic, partition, message.offset(), message.key(), message.value(), headers_of(message), epoch)
            for message in run
        ]

    def _fail_if_fatal(self, error: KafkaError) -> None:
        # A fatal error comes out of poll() with code _FATAL while its fatal() says False (librdkafka 2.16).
        if not error.fatal() and error.code() != KafkaError._FATAL:
            log_refusal(error)
            return
        if _UNRELEASED not in error.str():
            raise IntakeError(f"the consumer of {self.hop!r} is broken: {error}")
        wait_s = min(REFUSED_S * 2**self._refusals, REFUSED_MAX_S)
        self._refusals += 1
        self._join_at = self._clock.monotonic() + wait_s
        _LOG.warning("consumer.refused", hop=self.hop, reason="the last of this static id has not left", again_s=wait_s)

    def _joined_again(self, wait_s: float) -> bool:
        """A refused consumer is good for nothing more: after a while a new one takes its place."""
        assert self._join_at is not None
        if self._clock.monotonic() < self._join_at:
            threading.Event().wait(wait_s)
            return False
        self._join_at = None
        threading.Thread(target=self._consumer.close, name="refused consumer", daemon=True).start()
        self._open()
        return True

    def _on_commit(self, error: KafkaError | None, _partitions: list[TopicPartition]) -> None:
        if error is not None:
            # A rebalance refuses what was under way: common, and mended by saying it again.
            self.uncommitted += 1
            _LOG.debug("commit.failed", hop=self.hop, reason=error.str())

    def _on_assign(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        if consumer is not self._consumer:
            return
        for partition in partitions:
            self.ledger.assign((partition.topic, partition.partition))
            self._fresh.add((partition.topic, partition.partition))
        self.assignments += 1
        metrics.observe_rebalance(self.hop, self._clock.monotonic() - self._lost_at)
        self._lost_at = -math.inf
        self._refusals = 0
        _LOG.info("partitions.assigned", hop=self.hop, partitions=_names(partitions))

    def _on_revoke(self, consumer: Any, partitions: list[TopicPartition]) -> None:
        if consumer is not self._consumer:
            return
        self.revocations += 1
        self._lost_at = self._clock.monotonic()
        self.leaving([(partition.topic, partition.partition) for partition in partitions])
        for partition in partitions:
            self.ledger.revoke((partition.topic, partition.partition))
            self._fresh.discard((partition.topic, partition.partition))
            self._done.pop((partition.topic, partition.partition), None)
        _LOG.info("partitions.revoked", hop=self.hop, partitions=_names(partitions))

    def _apply(self, act: Any, places: Iterable[Partition] | None = None) -> None:
        mine = [TopicPartition(*place) for place in (self.ledger.places() if places is None else places)]
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
            if place in self._fresh:
                self._done[place] = decode(max(0, known.offset), known.metadata)
                self.met[place] = (known.offset, known.metadata)
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


def _names(partitions: Iterable[TopicPartition]) -> list[str]:
    return [f"{partition.topic}/{partition.partition}" for partition in partitions]
