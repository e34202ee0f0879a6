"""Brokers of chaos runs behind the fault proxy: workers go through it, source, reader and checker the straight way."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headwater.local.broker import KafkaBroker
from headwater.local.cluster import ClusterSpec, KafkaCluster
from headwater.local.ports import choose_port
from streams.settings import user_cache
from tests.chaos.brokers import CHAOS_PROPERTIES, new_broker
from tests.chaos.proxy import FaultProxy, Front


@contextmanager
def broker_behind_proxy(folder: Path) -> Iterator[tuple[KafkaBroker, Front]]:
    """A running broker of a scenario's own and the proxy before it.

    >>> with broker_behind_proxy(folder) as (broker, front):  # doctest: +SKIP
    ...     Plan(broker.bootstrap, spec={"kafka": through(broker.proxied_bootstrap)})
    """
    route = _route("a broker")
    shutil.rmtree(folder, ignore_errors=True)
    with FaultProxy([route]) as proxy, new_broker(folder, proxied=route) as broker:
        yield broker, proxy.fronts[0]


@contextmanager
def cluster_behind_proxies(folder: Path) -> Iterator[tuple[KafkaCluster, list[Front]]]:
    """Three running brokers of a scenario's own and the proxies before them, in the order of the nodes."""
    routes = tuple(_route(f"node {node}") for node in (1, 2, 3))
    shutil.rmtree(folder, ignore_errors=True)
    spec = ClusterSpec(folder, user_cache(), proxied=routes, properties=CHAOS_PROPERTIES)
    with FaultProxy(routes) as proxy, KafkaCluster(spec) as cluster:
        yield cluster, proxy.fronts


def through(bootstrap: str) -> dict[str, str]:
    """The workers' Kafka settings (`CopierSpec.kafka`) for entering by the proxy."""
    return {"bootstrap": bootstrap}


def _route(behind: str) -> tuple[int, int]:
    return choose_port("a proxy"), choose_port(f"{behind} behind it")
