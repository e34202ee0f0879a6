"""Is the cluster usable? Asked by doing what a stack needs first: creating a topic."""

from __future__ import annotations

import logging
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from streams.errors import ClusterUnavailableError

__all__ = ["PROBE_TOPIC", "probe", "quiet_config"]

PROBE_TOPIC: Final = "headwater.probe"

# A broker that is still starting refuses connections: librdkafka would report each refusal on stderr and back off up
# to 10 s, while whoever waits for the broker wants silence and an answer soon.
_QUIET: Final = logging.getLogger("headwater.probe")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False
_RECONNECT_MAX_MS: Final = 100

_ALREADY_THERE: Final = frozenset({KafkaError.TOPIC_ALREADY_EXISTS})
_ALREADY_GONE: Final = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART})


def probe(bootstrap: str, timeout_s: float, topic: str = PROBE_TOPIC) -> None:
    """Create a topic and delete it again, to know that a cluster does work and does not only listen.

    Use it where a start has to wait for Kafka; call it again until it returns.

        >>> probe("127.0.0.1:19092", timeout_s=2.0)  # doctest: +SKIP

    Two probes may meet: a topic that is already there, or already gone, counts as done.
    Raises ClusterUnavailableError when the cluster did not answer within `timeout_s` or refused.
    """
    admin = AdminClient(quiet_config(bootstrap, timeout_s))
    limits = {"request_timeout": timeout_s, "operation_timeout": timeout_s}
    try:
        created = admin.create_topics([NewTopic(topic, num_partitions=1)], **limits)
        _settle(created[topic], "create", topic, timeout_s, _ALREADY_THERE)
        deleted = admin.delete_topics([topic], **limits)
        _settle(deleted[topic], "delete", topic, timeout_s, _ALREADY_GONE)
    except KafkaException as error:
        raise ClusterUnavailableError(f"asking {bootstrap} for a topic: {error.args[0]}") from error


def quiet_config(bootstrap: str, timeout_s: float) -> dict[str, Any]:
    """The settings of a client that asks once, soon, and of a cluster that may be away: for AdminClient."""
    return {
        "bootstrap.servers": bootstrap,
        "client.id": "headwater-probe",
        "reconnect.backoff.ms": 20,
        "reconnect.backoff.max.ms": _RECONNECT_MAX_MS,
        "socket.timeout.ms": max(1000, int(timeout_s * 1000)),
        "logger": _QUIET,
    }


def _settle(future: Future[None], verb: str, topic: str, timeout_s: float, fine: frozenset[int]) -> None:
    try:
        future.result(timeout_s + 1.0)
    except FutureTimeoutError as error:
        raise ClusterUnavailableError(
            f"wanted to {verb} topic {topic!r} within {timeout_s:g} s; no answer came"
        ) from error
    except KafkaException as error:
        cause = error.args[0]
        if cause.code() in fine:
            return
        raise ClusterUnavailableError(f"wanted to {verb} topic {topic!r}; the cluster said: {cause.str()}") from error
