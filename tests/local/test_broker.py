"""The broker: started, killed, started again with its data, and clear about what keeps it from starting."""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from headwater.local.broker import BrokerSpec, KafkaBroker
from headwater.local.diagnosis import diagnosis, lock_owner
from headwater.local.errors import ChildDiedError, DiskFullError, FolderInUseError, LocalStackError, PortTakenError
from headwater.local.ports import HOST, choose_port
from streams.errors import ClusterUnavailableError
from streams.probe import PROBE_TOPIC, probe

DEADLINE_S = 20.0


@pytest.fixture
def spec(tmp_path: Path, cache_folder: Path) -> BrokerSpec:
    return BrokerSpec(tmp_path / "a folder" / "kafka", cache_folder, quick=True)


def _write(broker: KafkaBroker, value: bytes) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    if "kept" not in admin.list_topics(timeout=DEADLINE_S).topics:
        admin.create_topics([NewTopic("kept", 1)])["kept"].result(DEADLINE_S)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "acks": "all"})
    producer.produce("kept", value)
    assert producer.flush(DEADLINE_S) == 0


def _read(broker: KafkaBroker, count: int) -> list[bytes | None]:
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "reader", "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition("kept", 0, 0)])
        return [record.value() for record in consumer.consume(count, DEADLINE_S)]
    finally:
        consumer.close()


@pytest.mark.live
def test_when_killed_and_started_again_then_its_data_and_ports_are_the_same(spec: BrokerSpec) -> None:
    with KafkaBroker(spec) as broker:
        _write(broker, b"one")
        bootstrap, pid = broker.bootstrap, broker.child.pid
        broker.child.kill()
        assert not broker.child.alive
        assert not broker.is_ready()
        broker.start()
        assert (broker.bootstrap, broker.child.pid != pid) == (bootstrap, True)
        _write(broker, b"two")
        broker.stop()
        broker.start()
        assert _read(broker, 2) == [b"one", b"two"]
        assert broker.child.memory_bytes > 50 << 20
        with pytest.raises(FolderInUseError, match="already runs a broker on this folder"):
            _forgetful(spec).start()
    assert not broker.child.alive


def _forgetful(spec: BrokerSpec) -> KafkaBroker:
    """A broker whose pid file is lost, as after a state folder was half restored."""
    broker = KafkaBroker(spec)
    broker.child.pid_path.unlink()
    return broker


@pytest.mark.live
def test_when_paused_then_not_ready_until_resumed(spec: BrokerSpec) -> None:
    with KafkaBroker(spec) as broker:
        broker.start()
        broker.child.pause()
        with pytest.raises(ClusterUnavailableError):
            probe(broker.bootstrap, timeout_s=0.5)
        broker.child.resume()
        probe(broker.bootstrap, timeout_s=DEADLINE_S)
        topics = AdminClient({"bootstrap.servers": broker.bootstrap}).list_topics(timeout=DEADLINE_S).topics
        assert PROBE_TOPIC not in topics


@pytest.mark.live
def test_when_the_ports_change_then_the_same_folder_still_serves(spec: BrokerSpec) -> None:
    with KafkaBroker(spec) as broker:
        _write(broker, b"one")
    port, controller = choose_port("one"), choose_port("two")
    with KafkaBroker(replace(spec, port=port, controller_port=controller)) as moved:
        assert moved.bootstrap == f"{HOST}:{port}"
        assert _read(moved, 1) == [b"one"]


@pytest.mark.live
def test_when_its_settings_are_refused_then_its_last_lines_are_told(spec: BrokerSpec) -> None:
    broker = KafkaBroker(replace(spec, node_id=-5))
    with pytest.raises(LocalStackError, match=r"(?s)formatting Kafka's folder .* failed:.*node\.id"):
        broker.start()
    assert not broker.child.alive


@pytest.mark.live
def test_when_it_dies_while_starting_then_its_last_lines_are_told(spec: BrokerSpec) -> None:
    with KafkaBroker(spec) as broker:
        pass
    (broker.data_folder / "meta.properties").write_text("version=1\ncluster.id=\n")
    with pytest.raises(ChildDiedError, match=r"(?s)kafka ended with exit status \d+; the last it said:.*meta"):
        broker.start()


def test_when_the_port_is_taken_then_refused_before_anything_starts(spec: BrokerSpec) -> None:
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        port = server.getsockname()[1]
        broker = KafkaBroker(replace(spec, port=port))
        with pytest.raises(PortTakenError, match=f"Kafka was to listen on port {port}"):
            broker._choose_ports()


def test_when_the_disk_is_full_then_refused_with_both_figures(spec: BrokerSpec) -> None:
    with pytest.raises(DiskFullError, match=r"wanted \d{7,} MB free, there are \d+ MB; make room"):
        KafkaBroker(replace(spec, least_free_bytes=1 << 60)).start()


HOLDER = """
import fcntl, sys, time
lock = open(sys.argv[1], "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


def test_when_a_lock_file_is_left_behind_then_it_is_only_a_file(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    assert lock_owner(lock) is None
    lock.touch()
    assert lock_owner(lock) is None
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert lock_owner(lock) == holder.pid
        holder.kill()


@pytest.mark.parametrize(
    ("log", "error"),
    [
        ("java.io.IOException: No space left on device", DiskFullError),
        ("java.io.IOException: Disk quota exceeded", DiskFullError),
        ("java.net.BindException: Address already in use", PortTakenError),
        ("KafkaException: Failed to acquire lock on file .lock in /x", FolderInUseError),
        ("java.lang.UnsupportedClassVersionError: kafka/Kafka", ChildDiedError),
        ("Error: Could not find or load main class", None),
    ],
)
def test_when_the_log_names_a_known_cause_then_its_error(log: str, error: type[LocalStackError] | None) -> None:
    found = diagnosis(f"before\n{log}\n", Path("state"))
    assert (None if found is None else type(found)) is error
    assert found is None or log in str(found)


def test_when_nothing_listens_then_the_probe_says_so_in_time() -> None:
    with pytest.raises(
        ClusterUnavailableError, match=r"wanted to create topic 'headwater\.probe' within|the cluster said"
    ):
        probe(f"{HOST}:{choose_port('nobody')}", timeout_s=0.5)
