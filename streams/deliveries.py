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
from streams.routing import Router, send
from streams.settings import Kafka
from streams.transactions import AbortedError

_LOG = structlog.get_logger(__name__)
_WAIT_S: Final = 0.05
CommitOffsets = Callable[[Sequence[TopicPartition]], None]


class PlainProducer:
    """Delivers batches at least once. The same calls as `TransactionalProducer`, so that a batch hop runs on either.

    `commit` raises AbortedError where a record was not delivered in time: the batch is then done again.
    """

    def __init__(
        self, kafka: Kafka, hop: str, commit_offsets: Callable[[Sequence[TopicPartition]], None], clock: Clock
    ) -> None:
        self._kafka = kafka
        self._hop = hop
        self._commit_offsets = commit_offsets
        self._clock = clock
        self._failed: list[str] = []
        self._producer: Any = None
        self._router: Any = None

    def open(self, keep_alive: Callable[[], None] = lambda: None) -> None:
        """Makes the producer; nothing has to be asked of the cluster."""
        keep_alive()
        # A record that is not delivered within this is done again, so it must not arrive later still.
        config = producer_config(self._kafka, **{"message.timeout.ms": self._kafka.transaction_timeout_ms})
        self._producer = Producer(config)
        self._router = Router(self._producer)

    def renew(self, reason: str) -> None:
        """Replaces the producer."""
        metrics.RECYCLES.labels(self._hop).inc()
        _LOG.info("producer.recycled", hop=self._hop, reason=reason)
        self.close()
        self.open()

    def commit(self, outgoing: Iterable[Outgoing], offsets: Sequence[TopicPartition], group: Any) -> None:  # noqa: ARG002  # a transaction needs it
        """Delivers the records, then commits the offsets without waiting for that."""
        self._failed.clear()
        deadline = self._clock.monotonic() + self._kafka.transaction_timeout_ms / 1000
        try:
            self._produce(outgoing, deadline)
            left = self._producer.flush(max(_WAIT_S, deadline - self._clock.monotonic()))
            if left or self._failed:
                raise AbortedError(
                    f"{left} records not delivered in time, {len(self._failed)} refused: {self._failed[:1]}"
                )
            self._commit_offsets(offsets)
        except (AbortedError, KafkaException, BufferError, ClusterUnavailableError, TopicMissingError) as error:
            metrics.ABORTS.labels(self._hop).inc()
            _LOG.warning("batch.undelivered", hop=self._hop, reason=str(error))
            # What is still queued would arrive a second time beside the batch that is done again.
            self.renew(str(error))
            raise AbortedError(str(error)) from error

    def close(self) -> None:
        if self._producer is None:
            return
        with contextlib.suppress(KafkaException):
            self._producer.purge()
        self._producer = self._router = None

    def _produce(self, outgoing: Iterable[Outgoing], deadline: float) -> None:
        producer, router = self._producer, self._router
        for out in outgoing:
            try:
                send(producer, router, out, self._report)
            except BufferError:
                self._produce_when_there_is_room(out, deadline)

    def _produce_when_there_is_room(self, out: Outgoing, deadline: float) -> None:
        while True:
            self._producer.poll(_WAIT_S)
            try:
                send(self._producer, self._router, out, self._report)
                return
            except BufferError:
                if self._clock.monotonic() > deadline:
                    raise

    def _report(self, error: Any, _message: Any) -> None:
        if error is not None:
            self._failed.append(str(error))
