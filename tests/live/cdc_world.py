"""A database that is followed: statements in, its documents out, through Debezium and the real capture."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

from adapters.connect_rest import ConnectApi
from adapters.host import SystemClock
from adapters.memory import MemoryClaims
from adapters.postgres_source import PostgresAddress
from headwater.database_sources import DatabaseSources
from headwater.local.connect import KafkaConnect
from headwater.local.postgres import PostgresServer
from processors.contract import Reject
from processors.ingest.capture import Captured, SourceMapping, TableMapping, capture
from processors.ingest.joins import JoinMapping
from schemas.changes import SourceRecord
from schemas.documents import AccessChanged, DocumentChanged, DocumentDeleted
from schemas.envelope import Version
from streams.parts import Parts
from streams.reading import Reader
from streams.settings import Kafka, Settings, Sources

__all__ = ["World", "world"]

TENANT = "acme"


@dataclass
class World:
    """One source of a test. `sql` runs statements, `documents` is what came of them, `refused` what did not."""

    name: str
    settings: Settings
    server: PostgresServer
    connect: KafkaConnect
    tables: list[str]
    refused: list[str] = field(default_factory=list)

    def sql(self, *statements: str) -> None:
        """Run statements, all in one transaction."""
        with psycopg.connect(self.server.dsn) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.server.dsn) as connection:
            return connection.execute(statement.encode()).fetchall()

    @property
    def address(self) -> PostgresAddress:
        return PostgresAddress("127.0.0.1", self.server.port, "postgres", self.server.spec.user)

    @contextmanager
    def sources(self) -> Iterator[DatabaseSources]:
        with ConnectApi(self.connect.url) as api:
            yield DatabaseSources(self.settings, api)

    def add(self) -> dict[str, str]:
        with self.sources() as sources:
            return sources.add(self.name, self.address, self.tables)

    def records(self) -> list[SourceRecord]:
        """Everything that Debezium wrote for these tables, in the order of each partition."""
        found = []
        with Reader(self.settings.kafka, Parts.memory_codec(), SystemClock()) as reader:
            for table in self.tables:
                for each in reader.read(f"cdc.{table}"):
                    record = SourceRecord(
                        tenant="",
                        topic=each.topic,
                        partition=each.partition,
                        offset=each.offset,
                        key=each.key.encode(),
                        value=each.value,
                    )
                    found.append(record)
        return found

    def events(self) -> list[Captured]:
        """What capture makes of them; what it refuses is in `refused`."""
        mapping, claims = SourceMapping(self.settings.sources.tables), MemoryClaims()
        events: list[Captured] = []
        self.refused = []
        for record in self.records():
            try:
                events.extend(capture(record, mapping, claims, lambda _: []))
            except Reject as reject:
                self.refused.append(str(reject))
        return events

    def documents(self) -> dict[str, str]:
        """The documents as a reader goes by versions: the newest of each, whatever came last."""
        newest: dict[str, tuple[Version, str | None]] = {}
        for event in self.events():
            if isinstance(event, AccessChanged):
                continue
            assert event.version is not None
            text = _text(event)
            if event.document not in newest or event.version > newest[event.document][0]:
                newest[event.document] = (event.version, text)
        return {name: text for name, (_, text) in newest.items() if text is not None}

    def until(self, holds: Callable[[], bool], within_s: float = 30.0) -> None:
        until = time.monotonic() + within_s
        while not holds():
            assert time.monotonic() < until, f"not within {within_s:g} s: {str(self.documents())[:500]}, {self.refused}"
            time.sleep(0.1)

    def settles(self, expected: dict[str, str], within_s: float = 30.0) -> None:
        self.until(lambda: self.documents() == expected, within_s)


def _text(event: DocumentChanged | DocumentDeleted) -> str | None:
    if isinstance(event, DocumentDeleted):
        return None
    return f"{event.title}|{event.body.decode() if event.body else event.claim.size if event.claim else ''}"


def world(
    name: str,
    server: PostgresServer,
    connect: KafkaConnect,
    tables: dict[str, TableMapping],
    joins: dict[str, JoinMapping] | None = None,
) -> World:
    """A source that is not added yet; `tables` are mappings by `schema.table`."""
    bare = {table.rpartition(".")[2]: mapping for table, mapping in tables.items()}
    bootstrap = connect.spec.bootstrap()
    settings = Settings(
        kafka=Kafka(bootstrap=bootstrap, deadline_s=10.0, partitions=2),
        sources=Sources(tables=bare, joins=joins or {}, connect=connect.url),
    )
    return World(name, settings, server, connect, list(tables))
