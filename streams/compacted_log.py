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

__all__ = ["CompactedLog", "CompactedLogError", "CompactedLogFencedError"]

# Clients of a cluster that is away report every refused connection; the caller is told once, by an error.
_QUIET: Final = logging.getLogger("headwater.compacted_log")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False

_FENCED: Final = frozenset({KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH})


class CompactedLogError(Exception):
    """The cluster did not do what was asked in time; whether an append arrived is then unknown: load again."""


class CompactedLogFencedError(CompactedLogError):
    """Another process writes this log now; this one must not any more."""


class CompactedLog:
    """Keys and their last values in one compacted partition.

    Use it for a table that fits in memory and changes rarely; a transaction is some 10 ms.

        >>> log = CompactedLog("127.0.0.1:19092", "rag.registry.schemas.v1")  # doctest: +SKIP
        >>> log.append(b"k", b"v")  # doctest: +SKIP
        >>> dict(log.load())  # doctest: +SKIP
        {b'k': b'v'}

    Every method raises CompactedLogError where the cluster does not answer within `timeout_s`.
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

    def append(self, key: bytes, value: bytes | None) -> None:
        """Write one record and return when it is committed; None removes the key.

        Raises CompactedLogFencedError when another process took the log over, which is final for this one.
        """
        delivered: list[KafkaError | None] = []
        try:
            producer = self._writer()
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
            raise CompactedLogError(f"appending to {self._topic!r}: wanted a delivery report, got {delivered}")

    def _to_the_end(self, consumer: Consumer) -> Iterator[tuple[bytes, bytes | None]]:
        while True:
            record = consumer.poll(self._timeout_s)
            if record is None:
                raise CompactedLogError(f"reading {self._topic!r}: nothing came for {self._timeout_s:g} s")
            failure = record.error()
            if failure is None:
                yield record.key() or b"", record.value()
            elif failure.code() == KafkaError._PARTITION_EOF:
                return
            elif not failure.retriable():
                raise CompactedLogError(f"reading {self._topic!r}: {failure.str()}")

    def _writer(self) -> Producer:
        if self._producer is None:
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
            self._producer = producer
        return self._producer

    def _ensure_topic(self) -> None:
        admin = AdminClient(dict(self._client), logger=_QUIET)
        wanted = NewTopic(self._topic, num_partitions=1, config={"cleanup.policy": "compact"})
        limits = {"request_timeout": self._timeout_s, "operation_timeout": self._timeout_s}
        try:
            admin.create_topics([wanted], **limits)[self._topic].result(self._timeout_s + 1.0)
        except FutureTimeoutError as error:
            raise CompactedLogError(f"creating {self._topic!r}: no answer within {self._timeout_s:g} s") from error
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise self._refused("create", error) from error

    def _refused(self, verb: str, error: KafkaException) -> CompactedLogError:
        cause: KafkaError = error.args[0]
        if cause.code() in _FENCED:
            return CompactedLogFencedError(
                f"wanted to {verb} {self._topic!r}, but another process writes it now; stop one of the two"
            )
        return CompactedLogError(f"wanted to {verb} {self._topic!r}; the cluster said: {cause.str()}")
