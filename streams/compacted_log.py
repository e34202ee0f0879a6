"""A small table kept in a compacted topic, with one writer: the registry's schemas, and what else is of that size.

The writer is one by force: each `append` is a transaction under an id named for the topic, so a second process that
starts to write fences the first, whose next append fails instead of interleaving.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.errors import ClusterUnavailableError, StreamsError

__all__ = ["CompactedLog", "LogTakenOverError"]

# Clients of a cluster that is away report every refused connection; the caller is told once, by an error.
_QUIET: Final = logging.getLogger("headwater.compacted_log")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False

_FENCED: Final = frozenset({KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH})


class LogTakenOverError(StreamsError):
    """Another process writes this log now; this one must not any more."""


class CompactedLog:
    """Keys and their last values in one compacted partition.

    Use it for a table that fits in memory and changes rarely; a transaction is some 10 ms.

        >>> log = CompactedLog("127.0.0.1:19092", "rag.registry.schemas.v1")  # doctest: +SKIP
        >>> log.append(b"k", b"v")  # doctest: +SKIP
        >>> dict(log.load())  # doctest: +SKIP
        {b'k': b'v'}

    Every method raises ClusterUnavailableError where the cluster does not answer within `timeout_s`; whether an append
    arrived is then unknown: the next claim is a new one, after which to load again.
    """

    def __init__(self, bootstrap: str, topic: str, timeout_s: float = 5.0) -> None:
        self._topic = topic
        self._timeout_s = timeout_s
        self._client: dict[str, str | int | float | bool] = {
            "bootstrap.servers": bootstrap,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 200,
        }
        self._producer: Producer | None = None

    def load(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Every record from the beginning to what is the end now, oldest first; a later one replaces an earlier.

        Whoever claimed the log before sees all of it: a claim ends the last writer's transaction, markers included.
        A value of None says that the key was removed. The topic is made if it is missing.
        """
        self._ensure_topic()
        consumer = Consumer(
            {
                **self._client,
                "group.id": f"{self._topic}.unused",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 20,
            },
            logger=_QUIET,
        )
        try:
            consumer.assign([TopicPartition(self._topic, 0, OFFSET_BEGINNING)])
            yield from self._to_the_end(consumer)
        finally:
            consumer.close()

    def claim(self) -> bool:
        """Become the one writer; True says that this had just to be done, so what was loaded before may be outdated.

        Call it before deciding what to append. It fences whoever wrote until now.
        """
        if self._producer is not None:
            return False
        try:
            self._producer = self._new_producer()
        except KafkaException as error:
            raise self._refused("write", error) from error
        return True

    def append(self, key: bytes, value: bytes | None) -> None:
        """Write one record and return when it is committed; None removes the key. Claims the log if need be.

        Raises LogTakenOverError when another process took the log over, which is final for this one.
        """
        self.claim()
        assert self._producer is not None
        producer, delivered = self._producer, list[KafkaError | None]()
        try:
            producer.begin_transaction()
            producer.produce(
                self._topic, value=value, key=key, partition=0, on_delivery=lambda error, _: delivered.append(error)
            )
            producer.commit_transaction(self._timeout_s)
        except KafkaException as error:
            self._producer = None
            raise self._refused("append to", error) from error
        if delivered != [None]:
            self._producer = None
            raise ClusterUnavailableError(f"appending to {self._topic!r}: wanted a delivery report, got {delivered}")

    def _to_the_end(self, consumer: Consumer) -> Iterator[tuple[bytes, bytes | None]]:
        while True:
            record = consumer.poll(self._timeout_s)
            if record is None:
                raise ClusterUnavailableError(f"reading {self._topic!r}: nothing came for {self._timeout_s:g} s")
            failure = record.error()
            if failure is None:
                yield record.key() or b"", record.value()
            elif failure.code() == KafkaError._PARTITION_EOF:
                return
            elif not failure.retriable():
                raise ClusterUnavailableError(f"reading {self._topic!r}: {failure.str()}")

    def _new_producer(self) -> Producer:
        producer = Producer(
            {
                **self._client,
                "transactional.id": f"{self._topic}.writer",
                "transaction.timeout.ms": int(self._timeout_s * 1000),
                "linger.ms": 0,
            },
            logger=_QUIET,
        )
        producer.init_transactions(self._timeout_s)
        return producer

    def _ensure_topic(self) -> None:
        admin = AdminClient(dict(self._client), logger=_QUIET)
        wanted = NewTopic(self._topic, num_partitions=1, config={"cleanup.policy": "compact"})
        limits = {"request_timeout": self._timeout_s, "operation_timeout": self._timeout_s}
        try:
            admin.create_topics([wanted], **limits)[self._topic].result(self._timeout_s + 1.0)
        except FutureTimeoutError as error:
            raise ClusterUnavailableError(
                f"creating {self._topic!r}: no answer within {self._timeout_s:g} s"
            ) from error
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise self._refused("create", error) from error

    def _refused(self, verb: str, error: KafkaException) -> StreamsError:
        cause: KafkaError = error.args[0]
        if cause.code() in _FENCED:
            return LogTakenOverError(
                f"wanted to {verb} {self._topic!r}, but another process writes it now; stop one of the two"
            )
        return ClusterUnavailableError(f"wanted to {verb} {self._topic!r}; the cluster said: {cause.str()}")
