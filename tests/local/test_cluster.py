"""Three brokers: started together, hurt one at a time, and nothing that was acknowledged is ever lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from headwater.local.cluster import ClusterSpec, KafkaCluster
from headwater.local.errors import LocalStackError, NotReadyError
from headwater.local.ports import HOST, choose_port

DEADLINE_S = 30.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[KafkaCluster]:
    with KafkaCluster(ClusterSpec(tmp_path_factory.mktemp("cluster"), cache_folder)) as running:
        yield running


def create(cluster: KafkaCluster, topic: str, partitions: int) -> None:
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    admin.create_topics([NewTopic(topic, partitions)])[topic].result(DEADLINE_S)


class Writer:
    """Writes numbers with acks=all until told to stop, and keeps those that the cluster acknowledged."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.acknowledged: list[int] = []
        self.refused: list[str] = []
        self._topic = topic
        self._producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True})
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(DEADLINE_S)

    def _write(self) -> None:
        number = 0
        while not self._stop.wait(0.002):
            self._producer.produce(self._topic, str(number).encode(), on_delivery=self._told(number))
            self._producer.poll(0)
            number += 1
        assert self._producer.flush(DEADLINE_S) == 0

    def _told(self, number: int) -> Callable[[Any, Any], None]:
        def told(error: KafkaError | None, _: Any) -> None:
            if error is None:
                self.acknowledged.append(number)
            else:
                self.refused.append(str(error))

        return told


def read(cluster: KafkaCluster, topic: str) -> list[int]:
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": "reader", "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found, until = list[int](), time.monotonic() + DEADLINE_S
    while time.monotonic() < until:
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error() is None:
            found.append(int(message.value()))
        elif message.error().code() == KafkaError._PARTITION_EOF:
            break
        else:
            raise KafkaException(message.error())
    consumer.close()
    return found


@pytest.mark.live
def test_when_it_starts_then_topics_have_three_replicas_and_it_knows_who_leads(cluster: KafkaCluster) -> None:
    create(cluster, "three", 3)
    cluster.await_whole(DEADLINE_S)
    view = cluster.view()
    assert {view.replicas["three", partition] for partition in range(3)} == {frozenset({1, 2, 3})}
    assert {cluster.leader("three", partition) for partition in range(3)} == {1, 2, 3}
    assert cluster.controller() in {1, 2, 3}
    with pytest.raises(LocalStackError, match=r"wanted the leader of three/7"):
        cluster.leader("three", 7)


@pytest.mark.live
def test_when_the_leader_is_killed_and_comes_back_then_nothing_acknowledged_is_lost(cluster: KafkaCluster) -> None:
    create(cluster, "kept", 1)
    cluster.await_whole(DEADLINE_S)
    with Writer(cluster.bootstrap, "kept") as writer:
        time.sleep(0.5)
        leader = cluster.leader("kept", 0)
        cluster.node(leader).child.kill()
        before = len(writer.acknowledged)
        eventually(lambda: len(writer.acknowledged) > before + 100, "writes go on with two of three")
        assert cluster.leader("kept", 0) != leader
        assert not cluster.view().whole
        cluster.node(leader).start()
        cluster.await_whole(DEADLINE_S)
    assert writer.refused == []
    assert read(cluster, "kept") == writer.acknowledged == list(range(len(writer.acknowledged)))


@pytest.mark.live
def test_when_the_controller_is_paused_then_another_takes_over_and_it_comes_back(cluster: KafkaCluster) -> None:
    paused = cluster.controller()
    cluster.node(paused).child.pause()
    try:
        eventually(lambda: cluster.controller() not in (paused, -1), "another controller")
        with pytest.raises(NotReadyError, match=r"(?s)all replicas in sync within 5 s.*kafka-1:"):
            cluster.await_whole(5.0)
    finally:
        cluster.node(paused).child.resume()
    cluster.await_whole(DEADLINE_S)


@pytest.mark.live
def test_when_stopped_and_built_anew_on_its_folder_then_it_has_its_ports_and_data(
    tmp_path: Path, cache_folder: Path
) -> None:
    ports = [(choose_port("a proxy"), choose_port("a node behind it")) for _ in range(3)]
    spec = replace(ClusterSpec(tmp_path, cache_folder, heap_mb=256), proxied=tuple(ports))
    with KafkaCluster(spec) as first:
        create(first, "kept", 1)
        bootstrap = first.bootstrap
        assert first.proxied_bootstrap == ",".join(f"{HOST}:{proxy}" for proxy, _ in ports)
        behind = AdminClient({"bootstrap.servers": f"{HOST}:{ports[0][1]}"}).list_topics(timeout=DEADLINE_S)
        assert {broker.port for broker in behind.brokers.values()} == {proxy for proxy, _ in ports}
    assert not any(node.child.alive for node in first.nodes)
    with KafkaCluster(spec) as second:
        assert second.bootstrap == bootstrap
        assert ("kept", 0) in second.view().leaders


@pytest.mark.parametrize("broken", [{"nodes": 2}, {"proxied": ((1, 2),)}])
def test_when_it_could_not_survive_a_node_then_it_is_refused(
    tmp_path: Path, cache_folder: Path, broken: dict[str, Any]
) -> None:
    with pytest.raises(LocalStackError, match="wanted a cluster of three nodes or more"):
        KafkaCluster(replace(ClusterSpec(tmp_path, cache_folder), **broken))


def eventually(check: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + DEADLINE_S
    while not check():
        assert time.monotonic() < until, f"{what}: not within {DEADLINE_S:g} s"
        time.sleep(0.05)
