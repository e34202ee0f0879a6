"""A real Redis for the whole test session, on a free port; every test has a namespace of its own on it."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.redis_heads import RedisOptions
from headwater.local.redis_server import RedisServer

__all__ = ["redis_options", "redis_server"]


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A running Redis: `redis_server.url` is what clients connect to, `redis_server.child` its process."""
    if shutil.which("redis-server") is None:
        pytest.skip("wanted redis-server on this machine; apt install redis-server")
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def own_redis(tmp_path: Path, redis_server: RedisServer) -> Iterator[RedisServer]:
    """A Redis of this test's own, to stop and kill; `redis_server` says whether there is one at all."""
    del redis_server
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def redis_options(redis_server: RedisServer) -> RedisOptions:
    """Options of a view that no other test sees."""
    return RedisOptions(redis_server.url, timeout_s=2.0, namespace=f"test-{uuid.uuid4()}")
