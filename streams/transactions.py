"""The transactional producer and its error contract (`docs/adr/0006`): a batch and its offsets, all or nothing.

The way of a batch (`TransactionalProducer.commit`):
1. Replace the producer if the last transaction saw an indefinite error: librdkafka lacks KIP-890 part 2, and a delayed
   EndTxn could end the next transaction instead (KAFKA-17754). The new epoch makes the broker refuse it.
2. Begin. The results exist already, so a transaction lasts as long as a few round trips, never as long as a model.
3. Produce all results, dead letters included.
4. Add the offsets, with the group's metadata: that is what fences a zombie (KIP-447).
5. Commit. A retriable error means the same call again, within one deadline for all of it.
   The offsets' call gets a deadline of ours on top, since it may ignore its own.
6. Serve the error callbacks, to learn whether anything was indefinite although the commit said yes.
Any failure: abort, or replace the producer where that fails too or the error was fatal or indefinite, and raise
AbortedError: the caller rewinds.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitedTooLongError
from functools import partial
from typing import Any, Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from processors.ports import Clock
from streams import metrics
from streams.clients import producer_config
from streams.errors import ClusterUnavailableError, StreamsError, TopicMissingError
from streams.records import Outgoing
from streams.routing import Router, send
from streams.settings import Kafka

_LOG = structlog.get_logger(__name__)

# After these nobody knows whether the broker did what it was asked.
_INDEFINITE: Final = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NETWORK_EXCEPTION,
    }
)
# A broker that restarts is back long before; without one for this long only a restart of the worker may help.
GIVE_UP_AFTER_S: Final = 120.0
# send_offsets_to_transaction ignores its timeout where the group's coordinator is gone (librdkafka#5456, #5511): it is
# given this much longer than it was told, then its producer is left behind.
GRACE_S: Final = 1.0


class AbortedError(StreamsError):
    """The transaction did not happen, or nobody knows: go back to the committed offsets and do the batch again.

    `indefinite` says that a broker was away: the consumer beside the producer has lost touch too.
    """

    def __init__(self, reason: str, indefinite: bool = False) -> None:
        super().__init__(reason)
        self.indefinite = indefinite


class ProducerLostError(StreamsError):
    """No producer could be had for two minutes; the worker ends, to be started again."""


class StuckError(StreamsError):
    """A call of the client library did not come back within the time it was given."""


def bounded(call: Callable[[], None], timeout_s: float) -> None:
    """Runs a call that may ignore its own timeout, and stops waiting for it in time. Raises StuckError.

    The thread of a stuck call is left behind: it ends when the call does, or with the process.
    """
    done: Future[None] = Future()

    def run() -> None:
        try:
            call()
            done.set_result(None)
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="bounded call", daemon=True).start()
    try:
        done.result(timeout_s)
    except WaitedTooLongError as error:
        raise StuckError(f"wanted an answer within {timeout_s:.1f} s, the client library gave none") from error


class TransactionalProducer:
    """Commits batches in transactions under one stable id. Use one per hop and slot, from one thread.

    Raises AbortedError from `commit`, ProducerLostError where the cluster stays away.
    """

    def __init__(self, kafka: Kafka, transactional_id: str, hop: str, clock: Clock) -> None:
        self._kafka = kafka
        self._id = transactional_id
        self._hop = hop
        self._clock = clock
        self._disturbed = False
        self._producer: Any = None
        self._router: Any = None

    def open(self, keep_alive: Callable[[], None] = lambda: None) -> None:
        """Makes a producer; fences a living predecessor of the same id and aborts what a dead one left open."""
        give_up = self._clock.monotonic() + GIVE_UP_AFTER_S
        while True:
            try:
                self._make()
                return
            except KafkaException as error:
                self._discard()
                if self._clock.monotonic() > give_up:
                    raise ProducerLostError(
                        f"no transactional producer {self._id!r} for {GIVE_UP_AFTER_S:g} s: {error}"
                    ) from error
                _LOG.warning("producer.waiting", hop=self._hop, reason=str(error.args[0]))
                keep_alive()

    def commit(self, outgoing: Iterable[Outgoing], offsets: Sequence[TopicPartition], group: Any) -> None:
        """Writes the records and the offsets in one transaction, or raises AbortedError and writes nothing."""
        if self._disturbed:
            self._recycle("indefinite error in the last transaction")
        deadline = self._clock.monotonic() + self._kafka.transaction_timeout_ms / 1000
        try:
            self._producer.begin_transaction()
            for out in outgoing:
                self._produce(out, deadline)
            self._until(deadline, partial(self._send_offsets, list(offsets), group))
            self._until(deadline, self._producer.commit_transaction)
        except StuckError as error:
            self._abandon(error)
            raise AbortedError(str(error), indefinite=True) from error
        except (KafkaException, BufferError, ClusterUnavailableError, TopicMissingError) as error:
            raise AbortedError(str(error), indefinite=self._undo(error)) from error
        self._producer.poll(0)

    def close(self) -> None:
        """Lets go of the producer; an open transaction is aborted by the next one of this id."""
        self._discard()

    def _make(self) -> None:
        config = producer_config(
            self._kafka,
            **{
                "transactional.id": self._id,
                "transaction.timeout.ms": self._kafka.transaction_timeout_ms,
                "retry.backoff.ms": 5,
                "error_cb": self._on_error,
            },
        )
        self._producer = Producer(config)
        self._router = Router(self._producer)
        self._producer.init_transactions(self._kafka.deadline_s)
        self._disturbed = False

    def _on_error(self, error: KafkaError) -> None:
        if error.code() in _INDEFINITE:
            self._disturbed = True

    def _produce(self, out: Outgoing, deadline: float) -> None:
        while True:
            try:
                send(self._producer, self._router, out)
                return
            except BufferError:
                if self._clock.monotonic() > deadline:
                    raise
                self._producer.poll(0.05)

    def _send_offsets(self, offsets: list[TopicPartition], group: Any, timeout_s: float) -> None:
        bounded(partial(self._producer.send_offsets_to_transaction, offsets, group, timeout_s), timeout_s + GRACE_S)

    def _abandon(self, error: Exception) -> None:
        """Leaves a producer to its stuck call, untouched; the next one of this id fences it and aborts its work."""
        metrics.ABORTS.labels(self._hop).inc()
        metrics.RECYCLES.labels(self._hop).inc()
        _LOG.warning("producer.abandoned", hop=self._hop, reason=str(error))
        self._producer = self._router = None
        self.open()

    def _until(self, deadline: float, call: Callable[[float], None]) -> None:
        while True:
            try:
                call(max(0.1, deadline - self._clock.monotonic()))
                return
            except KafkaException as error:
                if not error.args[0].retriable() or self._clock.monotonic() > deadline:
                    raise

    def _undo(self, error: Exception) -> bool:
        """Aborts, or replaces the producer; says whether the outcome had been indefinite."""
        metrics.ABORTS.labels(self._hop).inc()
        kafka_error = error.args[0] if isinstance(error, KafkaException) else None
        _LOG.warning("transaction.aborted", hop=self._hop, reason=str(kafka_error or error))
        if kafka_error is not None and kafka_error.fatal():
            self._recycle(str(kafka_error))
            return False
        try:
            self._producer.abort_transaction(self._kafka.transaction_timeout_ms / 1000)
            self._producer.poll(0)
        except KafkaException as failed:
            self._recycle(str(failed.args[0]))
            return True
        if kafka_error is not None and kafka_error.code() in _INDEFINITE:
            self._disturbed = True
        return self._disturbed

    def _recycle(self, reason: str) -> None:
        metrics.RECYCLES.labels(self._hop).inc()
        _LOG.info("producer.recycled", hop=self._hop, reason=reason)
        self._discard()
        self.open()

    def _discard(self) -> None:
        if self._producer is None:
            return
        # Not close(): it would abort and flush, waiting for a broker that may be away. The next init does both.
        with contextlib.suppress(KafkaException):
            self._producer.purge()
        self._producer = self._router = None
