"""Ports: chosen free, remembered, and refused only when asked for by number."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from headwater.local.errors import PortTakenError
from headwater.local.ports import HOST, choose_port, is_free, is_open


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        yield int(server.getsockname()[1])


def test_when_nothing_is_asked_for_then_a_free_one_below_the_outgoing_range() -> None:
    port = choose_port("Kafka")
    assert 20_000 <= port <= 32_000
    assert is_free(port)
    assert not is_open(port)


def test_when_remembered_and_free_then_the_same() -> None:
    port = choose_port("Kafka")
    assert choose_port("Kafka", remembered=port) == port


def test_when_remembered_but_taken_then_another(taken: int) -> None:
    assert is_open(taken)
    assert choose_port("Kafka", remembered=taken) != taken


def test_when_asked_for_and_taken_then_refused_with_a_way_out(taken: int) -> None:
    with pytest.raises(PortTakenError, match=f"Kafka was to listen on port {taken}, but another process does; stop"):
        choose_port("Kafka", wanted=taken)


def test_when_asked_for_and_free_then_that_one() -> None:
    port = choose_port("Kafka")
    assert choose_port("Kafka", wanted=port, remembered=port + 1) == port
