"""Redis as a part of the local stack: it starts, keeps what it holds, ends, and says what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from headwater.cli.exits import UNAVAILABLE, code_of
from headwater.local.errors import ChildDiedError, PortTakenError
from headwater.local.ports import choose_port
from headwater.local.redis_server import RedisMissingError, RedisServer


@pytest.mark.live
def test_when_it_is_stopped_and_begun_again_then_it_has_what_it_had(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    with server:
        assert server.is_ready()
        first, port = server.child.pid, server.port
        server.begin(port)
        assert server.child.pid == first, "it ran already"
        client = redis.Redis.from_url(server.url, protocol=2)
        client.set("kept", "yes")
    assert server.child.pid is None
    with RedisServer(tmp_path, port) as again:
        assert again.port == port
        assert client.get("kept") == b"yes"
    client.close()


@pytest.mark.live
def test_when_it_can_not_start_then_its_own_words_say_why(tmp_path: Path, redis_server: RedisServer) -> None:
    """Where its port is taken it is not even started; what it says itself is told of what only it can know."""
    with pytest.raises(PortTakenError, match=f"port {redis_server.port}"):
        RedisServer(tmp_path).begin(redis_server.port)
    server = RedisServer(tmp_path)
    (tmp_path / "data" / "appendonlydir").mkdir(parents=True)
    (tmp_path / "data" / "appendonlydir" / "appendonly.aof.manifest").write_text("damaged")
    server.begin()
    with pytest.raises(ChildDiedError, match=r"(?i)manifest"):
        server.child.await_ready(lambda: False, 10.0)


def test_when_there_is_no_redis_then_the_message_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RedisMissingError, match=r"apt install redis-server") as missing:
        RedisServer(tmp_path).begin(choose_port("Redis"))
    assert code_of(missing.value) == UNAVAILABLE
