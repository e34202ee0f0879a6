"""The plain producer of a batch hop that is allowed to repeat itself: results first, offsets once they are delivered.

Use it where duplicates are harmless and milliseconds count: it saves the transaction's round trips. The order is what
makes it at least once: an offset is committed only when every result before it is acknowledged by all replicas.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import structlog
from confluent_kafka import KafkaException, Producer, TopicPartition

from processors.ports import Clock
from streams import metrics
from streams.clients import producer_config
from streams.errors import ClusterUnavailableError, TopicMissingError
from streams.records import Outgoing
from streams.routing import Router, has_sent
from streams.settings import Kafka
from streams.transactions import AbortedError

_LOG = structlog.get_logger(__name__)
_WAIT_S: Final = 0.05
# Enough to keep the brokers busy while the next batches are handled.
WINDOW: Final = 8
QUEUE_KBYTES: Final = 65_536
FINISH_S: Final = 5.0
CommitOffsets = Callable[[Sequence[TopicPartition]], None]


class PlainProducer:
    """Delivers batches at least once. The same calls as `TransactionalProducer`, so that a batch hop runs on either.

    Some batches are on their way at a time; offsets are committed when nothing is on its way any more. Only refusals
    are reported one by one: a call back for every record that arrives would cost a fifth of the throughput.
    `commit` and `settle` raise AbortedError where a record was not delivered: what is uncommitted is then done again.
    """

    def __init__(self, kafka: Kafka, hop: str, commit_offsets: CommitOffsets, clock: Clock) -> None:
        self._kafka = kafka
        self._hop = hop
        self._commit_offsets = commit_offsets
        self._clock = clock
        self._sent: list[Sequence[TopicPartition]] = []
        self._refused = ""
        self._producer: Any = None
        self._router: Any = None

    def open(self, _keep_alive: Callable[[], None] = lambda: None) -> None:
        """Makes the producer; nothing has to be asked of the cluster."""
        limits = {
            # A record that is not delivered within this is done again, so it must not arrive later still.
            "message.timeout.ms": self._kafka.transaction_timeout_ms,
            "queue.buffering.max.kbytes": QUEUE_KBYTES,
            "delivery.report.only.error": True,
        }
        self._producer = Producer(producer_config(self._kafka, **limits))
        self._router = Router(self._producer)

    def renew(self, reason: str) -> None:
        """Replaces the producer: what is still queued would arrive a second time beside what is done again."""
        metrics.RECYCLES.labels(self._hop).inc()
        _LOG.info("producer.recycled", hop=self._hop, reason=reason)
        self.close()
        self.open()

    def commit(
        self,
        outgoing: Sequence[Outgoing],
        offsets: Sequence[TopicPartition],
        group: Any,  # noqa: ARG002  # a transaction needs it
        meanwhile: Any = None,  # noqa: ARG002  # nothing is waited for
    ) -> Sequence[TopicPartition]:
        """Sends a batch; returns the offsets that could be committed meanwhile, of this batch or of earlier ones."""
        deadline = self._clock.monotonic() + self._kafka.transaction_timeout_ms / 1000
        try:
            self._produce(outgoing, deadline)
            self._sent.append(offsets)
            while len(self._sent) >= WINDOW and len(self._producer):
                # Each record has a deadline of its own, after which it counts as refused.
                self._producer.flush(_WAIT_S)
            return self.settle()
        except (KafkaException, BufferError, ClusterUnavailableError, TopicMissingError) as error:
            refusal = str(error)
        # Not while the error is handled: a call that fails then would leak it, and the producer with it.
        raise self._aborted(refusal)

    def settle(self) -> Sequence[TopicPartition]:
        """Commits the offsets of what was delivered since; the answer to that is not waited for."""
        self._producer.poll(0)
        if self._refused:
            raise self._aborted(self._refused)
        if not self._sent or len(self._producer):
            return ()
        done = {(at.topic, at.partition): at for offsets in self._sent for at in offsets}
        self._sent.clear()
        offsets = tuple(done.values())
        if offsets:
            self._commit_offsets(offsets)
        return offsets

    def finish(self) -> None:
        """Waits a moment for what is on its way, before the group is left."""
        self._producer.flush(FINISH_S)
        self.settle()

    def close(self) -> None:
        """Lets go of the producer and of what it did not deliver."""
        self._sent.clear()
        self._refused = ""
        if self._producer is None:
            return
        with contextlib.suppress(KafkaException):
            self._producer.purge()
        self._producer = self._router = None

    def _aborted(self, reason: str) -> AbortedError:
        metrics.ABORTS.labels(self._hop).inc()
        _LOG.warning("batch.undelivered", hop=self._hop, reason=reason)
        self.renew(reason)
        return AbortedError(reason)

    def _on_delivery(self, error: Any, _message: Any) -> None:
        if error is not None:
            self._refused = str(error)

    def _produce(self, outgoing: Iterable[Outgoing], deadline: float) -> None:
        for out in outgoing:
            while not has_sent(self._producer, self._router, out, self._on_delivery):
                self._producer.poll(_WAIT_S)
                if self._clock.monotonic() > deadline:
                    raise BufferError("the producer's queue was full until the batch's time was over")
