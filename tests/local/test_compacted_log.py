"""The compacted log behind the registry: complete when read, one writer by force, clear when Kafka is away."""

from __future__ import annotations

import uuid

import pytest

from headwater.local.broker import KafkaBroker
from headwater.local.ports import HOST, choose_port
from streams.compacted_log import CompactedLog, LogTakenOverError
from streams.errors import ClusterUnavailableError


@pytest.fixture
def topic() -> str:
    return f"test.log.{uuid.uuid4()}"


@pytest.mark.live
def test_when_appended_then_loaded_in_order_with_removals(kafka: KafkaBroker, topic: str) -> None:
    log = CompactedLog(kafka.bootstrap, topic)
    assert list(log.load()) == []
    records: list[tuple[bytes, bytes | None]] = [(b"a", b"1"), (b"b", b"2"), (b"a", None), (b"c", b"x" * 200_000)]
    for key, value in records:
        log.append(key, value)
    assert list(CompactedLog(kafka.bootstrap, topic).load()) == records


@pytest.mark.live
def test_when_another_claims_then_the_first_can_append_no_more(kafka: KafkaBroker, topic: str) -> None:
    old, new = CompactedLog(kafka.bootstrap, topic), CompactedLog(kafka.bootstrap, topic)
    assert list(old.load()) == []
    assert [old.claim(), old.claim()] == [True, False]
    old.append(b"a", b"1")
    assert new.claim()
    assert dict(new.load()) == {b"a": b"1"}
    with pytest.raises(LogTakenOverError, match="another process writes it now; stop one of the two"):
        old.append(b"a", b"2")
    new.append(b"a", b"3")
    assert list(new.load()) == [(b"a", b"1"), (b"a", b"3")]


def test_when_nothing_listens_then_every_call_says_so_in_time() -> None:
    log = CompactedLog(f"{HOST}:{choose_port('nobody')}", "t", timeout_s=0.5)
    with pytest.raises(ClusterUnavailableError, match="'t'"):
        list(log.load())
    with pytest.raises(ClusterUnavailableError, match="wanted to write 't'"):
        log.append(b"a", b"1")
