"""A real PostgreSQL and a real Kafka Connect with Debezium for the whole test session, over the session's broker.

`tests/conftest.py` loads this as a plugin. Tests share them, so tables and sources need names of their own.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.local.broker import KafkaBroker
from headwater.local.connect import ConnectSpec, KafkaConnect
from headwater.local.errors import ServerMissingError
from headwater.local.postgres import PostgresServer, PostgresSpec, find_postgres

__all__ = ["connect", "postgres"]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running PostgreSQL: `postgres.dsn` is what clients connect to. Skips where none is installed."""
    try:
        find_postgres()
    except ServerMissingError as error:
        pytest.skip(f"lacks PostgreSQL (apt package postgresql): {error}")
    # As root the server runs as another user, who may not enter the folders that pytest makes.
    folder = Path(tempfile.mkdtemp(prefix="headwater-cdc-"))
    folder.chmod(0o711)
    settings = (("fsync", "off"), ("max_connections", "40"), ("max_slot_wal_keep_size", "64MB"))
    try:
        with PostgresServer(PostgresSpec(folder, settings=settings)) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def connect(
    tmp_path_factory: pytest.TempPathFactory, cache_folder: Path, kafka: KafkaBroker, postgres: PostgresServer
) -> Iterator[KafkaConnect]:
    """A running Kafka Connect worker: `connect.url` is its REST address, `connect.child` its process."""
    spec = ConnectSpec(tmp_path_factory.mktemp("connect"), cache_folder, lambda: kafka.bootstrap, quick=True)
    with KafkaConnect(spec) as worker:
        yield worker
