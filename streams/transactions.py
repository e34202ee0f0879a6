"""The transactional producer and its error contract (`docs/adr/0006`): a batch and its offsets, all or nothing.

The way of a batch (`TransactionalProducer.commit`):
1. Where a broker was lost since the last transaction, replace the producer: librdkafka lacks KIP-890 part 2, and a
   delayed EndTxn could end the next transaction instead (KAFKA-17754). The new epoch makes the broker refuse it. The
   batch is given up with it, for what the last commit said may not have come true (`sweeping.py`).
2. Begin. The results exist already, so a transaction lasts as long as a few round trips, never as long as a model.
3. Produce all results, dead letters included.
4. Add the offsets, with the group's metadata: that is what fences a zombie (KIP-447).
5. Commit. A retriable error means the same call again, within one deadline for all of it.
   The offsets' call gets a deadline of ours on top, since it may ignore its own.
   From here on the caller may poll its consumer (`meanwhile`): who is given a partition of this batch that is taken
   away now reads its offsets only when the transaction is over. Before step 4 ended it would read old ones.
6. Serve the callbacks, to learn whether anything was indefinite although the commit said yes (`hearing.py`).
Any failure: abort; replace the producer where that fails too, or the error was fatal or indefinite; raise AbortedError:
the caller rewinds. A new producer first sweeps up what its predecessor may have left open.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from processors.ports import Clock
from streams import metrics
from streams.bounded import Bounded, StuckError
from streams.clients import LOGGER, producer_config
from streams.errors import ClusterUnavailableError, StreamsError, TopicMissingError
from streams.hearing import ConnectionListener
from streams.records import Outgoing
from streams.refusals import log_refusal
from streams.routing import Router, has_sent
from streams.settings import Kafka
from streams.sweeping import Reach, group_metadata, sweep
from streams.unmasking import unmasked

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


@dataclass(frozen=True)
class _Failure:
    """How a call of the client library failed. `error` is its own, where it gave one."""

    reason: str
    error: KafkaError | None = None
    is_stuck: bool = False

    @property
    def is_indefinite(self) -> bool:
        """Nobody knows whether it was done, or this producer can do nothing more."""
        return self.error is not None and (self.error.fatal() or self.error.code() in _INDEFINITE)


class AbortedError(StreamsError):
    """The transaction did not happen, or nobody knows: go back to the committed offsets and do the batch again."""


class ProducerLostError(StreamsError):
    """No producer could be had for two minutes; the worker ends, to be started again."""


class TransactionalProducer:
    """Commits batches in transactions under one stable id. Use one per hop and slot, from one thread.

    Raises AbortedError from `commit`, ProducerLostError where the cluster stays away.
    """

    def __init__(self, kafka: Kafka, transactional_id: str, reach: Reach, clock: Clock) -> None:
        self._kafka = kafka
        self._id = transactional_id
        self._reach = reach
        self._hop = reach.group
        self._clock = clock
        self._disturbed = False
        self._group: Any = None
        self._bounded = Bounded(reach.group)
        self._producer: Any = None
        self._router: Any = None

    def open(self, keep_alive: Callable[[], None] = lambda: None) -> None:
        """Makes a producer; fences a living predecessor of the same id and closes what a dead one left open."""
        give_up = self._clock.monotonic() + GIVE_UP_AFTER_S
        while (failure := self._failure_of(self._make)) is not None:
            self._discard()
            if self._clock.monotonic() > give_up:
                raise ProducerLostError(
                    f"no transactional producer {self._id!r} for {GIVE_UP_AFTER_S:g} s: {failure.reason}"
                )
            _LOG.warning("producer.waiting", hop=self._hop, reason=failure.reason)
            keep_alive()

    def commit(
        self,
        outgoing: Sequence[Outgoing],
        offsets: Sequence[TopicPartition],
        group: Any,
        meanwhile: Callable[[], object] | None = None,
    ) -> Sequence[TopicPartition]:
        """Writes the records and the offsets in one transaction, or raises AbortedError and writes nothing.

        `meanwhile` is done while the brokers end it.
        """
        if self._is_disturbed():
            self.renew("a broker was lost since the last transaction")
            raise AbortedError("the producer was replaced; what the last commit said is read back first")
        failure = self._failure_of(lambda: self._write(outgoing, list(offsets), group, meanwhile))
        if failure is not None:
            go_back = self._abandon if failure.is_stuck else self._undo
            go_back(failure)
            raise AbortedError(failure.reason)
        self._is_disturbed()
        return offsets

    def _write(
        self,
        outgoing: Sequence[Outgoing],
        offsets: list[TopicPartition],
        group: Any,
        meanwhile: Callable[[], object] | None,
    ) -> None:
        deadline = self._clock.monotonic() + self._kafka.transaction_timeout_ms / 1000
        self._producer.begin_transaction()
        self._produce(outgoing, deadline)
        self._until(deadline, partial(self._send_offsets, offsets, group))
        self._end(deadline, meanwhile)

    @staticmethod
    def _failure_of(call: Callable[[], object]) -> _Failure | None:
        """How a call failed, None where it did not; what to do about it is done when the error is gone.

        A call of the client library that fails while an error is handled leaks that error (2.16), with its frames, and
        in these the producer, whose threads then wake up a thousand times a second until the process ends.
        """
        try:
            with unmasked():
                call()
        except StuckError as error:
            return _Failure(str(error), is_stuck=True)
        except KafkaException as error:
            return _Failure(str(error.args[0]), error.args[0])
        except (BufferError, ClusterUnavailableError, TopicMissingError) as error:
            return _Failure(str(error))
        return None

    def settle(self) -> Sequence[TopicPartition]:
        """Nothing is on its way between two transactions."""
        return ()

    def finish(self) -> None:
        """Nothing is on its way between two transactions."""

    def close(self) -> None:
        """Lets go of the producer; an open transaction is aborted by the next one of this id."""
        self._discard()
        self._bounded.close()

    def _make(self) -> None:
        config = producer_config(
            self._kafka,
            **{
                "transactional.id": self._id,
                "transaction.timeout.ms": self._kafka.transaction_timeout_ms,
                "retry.backoff.ms": 5,
                "error_cb": self._on_error,
                "debug": "broker",
                "logger": ConnectionListener(self._on_lost, LOGGER),
            },
        )
        self._producer = Producer(config)
        self._router = Router(self._producer)
        self._producer.init_transactions(self._kafka.deadline_s)
        self._group = group_metadata(self._kafka, self._reach)
        # Connections that came and went on the way here were before the first transaction.
        self._producer.poll(0)
        self._disturbed = False
        timeout_s = self._kafka.transaction_timeout_ms / 1000
        sweep(self._producer, self._router, self._reach, partial(self._send_offsets, group=self._group), timeout_s)

    def _on_lost(self, _line: str) -> None:
        self._disturbed = True

    def _on_error(self, error: KafkaError) -> None:
        log_refusal(error)
        if error.code() in _INDEFINITE:
            self._disturbed = True

    def _produce(self, outgoing: Iterable[Outgoing], deadline: float) -> None:
        for out in outgoing:
            while not has_sent(self._producer, self._router, out):
                self._producer.poll(0.05)
                if self._clock.monotonic() > deadline:
                    raise BufferError("the producer's queue was full until the transaction's time was over")

    def _send_offsets(self, offsets: list[TopicPartition], group: Any, timeout_s: float) -> None:
        send_offsets = partial(self._producer.send_offsets_to_transaction, offsets, group, timeout_s)
        self._bounded(send_offsets, timeout_s + GRACE_S, hopeless=self._is_disturbed)

    def _end(self, deadline: float, meanwhile: Callable[[], object] | None) -> None:
        end = partial(self._until, deadline, self._producer.commit_transaction)
        if meanwhile is None:
            end()
        else:
            self._bounded(end, deadline - self._clock.monotonic() + GRACE_S, meanwhile=meanwhile)

    def _is_disturbed(self) -> bool:
        if (failure := self._failure_of(lambda: self._producer.poll(0))) is not None:
            # Fatal: it was fenced, by whom and when is for the next producer to find out.
            _LOG.warning("producer.failed", hop=self._hop, reason=failure.reason)
            self._disturbed = True
        return self._disturbed

    def _abandon(self, failure: _Failure) -> None:
        """Leaves a producer to its stuck call, untouched; the next one of this id fences it and aborts its work."""
        metrics.ABORTS.labels(self._hop).inc()
        metrics.RECYCLES.labels(self._hop).inc()
        _LOG.warning("producer.abandoned", hop=self._hop, reason=failure.reason)
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

    def _undo(self, failure: _Failure) -> None:
        """Aborts; replaces the producer where that fails, or nobody knows what became of the transaction."""
        metrics.ABORTS.labels(self._hop).inc()
        _LOG.warning("transaction.aborted", hop=self._hop, reason=failure.reason)
        if failure.is_indefinite:
            self.renew(failure.reason)
        elif (abort := self._failure_of(self._abort)) is not None:
            self.renew(abort.reason)
        elif self._disturbed:
            self.renew("a broker was lost in the transaction")

    def _abort(self) -> None:
        self._producer.abort_transaction(self._kafka.transaction_timeout_ms / 1000)
        self._producer.poll(0)

    def renew(self, reason: str) -> None:
        """Replaces the producer, which closes what is open under its id: the caller reads its offsets again."""
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
