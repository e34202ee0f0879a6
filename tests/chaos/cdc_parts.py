"""T10's servers, all real: broker, registry, PostgreSQL, Kafka Connect with Debezium, Weaviate as index, Redis as view.

What is killed keeps its folder and its port, and is begun again as an operator's supervisor would. The broker has the
session that people have too (10 s), not the short one of the other scenarios.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Final

import redis

from adapters.connect_rest import ConnectApi
from adapters.postgres_source import PostgresAddress
from headwater.database_sources import DatabaseSources
from headwater.local.beside import client_settings
from headwater.local.broker import BrokerSpec, KafkaBroker
from headwater.local.connect import ConnectSpec, KafkaConnect
from headwater.local.parts import REGISTRY, OwnPart
from headwater.local.ports import choose_port
from headwater.local.postgres import PostgresServer, PostgresSpec
from headwater.local.redis_server import RedisServer
from headwater.local.weaviate import WeaviateServer
from processors.ingest.capture import TableMapping
from streams.ensure import ensure
from streams.settings import load, user_cache
from tests.chaos.cdc_reader import TENANT

MAPPING: Final = TableMapping(id_columns=("id",), body="body", title="title", tenant=TENANT)
PARTITIONS: Final = 4
READY_S: Final = 240.0
AWAY_S: Final = 2.0


class CdcParts:
    """The servers of a run: use it as a context. `environment` is what a worker must know of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._end = ExitStack()

    def __enter__(self) -> CdcParts:
        try:
            self._start()
        except BaseException:
            self._end.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()

    def _start(self) -> None:
        # As root PostgreSQL runs as another user, who may not enter every folder.
        data = Path(tempfile.mkdtemp(prefix="headwater-t10-"))
        data.chmod(0o711)
        self._end.callback(shutil.rmtree, data, ignore_errors=True)
        self.postgres = self._end.enter_context(PostgresServer(PostgresSpec(data, settings=(("fsync", "off"),))))
        self.broker = self._end.enter_context(KafkaBroker(BrokerSpec(self.folder / "kafka", user_cache(), quick=True)))
        spec = ConnectSpec(self.folder / "connect", user_cache(), lambda: self.broker.bootstrap, quick=True)
        self.connect = KafkaConnect(spec)
        self.weaviate = WeaviateServer(self.folder / "weaviate", user_cache())
        self.redis = RedisServer(self.folder / "redis")
        for server in (self.connect, self.weaviate, self.redis):
            self._end.callback(server.stop)
            server.begin()
        self._begin_registry()
        for server in (self.redis, self.weaviate, self.connect):
            server.await_ready()
        self._settle_settings()

    def _begin_registry(self) -> None:
        self.registry = OwnPart(REGISTRY, self.folder / "registry")
        self._end.callback(self.registry.stop)
        told = (("HEADWATER_KAFKA__BOOTSTRAP", self.broker.bootstrap),)
        self.registry.begin(choose_port("the registry"), told)
        self.registry.await_ready(READY_S)

    def _settle_settings(self) -> None:
        folder = self.folder.absolute()
        self.settings = load(
            kafka={"bootstrap": self.broker.bootstrap, "partitions": PARTITIONS},
            registry={"url": self.registry.url, "auto_register": True},
            index={
                "kind": "weaviate",
                "url": self.weaviate.url,
                "grpc_port": self.weaviate.grpc_port,
                "api_key": self.weaviate.api_key,
                "folder": folder / "index",
            },
            heads={"kind": "redis", "url": self.redis.url},
            embed={"model": "hashing"},
            sources={"tables": {"texts": MAPPING}, "connect": self.connect.url},
            claims_folder=folder / "claims",
        )
        ensure(self.settings)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "HEADWATER_KAFKA__BOOTSTRAP": self.broker.bootstrap,
            "HEADWATER_KAFKA__PARTITIONS": str(PARTITIONS),
            "HEADWATER_REGISTRY__URL": self.registry.url,
            "HEADWATER_REGISTRY__AUTO_REGISTER": "true",
            "HEADWATER_INDEX__FOLDER": str(self.settings.index.folder),
            "HEADWATER_CLAIMS_FOLDER": str(self.settings.claims_folder),
            "HEADWATER_EMBED__MODEL": "hashing",
            "HEADWATER_SOURCES__TABLES": json.dumps({"texts": asdict(MAPPING)}),
            **dict(client_settings((self.redis, self.weaviate))),
        }

    def follow(self) -> None:
        """Adds the table as a source."""
        address = PostgresAddress("127.0.0.1", self.postgres.port, "postgres", self.postgres.spec.user)
        with ConnectApi(self.connect.url) as api:
            DatabaseSources(self.settings, api).add("t10", address, ["public.texts"])

    def kill(self, name: str) -> bool:
        """kill -9 of `connect`, `weaviate` or `redis`; whether it was alive."""
        children = {"connect": self.connect.child, "weaviate": self.weaviate.child, "redis": self.redis.child}
        was_alive = children[name].alive
        children[name].kill()
        return was_alive

    def flush(self) -> bool:
        """Empties Redis under everybody's hands; whether there was one to be emptied."""
        client = redis.Redis.from_url(self.redis.url, protocol=2, socket_timeout=AWAY_S)
        try:
            client.flushall()
        except redis.RedisError:
            return False
        finally:
            client.close()
        return True

    def revive(self) -> None:
        """Begins again what was killed, and what ended by itself: Connect does where it can't go on."""
        for server in (self.redis, self.weaviate, self.connect):
            server.begin()
