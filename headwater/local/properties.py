"""A broker's server.properties: what every broker of ours has, its place among others, then what its owner asks for."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable, Mapping
from typing import Final

from headwater.local.ports import HOST

__all__ = ["listeners", "new_cluster_id", "rendered"]

# One broker for one machine. Kafka's defaults would make 100 internal partitions, wait 3 s before the first join, ask
# for three replicas, which one node never has, and keep a broker that was killed out until its session of 9 s is over.
_DEFAULTS: Final = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "num.network.threads": "2",
    "num.io.threads": "2",
    "background.threads": "2",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.consumer.session.timeout.ms": "10000",
    "group.consumer.min.session.timeout.ms": "6000",
    "group.consumer.heartbeat.interval.ms": "2000",
    "group.consumer.min.heartbeat.interval.ms": "1000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "auto.create.topics.enable": "false",
    "log.cleaner.dedupe.buffer.size": "16777216",
}


def listeners(port: int, controller_port: int, proxied: tuple[int, int] | None) -> dict[str, str]:
    """Where a broker listens, and what address it gives to clients.

    Behind a proxy it has one listener more: clients that connect through the proxy are sent back through it, while the
    other brokers, and whoever connects directly, stay on the straight way.
    """
    own = {"PLAINTEXT": port, "CONTROLLER": controller_port}
    told = {"PLAINTEXT": port}
    if proxied is not None:
        told["PROXIED"], own["PROXIED"] = proxied
    return {
        "listeners": _addresses(own),
        "advertised.listeners": _addresses(told),
        "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in own),
        "inter.broker.listener.name": "PLAINTEXT",
    }


def rendered(place: Mapping[str, str], wanted: Iterable[tuple[str, str]]) -> str:
    """The file's text: defaults, overridden by the broker's place, overridden by what its owner asks for.

    >>> "num.io.threads=8" in rendered({}, [("num.io.threads", "8")])
    True
    """
    merged = {**_DEFAULTS, **place, **dict(wanted)}
    return "".join(f"{name}={value}\n" for name, value in merged.items())


def new_cluster_id() -> str:
    """A cluster id as Kafka writes them: 16 random bytes in URL-safe base64, not starting with a dash."""
    return "h" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]


def _addresses(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://{HOST}:{port}" for name, port in ports.items())
