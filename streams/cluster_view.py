"""Who leads what and who is in sync: a cluster's metadata as one of its brokers has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.errors import ClusterUnavailableError
from streams.probe import quiet_config
from streams.records import Partition

__all__ = ["ClusterView", "look"]

NOBODY = -1


@dataclass(frozen=True)
class ClusterView:
    """The brokers that serve now, and for each partition its leader (-1: none), its replicas and those in sync."""

    brokers: frozenset[int]
    leaders: Mapping[Partition, int]
    replicas: Mapping[Partition, frozenset[int]]
    in_sync: Mapping[Partition, frozenset[int]]

    @property
    def whole(self) -> bool:
        """Whether every partition has a leader and all of its replicas in sync."""
        return NOBODY not in self.leaders.values() and self.replicas == self.in_sync


def look(bootstrap: str, timeout_s: float) -> ClusterView:
    """The metadata of all topics, inner ones included, from whichever of these brokers answers first.

        >>> look("127.0.0.1:19092", timeout_s=2.0).leaders[("orders", 0)]  # doctest: +SKIP
        2

    Raises ClusterUnavailableError where none answers within `timeout_s`.
    """
    try:
        found = AdminClient(quiet_config(bootstrap, timeout_s)).list_topics(timeout=timeout_s)
    except KafkaException as error:
        raise ClusterUnavailableError(f"asking {bootstrap} for its metadata: {error.args[0]}") from error
    parts = {(topic.topic, part.id): part for topic in found.topics.values() for part in topic.partitions.values()}
    return ClusterView(
        brokers=frozenset(found.brokers),
        leaders={place: part.leader for place, part in parts.items()},
        replicas={place: frozenset(part.replicas) for place, part in parts.items()},
        in_sync={place: frozenset(part.isrs) for place, part in parts.items()},
    )
