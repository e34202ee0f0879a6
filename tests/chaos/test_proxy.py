"""The fault proxy does to connections what it says: shown on an echo server, and on a broker for single requests."""

from __future__ import annotations

import socket
import struct
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from hypothesis import given
from hypothesis import strategies as st

from headwater.local.broker import BrokerSpec, KafkaBroker
from headwater.local.ports import HOST, choose_port
from tests.chaos.frames import ADD_OFFSETS_TO_TXN, END_TXN, EndTxn, FrameError, Request, RequestSplitter, end_txn_error
from tests.chaos.link import Trap
from tests.chaos.proxy import FaultProxy, Front, ProxyError

SOON_S = 3.0
DEADLINE_S = 20.0


class Echo:
    """Sends back what it gets, and remembers it."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.ended = threading.Event()
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(peer,), daemon=True).start()

    def _echo(self, peer: socket.socket) -> None:
        with peer:
            try:
                while data := peer.recv(65536):
                    self.got += data
                    peer.sendall(data)
            except OSError:
                pass
        self.ended.set()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def front(echo: Echo) -> Iterator[Front]:
    with FaultProxy([(choose_port("a proxy"), echo.port)], speaks_kafka=False) as proxy:
        yield proxy.fronts[0]


def client(front: Front) -> socket.socket:
    made = socket.create_connection((HOST, front.port), timeout=SOON_S)
    made.sendall(b"hello")
    assert exactly(made, 5) == b"hello"
    return made


def exactly(peer: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count and (data := peer.recv(count - len(found))):
        found += data
    return found


def silent(peer: socket.socket, seconds: float = 0.3) -> bool:
    peer.settimeout(seconds)
    try:
        return peer.recv(1) == b"nothing has this length"
    except TimeoutError:
        return True
    finally:
        peer.settimeout(SOON_S)


def test_when_there_is_no_fault_then_every_byte_passes_in_order(front: Front, echo: Echo) -> None:
    sent = bytes(range(256)) * 20_000
    with client(front) as peer:
        threading.Thread(target=peer.sendall, args=(sent,), daemon=True).start()
        assert exactly(peer, len(sent)) == sent
        assert front.connections == 1
    assert echo.ended.wait(SOON_S)


def test_when_bytes_are_late_then_in_order_and_not_one_after_the_other(front: Front) -> None:
    with client(front) as peer:
        front.delay(0.2)
        began = time.monotonic()
        for number in range(20):
            peer.sendall(bytes([number]))
            time.sleep(0.005)
        assert exactly(peer, 20) == bytes(range(20))
        assert 0.4 <= time.monotonic() - began < 1.5
        front.heal()
        began = time.monotonic()
        peer.sendall(b"now")
        assert exactly(peer, 3) == b"now"
        assert time.monotonic() - began < 0.2


def test_when_the_way_is_narrow_then_it_takes_its_time(front: Front) -> None:
    with client(front) as peer:
        front.throttle(200_000, "up")
        began = time.monotonic()
        peer.sendall(b"x" * 60_000)
        assert len(exactly(peer, 60_000)) == 60_000
        assert time.monotonic() - began > 0.15


def test_when_reset_then_the_client_gets_an_rst_and_can_come_again(front: Front, echo: Echo) -> None:
    with client(front) as peer:
        assert front.reset() == 1
        with pytest.raises(ConnectionResetError):
            peer.recv(1)
    assert echo.ended.wait(SOON_S)
    client(front).close()


def test_when_new_connections_are_refused_then_the_old_ones_stay(front: Front) -> None:
    with client(front) as peer:
        front.refuse()
        with pytest.raises(OSError), socket.create_connection((HOST, front.port), timeout=SOON_S) as late:
            late.sendall(b"hello")
            assert late.recv(5) == b"hello"
        peer.sendall(b"still")
        assert exactly(peer, 5) == b"still"


def test_when_a_black_hole_then_silence_and_a_reset_at_healing(front: Front, echo: Echo) -> None:
    with client(front) as peer, client(front) as quiet:
        front.swallow()
        peer.sendall(b"lost")
        assert silent(peer)
        assert bytes(echo.got) == b"hellohello"
        with socket.create_connection((HOST, front.port), timeout=SOON_S) as new:
            new.sendall(b"lost too")
            assert silent(new)
            assert front.heal() == 2
        with pytest.raises(ConnectionResetError):
            peer.recv(1)
        quiet.sendall(b"kept")
        assert exactly(quiet, 4) == b"kept"


@pytest.mark.parametrize(("way", "arrived"), [("up", b"hello"), ("down", b"hellolost")])
def test_when_one_way_drops_then_the_other_still_passes(front: Front, echo: Echo, way: str, arrived: bytes) -> None:
    with client(front) as peer:
        front.swallow("up" if way == "up" else "down")
        peer.sendall(b"lost")
        assert silent(peer)
        assert bytes(echo.got) == arrived
        assert front.heal() == 1


def test_when_held_then_every_byte_arrives_after_healing(front: Front, echo: Echo) -> None:
    with client(front) as peer:
        front.hold("up")
        peer.sendall(b"later")
        assert silent(peer)
        assert bytes(echo.got) == b"hello"
        assert front.heal() == 0
        assert exactly(peer, 5) == b"later"


def test_when_half_open_then_the_broker_is_gone_and_the_client_does_not_know(front: Front, echo: Echo) -> None:
    with client(front) as peer:
        assert front.half_open() == 1
        assert echo.ended.wait(SOON_S)
        peer.sendall(b"anybody?")
        assert silent(peer)
    deadline = time.monotonic() + SOON_S
    while front.connections and time.monotonic() < deadline:
        time.sleep(0.02)
    assert front.connections == 0


def test_when_the_broker_is_down_then_connections_are_reset_until_it_is_back() -> None:
    port, behind = choose_port("a proxy"), choose_port("a server that comes later")
    with FaultProxy([(port, behind)], speaks_kafka=False) as proxy:
        with pytest.raises(OSError), socket.create_connection((HOST, port), timeout=SOON_S) as peer:
            peer.sendall(b"x")
            assert peer.recv(1) == b"never"
        with socket.create_server((HOST, behind)):
            socket.create_connection((HOST, port), timeout=SOON_S).close()
        with pytest.raises(ProxyError, match="nobody speaks Kafka here"):
            proxy.fronts[0].catch(Trap(END_TXN, 1.0))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port), timeout=SOON_S)


def test_when_it_stops_under_load_then_nothing_is_left(echo: Echo) -> None:
    threads = threading.active_count()
    with FaultProxy([(choose_port("a proxy"), echo.port)], speaks_kafka=False) as proxy:
        peers = [client(proxy.fronts[0]) for _ in range(5)]
        proxy.fronts[0].hold()
        for peer in peers:
            peer.sendall(b"on the way")
    for peer in peers:
        with peer, pytest.raises(ConnectionResetError):
            peer.recv(1)
    assert echo.ended.wait(SOON_S)
    assert not [thread for thread in threading.enumerate() if thread.name == "fault proxy"]
    assert threading.active_count() <= threads + len(peers)


def framed(api_key: int, correlation: int, body: bytes = b"") -> bytes:
    return struct.pack(">ihhi", 8 + len(body), api_key, 1, correlation) + body


@given(
    st.lists(st.tuples(st.integers(0, 40), st.binary(max_size=40)), max_size=8),
    st.lists(st.integers(1, 30), min_size=1, max_size=40),
)
def test_when_requests_come_in_any_pieces_then_all_pass_and_the_wanted_come_whole(
    requests: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    frames = [framed(api_key, number, body) for number, (api_key, body) in enumerate(requests)]
    stream, passed, caught, at, turn = b"".join(frames), b"", list[Request](), 0, 0
    splitter = RequestSplitter(lambda api_key: api_key % 2 == 0)
    while at < len(stream):
        size = cuts[turn % len(cuts)]
        for piece in splitter.feed(stream[at : at + size]):
            passed += piece if isinstance(piece, bytes) else piece.frame
            caught += [piece] if isinstance(piece, Request) else []
        at, turn = at + size, turn + 1
    assert passed == stream
    assert [one.frame for one in caught] == [f for f, (key, _) in zip(frames, requests, strict=True) if key % 2 == 0]


def test_when_it_is_no_request_then_said_so() -> None:
    with pytest.raises(FrameError, match="wanted a Kafka request, got one of 3 bytes"):
        list(RequestSplitter(lambda _: True).feed(struct.pack(">ihhi", 3, 0, 0, 0)))
    with pytest.raises(FrameError, match="wanted an EndTxn v0 or v1, got api key 0"):
        EndTxn.of(Request(0, 1, 1, framed(0, 1)))


def test_when_a_request_is_trapped_then_those_before_pass_and_it_goes_with_those_behind_it(echo: Echo) -> None:
    with FaultProxy([(choose_port("a proxy"), echo.port)]) as proxy:
        front = proxy.fronts[0]
        with socket.create_connection((HOST, front.port), timeout=SOON_S) as peer:
            trap = front.catch(Trap(END_TXN, DEADLINE_S, wants=lambda request: request.correlation == 3))
            sent = [framed(END_TXN, 1), framed(0, 2, b"x" * 100), framed(END_TXN, 3, b"me"), framed(0, 4)]
            peer.sendall(b"".join(sent))
            before = sent[0] + sent[1]
            assert exactly(peer, len(before)) == before
            assert trap.caught.wait(SOON_S)
            assert trap.request == Request(END_TXN, 1, 3, sent[2])
            assert silent(peer)
            trap.release()
            assert exactly(peer, len(sent[2] + sent[3])) == sent[2] + sent[3]


def test_when_a_trapped_request_may_be_overtaken_then_those_behind_it_go_first(echo: Echo) -> None:
    with FaultProxy([(choose_port("a proxy"), echo.port)]) as proxy:
        front = proxy.fronts[0]
        with socket.create_connection((HOST, front.port), timeout=SOON_S) as peer:
            trap = front.catch(Trap(END_TXN, DEADLINE_S, overtaken=True))
            sent = [framed(0, 1), framed(END_TXN, 2, b"me"), framed(0, 3), framed(END_TXN, 4)]
            peer.sendall(b"".join(sent))
            before = sent[0] + sent[2] + sent[3]
            assert exactly(peer, len(before)) == before
            assert trap.caught.wait(SOON_S)
            trap.release()
            assert exactly(peer, len(sent[1])) == sent[1]


def test_when_a_sender_is_cut_off_then_its_request_arrives_later_on_the_old_connection(echo: Echo) -> None:
    with FaultProxy([(choose_port("a proxy"), echo.port)]) as proxy:
        front = proxy.fronts[0]
        trap = front.catch(Trap(END_TXN, 0.5, cut=True))
        # An answer begins with its correlation id: where a request is echoed, there stand its kind and version.
        old = framed(END_TXN, END_TXN << 16 | 1)
        with socket.create_connection((HOST, front.port), timeout=SOON_S) as peer:
            peer.sendall(old)
            with pytest.raises(ConnectionResetError):
                peer.recv(1)
        assert trap.caught.is_set()
        assert not trap.released.is_set()
        with socket.create_connection((HOST, front.port), timeout=SOON_S) as again:
            again.sendall(framed(END_TXN, 10))
            assert exactly(again, 12) == framed(END_TXN, 10)
            assert trap.answered.wait(SOON_S)
        assert bytes(echo.got) == framed(END_TXN, 10) + old
        assert trap.answer == old


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[tuple[KafkaBroker, Front]]:
    """A broker whose clients come through a proxy that was there first."""
    route = choose_port("a proxy"), choose_port("a broker behind it")
    spec = BrokerSpec(tmp_path_factory.mktemp("kafka"), cache_folder, quick=True, proxied=route)
    with FaultProxy([route]) as proxy, KafkaBroker(spec) as broker:
        yield broker, proxy.fronts[0]


def create(broker: KafkaBroker, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.create_topics([NewTopic(topic, 1)])[topic].result(DEADLINE_S)


def committed(broker: KafkaBroker, topic: str) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": topic, "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found, until = list[bytes](), time.monotonic() + DEADLINE_S
    while time.monotonic() < until and (message := consumer.poll(1.0)) is not None and message.error() is None:
        found.append(message.value())
    consumer.close()
    return found


@pytest.mark.live
def test_when_clients_enter_through_the_proxy_then_they_stay_behind_it(behind: tuple[KafkaBroker, Front]) -> None:
    broker, front = behind
    through = AdminClient({"bootstrap.servers": broker.proxied_bootstrap}).list_topics(timeout=DEADLINE_S)
    assert [one.port for one in through.brokers.values()] == [front.port]
    straight = AdminClient({"bootstrap.servers": broker.bootstrap}).list_topics(timeout=DEADLINE_S)
    assert [one.port for one in straight.brokers.values()] == [broker.port]
    front.hold()
    with pytest.raises(KafkaException):
        AdminClient({"bootstrap.servers": broker.proxied_bootstrap}).list_topics(timeout=0.5)
    front.heal()
    AdminClient({"bootstrap.servers": broker.proxied_bootstrap}).list_topics(timeout=DEADLINE_S)


@pytest.mark.live
def test_when_an_end_of_a_transaction_is_delayed_then_it_ends_the_next_one(behind: tuple[KafkaBroker, Front]) -> None:
    """What T12 is about, without the engine: the old EndTxn is accepted in the middle of a later transaction."""
    broker, front = behind
    topic = f"late-{uuid.uuid4().hex[:8]}"
    create(broker, topic)
    producer = Producer({"bootstrap.servers": broker.proxied_bootstrap, "transactional.id": topic})
    producer.init_transactions(DEADLINE_S)
    trap = front.catch(Trap(END_TXN, DEADLINE_S, cut=True))
    producer.begin_transaction()
    producer.produce(topic, b"first")
    producer.commit_transaction(DEADLINE_S)
    assert trap.caught.is_set()
    assert trap.request is not None
    assert EndTxn.of(trap.request).transactional_id == topic
    assert EndTxn.of(trap.request).commits
    producer.begin_transaction()
    producer.produce(topic, b"second")
    assert producer.flush(DEADLINE_S) == 0
    trap.release()
    assert trap.answered.wait(DEADLINE_S)
    assert trap.answer is not None
    assert end_txn_error(trap.answer) == 0
    with pytest.raises(KafkaException, match="INVALID_TXN_STATE"):
        producer.abort_transaction(DEADLINE_S)
    assert committed(broker, topic) == [b"first", b"second"]


@pytest.mark.live
def test_when_a_request_is_held_then_its_client_waits_and_goes_on(behind: tuple[KafkaBroker, Front]) -> None:
    broker, front = behind
    producer = Producer({"bootstrap.servers": broker.proxied_bootstrap, "transactional.id": "held"})
    producer.init_transactions(DEADLINE_S)
    unsprung = front.catch(Trap(ADD_OFFSETS_TO_TXN, 1.0))
    trap = front.catch(Trap(END_TXN, 0.5))
    topic = f"held-{uuid.uuid4().hex[:8]}"
    create(broker, topic)
    producer.begin_transaction()
    producer.produce(topic, b"x")
    began = time.monotonic()
    producer.commit_transaction(DEADLINE_S)
    assert time.monotonic() - began >= 0.5
    assert trap.released.is_set()
    assert not unsprung.caught.is_set()
    front.heal()
