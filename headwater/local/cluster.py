"""A Kafka cluster of several brokers on this machine, each a controller too, made so that any one of them may die."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Final

from headwater.local.broker import BrokerSpec, KafkaBroker
from headwater.local.child import write_whole
from headwater.local.downloads import Progress
from headwater.local.errors import LocalStackError, NotReadyError
from headwater.local.ports import HOST, choose_port, is_open
from headwater.local.properties import new_cluster_id
from streams.cluster_view import ClusterView, look
from streams.errors import ClusterUnavailableError
from streams.probe import probe

__all__ = ["ClusterNode", "ClusterSpec", "KafkaCluster"]

_POLL_S: Final = 0.1
_ASK_S: Final = 2.0

# Nodes that stop together lose their quorum, and the last ones then wait for a controller that is gone.
_STOP_GRACE_S: Final = 2.0

_SURVIVES_ONE: Final = (
    ("default.replication.factor", "3"),
    ("min.insync.replicas", "2"),
    ("unclean.leader.election.enable", "false"),
    ("offsets.topic.replication.factor", "3"),
    ("transaction.state.log.replication.factor", "3"),
    ("transaction.state.log.min.isr", "2"),
    ("share.coordinator.state.topic.replication.factor", "3"),
    ("share.coordinator.state.topic.min.isr", "2"),
)


@dataclass(frozen=True)
class ClusterSpec:
    """Where a cluster lives and what each node may take; at least three nodes, since every topic has three replicas.

    `proxied` has for each node the port of a proxy and the node's own port behind it (`BrokerSpec`).
    `properties` override server.properties of all nodes.
    """

    folder: Path
    cache_folder: Path
    nodes: int = 3
    java: str | None = None
    heap_mb: int = 384
    quick: bool = True
    proxied: tuple[tuple[int, int], ...] = ()
    properties: tuple[tuple[str, str], ...] = ()
    ready_timeout_s: float = 90.0


class ClusterNode(KafkaBroker):
    """One broker of a cluster: usable when the others know that it is back, whether or not all of them are there."""

    def is_ready(self) -> bool:
        """Whether this node serves clients now: it answers, and counts itself among the living."""
        if not self.port or not is_open(self.port):
            return False
        try:
            return self.spec.node_id in look(self.bootstrap, _ASK_S).brokers
        except ClusterUnavailableError:
            return False

    def quorum(self) -> tuple[int, int]:
        """The metadata leader's epoch and id as this node last wrote them down; (-1, -1) where it has not."""
        path = self.data_folder / "__cluster_metadata-0" / "quorum-state"
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            return int(said["leaderEpoch"]), int(said["leaderId"])
        except (FileNotFoundError, ValueError, KeyError):
            return -1, -1


class KafkaCluster:
    """Three brokers or more: start them, use `bootstrap`, hurt `node(2).child`, and wait until all is whole again.

    >>> with KafkaCluster(ClusterSpec(Path("state"), Path("cache"))) as cluster:  # doctest: +SKIP
    ...     leader = cluster.node(cluster.leader("orders", 0))
    ...     leader.child.kill()
    ...     leader.start()
    ...     cluster.await_whole(30.0)

    Its folder keeps data and ports. It dies with this process, whatever ends it.
    """

    def __init__(self, spec: ClusterSpec, progress: Progress | None = None) -> None:
        if spec.nodes < 3 or len(spec.proxied) not in (0, spec.nodes):
            raise LocalStackError(
                f"wanted a cluster of three nodes or more, and no proxy or one for each of them; "
                f"got {spec.nodes} nodes and {len(spec.proxied)} proxies"
            )
        self.spec = spec
        self.nodes = [ClusterNode(one, progress) for one in _node_specs(spec)]

    @property
    def bootstrap(self) -> str:
        """What clients connect to: all nodes, straight."""
        return ",".join(f"{HOST}:{node.spec.port}" for node in self.nodes)

    @property
    def proxied_bootstrap(self) -> str:
        """What clients connect to that shall meet the proxies' faults: all nodes."""
        return ",".join(node.proxied_bootstrap for node in self.nodes)

    def node(self, number: int) -> ClusterNode:
        """A node by its id, which counts from 1; its `child` can be killed, paused and resumed, itself started."""
        return self.nodes[number - 1]

    def start(self) -> None:
        """Start all nodes and wait until a topic with three replicas can be created."""
        with ThreadPoolExecutor(len(self.nodes), thread_name_prefix="cluster") as starting:
            # A start formats a folder first, with a Java of its own.
            list(starting.map(ClusterNode.begin, self.nodes))
        for node in self.nodes:
            node.await_ready()
        self._await("create a topic with three replicas", lambda: _usable(self.bootstrap), self.spec.ready_timeout_s)

    def stop(self) -> None:
        """Stop all nodes at once."""
        with ThreadPoolExecutor(len(self.nodes), thread_name_prefix="cluster") as stopping:
            list(stopping.map(lambda node: node.child.stop(_STOP_GRACE_S), self.nodes))

    def view(self) -> ClusterView:
        """Leaders and replicas in sync, as any living node has them. Raises ClusterUnavailableError."""
        return look(self.bootstrap, _ASK_S)

    def leader(self, topic: str, partition: int) -> int:
        """The node that leads a partition, -1 where none does. Raises LocalStackError where there is no such one."""
        leaders = self.view().leaders
        if (topic, partition) not in leaders:
            raise LocalStackError(f"wanted the leader of {topic}/{partition}, but the cluster has no such partition")
        return leaders[topic, partition]

    def controller(self) -> int:
        """The node whose controller is active, by what the nodes wrote down last; -1 during an election."""
        return max(node.quorum() for node in self.nodes)[1]

    def await_whole(self, timeout_s: float) -> None:
        """Wait until every node says that all partitions have leaders and all replicas are in sync.

        Raises NotReadyError, with the nodes' last lines.
        """
        self._await("have all replicas in sync", self._is_whole, timeout_s)

    def _is_whole(self) -> bool:
        try:
            # Each is asked, for one that is dead or behind would be the last to be missed by the others.
            views = [look(node.bootstrap, _ASK_S) for node in self.nodes]
        except ClusterUnavailableError:
            return False
        return all(len(view.brokers) == len(self.nodes) and view.whole for view in views)

    def _await(self, what: str, ready: Callable[[], bool], timeout_s: float) -> None:
        until = monotonic() + timeout_s
        while not ready():
            if monotonic() > until:
                logs = "\n".join(f"{node.name}:\n{node.child.log_tail()}" for node in self.nodes)
                raise NotReadyError(
                    f"wanted the cluster to {what} within {timeout_s:g} s; its nodes said last:\n{logs}"
                )
            sleep(_POLL_S)

    def __enter__(self) -> KafkaCluster:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _node_specs(spec: ClusterSpec) -> list[BrokerSpec]:
    """The nodes' specs. Id and ports are written down: the quorum's members are named in every node's settings."""
    cluster_id, ports = _remembered(spec)
    voters = ",".join(f"{node}@{HOST}:{controller}" for node, (_, controller) in enumerate(ports, 1))
    return [
        BrokerSpec(
            spec.folder / f"node-{node}",
            spec.cache_folder,
            java=spec.java,
            port=port,
            controller_port=controller,
            heap_mb=spec.heap_mb,
            node_id=node,
            quick=spec.quick,
            ready_timeout_s=spec.ready_timeout_s,
            name=f"kafka-{node}",
            cluster_id=cluster_id,
            proxied=spec.proxied[node - 1] if spec.proxied else None,
            properties=(*_SURVIVES_ONE, ("controller.quorum.voters", voters), *spec.properties),
        )
        for node, (port, controller) in enumerate(ports, 1)
    ]


def _remembered(spec: ClusterSpec) -> tuple[str, list[tuple[int, int]]]:
    path = spec.folder / "cluster.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        names = range(1, spec.nodes + 1)
        ports = [(choose_port(f"node {n}"), choose_port(f"controller {n}")) for n in names]
        kept = {"id": new_cluster_id(), "ports": ports}
        spec.folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(kept))
    return str(kept["id"]), [(int(port), int(controller)) for port, controller in kept["ports"]]


def _usable(bootstrap: str) -> bool:
    try:
        probe(bootstrap, _ASK_S)
    except ClusterUnavailableError:
        return False
    return True
