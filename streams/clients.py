"""The settings of every Kafka client: one place, so that all of ours agree on partitioner, acks and commits."""

from __future__ import annotations

import logging
from typing import Any, Final

from streams.refusals import log_refusal
from streams.settings import Kafka
from topics.topic import MAX_RECORD_BYTES, MAX_SOURCE_BYTES


class _Quieter(logging.Filter):
    """Drops the lines that a client repeats for every connection it tries while a broker is away: hops say it once."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(("FAIL ", "REQTMOUT", "GETPID", "BGQUEUE"))


LOGGER: Final = logging.getLogger("headwater.kafka")
"""Where librdkafka's own lines go: every refused connection is one, so commands quieten it."""
LOGGER.addFilter(_Quieter())

# A broker that comes back must be found within a second, not within librdkafka's ten.
_RECONNECT_MAX_MS: Final = 1_000

MAX_BATCH_BYTES: Final = MAX_RECORD_BYTES + 256 * 1024
"""The largest record with its key, its headers and the batch around it; topics and producers must agree on it."""


def client_config(kafka: Kafka, **more: Any) -> dict[str, Any]:
    """What producers, consumers and admin clients share. Use it for an AdminClient.

    `kafka.extra` (TLS, SASL, tuning) is merged last, everywhere.
    """
    return {
        "bootstrap.servers": kafka.bootstrap,
        "logger": LOGGER,
        "reconnect.backoff.max.ms": _RECONNECT_MAX_MS,
        **({"error_cb": log_refusal} if kafka.extra else {}),
        **more,
        **kafka.extra,
    }


def producer_config(kafka: Kafka, **more: Any) -> dict[str, Any]:
    """The settings of a producer. Use it for every producer: another partitioner would part updates from deletes.

    >>> producer_config(Kafka(), **{"linger.ms": 10})["partitioner"]
    'murmur2_random'
    """
    rules = {
        "partitioner": "murmur2_random",
        "enable.idempotence": True,
        "acks": "all",
        "linger.ms": 0,
        "compression.type": kafka.compression,
        # A dead letter holds what a source wrote, however large; our own events are measured when they are encoded, and
        # a batch of several records stays below `batch.size` (1 MB).
        "message.max.bytes": MAX_SOURCE_BYTES + 256 * 1024,
    }
    return client_config(kafka, **{**rules, **more})


def consumer_config(kafka: Kafka, group: str, **more: Any) -> dict[str, Any]:
    """The settings of a consumer: nothing is committed by itself, and only committed transactions are read.

    >>> consumer_config(Kafka(), "headwater.ingest.parse.v1")["enable.auto.offset.store"]
    False
    """
    rules: dict[str, Any] = {
        "group.id": group,
        "group.protocol": kafka.group_protocol,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "max.poll.interval.ms": kafka.max_poll_interval_ms,
        "allow.auto.create.topics": False,
    }
    if kafka.group_protocol == "classic":
        rules["partition.assignment.strategy"] = "cooperative-sticky"
    return client_config(kafka, **{**rules, **more})
