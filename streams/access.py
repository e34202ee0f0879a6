"""Access to a secured cluster, found out at the door: a wrong password or certificate is an error within seconds."""

from __future__ import annotations

from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.clients import client_config
from streams.errors import ClusterUnavailableError
from streams.refusals import Refusals
from streams.settings import Kafka, SettingsError

__all__ = ["AccessRefusedError", "require_access"]

# A handshake takes milliseconds; what is not refused within the whole is away, or slow, and no matter of access.
_SLICE_S: Final = 0.5
_SLICES: Final = 10


class AccessRefusedError(ClusterUnavailableError):
    """The cluster is there and does not let us in; waiting will not help, the message says what will."""


def require_access(kafka: Kafka) -> None:
    """Learns whether the cluster lets us in. Use it where a process first meets the cluster, before its clients.

    Without TLS or SASL there is nothing to ask, and nothing is. A cluster that is away is left to whoever needs it.
    Raises AccessRefusedError, and SettingsError where `kafka.extra` can't be used at all.
    """
    if not kafka.extra:
        return
    refusals = Refusals()
    try:
        admin = AdminClient(client_config(kafka, error_cb=refusals))
    except KafkaException as error:
        raise SettingsError(
            f"kafka.extra can't be used: {error.args[0].str()}; its keys are librdkafka's, files must exist and be "
            "PEM, and ssl.key.password must fit the key: docs/security.md"
        ) from error
    for _ in range(_SLICES):
        try:
            admin.list_topics(timeout=_SLICE_S)
            return
        except KafkaException:
            admin.poll(0)
        if refusals.reason:
            raise AccessRefusedError(f"wanted to be let in at {kafka.bootstrap}: {refusals.reason}")
