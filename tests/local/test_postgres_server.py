"""PostgreSQL and Kafka Connect as child processes: initialised once, found again, clear about what they lack."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from headwater.local import postgres as module
from headwater.local.connect import KafkaConnect
from headwater.local.downloads import fetch_plugins, pinned
from headwater.local.errors import LocalStackError, ServerMissingError
from headwater.local.postgres import PostgresServer, PostgresSpec, find_postgres


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that another user may enter."""
    made = Path(tempfile.mkdtemp(prefix="headwater-postgres-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.mark.live
def test_when_started_again_then_its_data_and_its_port_are_the_same(folder: Path, postgres: PostgresServer) -> None:
    with PostgresServer(PostgresSpec(folder)) as server:
        with psycopg.connect(server.dsn) as connection:
            assert connection.execute("SHOW wal_level").fetchone() == ("logical",)
            connection.execute("CREATE TABLE kept (id int)")
        port = server.port
        server.child.kill()
        assert not server.is_ready()
        server.start()
        with psycopg.connect(server.dsn) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
        assert server.port == port != postgres.port
    assert not server.child.alive
    assert PostgresServer(PostgresSpec(folder)).port == port


@pytest.mark.live
def test_when_connect_serves_then_it_has_the_connector(connect: KafkaConnect, cache_folder: Path) -> None:
    assert connect.is_ready()
    assert [path.name for path in fetch_plugins(cache_folder).iterdir()] == [
        "debezium-connector-postgres-3.6.1.Final-plugin"
    ]


def test_when_plugins_are_pinned_then_by_one_coordinate_and_hash() -> None:
    (plugin,) = pinned(Path(module.__file__).with_name("connect_plugins.txt"))
    assert plugin.filename == "debezium-connector-postgres-3.6.1.Final-plugin.tar.gz"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become someone else")
@pytest.mark.live
def test_when_root_has_a_closed_folder_then_it_says_which(folder: Path, postgres: PostgresServer) -> None:
    (folder / "closed").mkdir(mode=0o700)
    with pytest.raises(LocalStackError, match=r"who may not enter .*closed"):
        PostgresServer(PostgresSpec(folder / "closed" / "postgres")).begin()


def test_when_no_postgres_is_installed_then_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOWEST_POSTGRES", 99)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ServerMissingError, match=r"apt: postgresql"):
        find_postgres()
