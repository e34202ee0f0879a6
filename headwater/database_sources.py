"""Databases as sources: a connector of ours per source, its publication and slot, and what keeps the index equal to it.

The way of `add`: 1. Refuse what can't work.  2. Joined tables, publication.  3. Topics.  4. The connector, with the
position of the log as its floor.
The way of `renew`, where a slot was lost: 1. Stop.  2. Drop the slot, forget the place.  3. A new floor; it begins with
a snapshot, whose rows are newer than all before.  4. `reconcile`: what vanished meanwhile is deleted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from adapters.connect_rest import ConnectApi, ConnectorState
from adapters.joined_tables import install_join, remove_join
from adapters.postgres_source import PostgresAddress, PostgresSource, SourceRefusedError
from adapters.schema_registry import ConfluentSchemaIds
from headwater.source_snapshots import began_anew
from processors.ingest.capture import MAX_COLUMN_CHARS, TableMapping
from processors.ingest.joins import JOIN_SCHEMA
from schemas.changes import FLOOR
from schemas.codec import Codec
from schemas.documents import DocumentDeleted
from schemas.envelope import Version
from streams.committed_heads import committed_heads
from streams.ensure import ensure_source_topics
from streams.publishing import Entrance, Publisher
from streams.settings import Settings
from topics.ingest import DOCUMENT_CHANGED
from topics.topic import MAX_SOURCE_BYTES

__all__ = ["DatabaseSources", "SourceStatus"]

_TEMPLATE: Final = Path("infra") / "connect" / "postgres.json"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,40}")
_TABLE: Final = re.compile(r"[a-zA-Z_]\w*\.[a-zA-Z_]\w*")
# Connect resolves it in its own process: neither its topic nor its REST interface ever holds the password.
_PASSWORD: Final = "${env:HEADWATER_SOURCES__PASSWORD}"
_FLOOR_VALUE: Final = "transforms.floor.static.value"
_SNAPSHOT_S: Final = 60.0
# Kept beside the publication: whoever asks for the source's status, on whatever machine, is told.
_UNRECONCILED: Final = "headwater: begun anew, not reconciled yet"


@dataclass(frozen=True)
class SourceStatus:
    """How a source does: its connector, its slot, and in words what to do where something is wrong."""

    name: str
    state: str
    tables: tuple[str, ...]
    slot: str
    behind_bytes: int | None
    todo: str

    @property
    def healthy(self) -> bool:
        return not self.todo


class DatabaseSources:
    """The sources of one deployment. Use it behind `headwater source`.

        >>> with ConnectApi(settings.sources.connect) as connect:  # doctest: +SKIP
        ...     DatabaseSources(settings, connect).add("handbook", address, ["public.pages"])

    Raises SourceRefusedError for what can't work, and what to do about it; UnavailableError and ConnectUnavailableError
    where a part is away.
    """

    def __init__(self, settings: Settings, connect: ConnectApi) -> None:
        self._settings = settings
        self._connect = connect

    def add(self, name: str, address: PostgresAddress, tables: list[str]) -> dict[str, str]:
        """Begin to follow tables (`schema.table`) that the settings map; returns the connector's configuration."""
        mappings = self._mappings(name, tables)
        if self._connect.state(name) is not None:
            raise SourceRefusedError(f"source {name!r} is there already; remove it, or choose another name")
        with PostgresSource(address) as database:
            self._join(database, mappings)
            if refusals := database.refusals(mappings):
                raise SourceRefusedError(f"source {name!r} can't work yet:\n- " + "\n- ".join(refusals))
            if database.slot(slot_name(name)) is not None:
                raise SourceRefusedError(
                    f"slot {slot_name(name)!r} is there already, maybe of a source that was removed without --drop; "
                    f"SELECT pg_drop_replication_slot('{slot_name(name)}'), or choose another name"
                )
            database.publish(slot_name(name), mappings)
            floor = database.position()
        ensure_source_topics(self._settings, [f"cdc.{table}" for table in tables])
        config = self._config(name, address, mappings, floor)
        self._connect.write(name, config)
        return config

    def statuses(self) -> list[SourceStatus]:
        """Every source, by name."""
        return [self.status(state.name) for state in self._connect.states() if _is_ours(state)]

    def status(self, name: str) -> SourceStatus:
        """One source: what its connector, its slot and its publication say together."""
        state = self._state(name)
        with PostgresSource(self._address(state)) as database:
            slot, published = database.slot(slot_name(name)), database.published(slot_name(name))
            noted = database.noted(slot_name(name))
            left = self._left_behind(database, state) if slot is not None and state.running else 0
        failed = "FAILED" in (state.state, *state.tasks)
        todo = ""
        if slot is None and (state.running or failed or state.stopped):
            todo = f"its slot is gone, changes are lost: headwater source renew {name}"
        elif slot is not None and slot.lost:
            todo = f"its slot lost changes ({slot.wal_status}): headwater source renew {name}"
        elif not published:
            todo = f"its publication is gone: headwater source renew {name}"
        elif failed:
            todo = f"its connector failed ({state.words}): headwater source resume {name}"
        elif noted == _UNRECONCILED:
            todo = f"begun anew; rows deleted meanwhile are still found: headwater source reconcile {name}"
        elif left:
            todo = f"its snapshot was begun anew, {left} documents have no row: headwater source reconcile {name}"
        return SourceStatus(
            name=name,
            state="FAILED" if failed else state.state,
            tables=tuple(_tables(state)),
            slot=slot.wal_status if slot else "none",
            behind_bytes=slot.behind_bytes if slot else None,
            todo=todo,
        )

    def pause(self, name: str) -> None:
        """Send nothing until `resume`; the database keeps its log meanwhile."""
        self._connect.pause(self._state(name).name)

    def resume(self, name: str) -> None:
        """Go on, also where it failed."""
        self._connect.resume(self._state(name).name)
        self._connect.restart(name)

    def remove(self, name: str, drop: bool) -> None:
        """Take the connector away; with `drop` its slot and publication too, which nothing else would ever do."""
        state = self._state(name)
        self._connect.stop(name)
        self._connect.forget_place(name)
        self._connect.remove(name)
        if not drop:
            return
        with PostgresSource(self._address(state)) as database:
            database.drop_slot(slot_name(name))
            database.drop_publication(slot_name(name))
            for join_name, join in self._joins(_tables(state)).items():
                database.change(partial(remove_join, name=join_name, join=join))

    def renew(self, name: str) -> None:
        """Begin again with a new slot and a new snapshot that is newer than all before. Follow it with `reconcile`."""
        state = self._state(name)
        address, mappings = self._address(state), self._mappings(name, _tables(state))
        self._connect.stop(name)
        with PostgresSource(address) as database:
            database.drop_slot(slot_name(name))
            database.publish(slot_name(name), mappings)
            database.note(slot_name(name), _UNRECONCILED)
            floor = database.position()
        self._connect.forget_place(name)
        # Made anew, for the failure of the old one would be told of the new one for a while.
        self._connect.remove(name)
        self._connect.write(name, self._config(name, address, mappings, floor))
        self._connect.await_state(name, lambda found: found.running, _SNAPSHOT_S)

    def reconcile(self, name: str, codec: Codec, entrance: Entrance) -> list[DocumentDeleted]:
        """Delete the documents whose rows are gone; returns what was deleted. It may run at any time, and again."""
        state = self._state(name)
        gone: list[DocumentDeleted] = []
        with PostgresSource(self._address(state)) as database:
            for table, mapping in self._mappings(name, _tables(state)).items():
                gone.extend(self._vanished(database, table, mapping, codec))
        with Publisher(self._settings.kafka, codec, entrance) as publisher:
            for event in gone:
                publisher.publish(DOCUMENT_CHANGED, event)
        with PostgresSource(self._address(state)) as database:
            if database.noted(slot_name(name)) == _UNRECONCILED:
                database.note(slot_name(name), "")
        return gone

    def _left_behind(self, database: PostgresSource, state: ConnectorState) -> int:
        """How many documents have no row any more, where that may be: after a snapshot that was begun anew.

        Whoever asks for a status may have settings that map other tables: of those the status tells the rest.
        """
        codec = Codec(ConfluentSchemaIds(self._settings.registry.url))
        known = self._settings.sources.tables
        mappings = {table: known[name] for table in _tables(state) if (name := table.rpartition(".")[2]) in known}
        topics = [f"cdc.{table}" for table in mappings]
        if not began_anew(self._settings.kafka, codec, topics, state.config[_FLOOR_VALUE]):
            return 0
        return sum(len(self._vanished(database, table, mapping, codec)) for table, mapping in mappings.items())

    def _vanished(
        self, database: PostgresSource, table: str, mapping: TableMapping, codec: Codec
    ) -> list[DocumentDeleted]:
        position, there = database.names_now(table, mapping)
        version = Version(source=position, offset=0)
        heads = committed_heads(self._settings, codec, _clock())(f"{table.rpartition('.')[2]}/")
        return [
            DocumentDeleted(
                tenant=head.tenant, document=head.document, reason="its row is gone at the source", version=version
            )
            for head in heads
            if not head.gone and head.document not in there and head.version < version
        ]

    def _join(self, database: PostgresSource, mappings: Mapping[str, TableMapping]) -> None:
        for name, join in self._joins(mappings).items():
            database.change(partial(install_join, name=name, join=join))

    def _joins(self, tables: Any) -> dict[str, Any]:
        bare = [table.partition(".")[2] for table in tables if table.startswith(f"{JOIN_SCHEMA}.")]
        return {name: self._settings.sources.joins[name] for name in bare if name in self._settings.sources.joins}

    def _mappings(self, name: str, tables: list[str]) -> dict[str, TableMapping]:
        if not _NAME.fullmatch(name):
            raise SourceRefusedError(f"wanted a name of lower-case letters, digits and _, got {name!r}")
        if wrong := [table for table in tables if not _TABLE.fullmatch(table)] or (not tables and ["none"]):
            raise SourceRefusedError(f"wanted tables as schema.table, got {', '.join(wrong)}")
        known = self._settings.sources.tables
        if unmapped := [table for table in tables if table.rpartition(".")[2] not in known]:
            raise SourceRefusedError(
                f"wanted sources.tables to map {', '.join(unmapped)}, it maps {', '.join(known) or 'nothing'}"
            )
        return {table: known[table.rpartition(".")[2]] for table in tables}

    def _config(
        self, name: str, address: PostgresAddress, mappings: Mapping[str, TableMapping], floor: int
    ) -> dict[str, str]:
        """The template, filled in; the password is a reference that Connect resolves."""
        bodies = ",".join(f"{table.replace('.', '[.]')}[.]{mapping.body}" for table, mapping in mappings.items())
        kafka = self._settings.kafka
        return {
            **_template(),
            "database.hostname": address.host,
            "database.port": str(address.port),
            "database.user": address.user,
            "database.dbname": address.database,
            **({"database.password": _PASSWORD} if address.password else {}),
            "slot.name": slot_name(name),
            "publication.name": slot_name(name),
            "table.include.list": ",".join(table.replace(".", "[.]") for table in mappings),
            f"column.truncate.to.{MAX_COLUMN_CHARS}.chars": bodies,
            "custom.metric.tags": f"source={name}",
            "topic.creation.default.partitions": str(kafka.partitions),
            "topic.creation.default.replication.factor": str(kafka.replication),
            "topic.creation.default.max.message.bytes": str(MAX_SOURCE_BYTES),
            "producer.override.max.request.size": str(MAX_SOURCE_BYTES),
            "producer.override.buffer.memory": str(MAX_SOURCE_BYTES * 3 // 2),
            _FLOOR_VALUE: str(floor),
        }

    def _state(self, name: str) -> ConnectorState:
        state = self._connect.state(name)
        if state is None or not _is_ours(state):
            there = ", ".join(each.name for each in self._connect.states() if _is_ours(each)) or "none"
            raise SourceRefusedError(f"wanted a source that was added, got {name!r}; there are: {there}")
        return state

    def _address(self, state: ConnectorState) -> PostgresAddress:
        config = state.config
        return PostgresAddress(
            host=config["database.hostname"],
            port=int(config["database.port"]),
            database=config["database.dbname"],
            user=config["database.user"],
            password=self._settings.sources.password if "database.password" in config else "",
        )


def slot_name(name: str) -> str:
    """The slot and the publication of a source.

    >>> slot_name("handbook")
    'headwater_handbook'
    """
    return f"headwater_{name}"


def _is_ours(state: ConnectorState) -> bool:
    return state.config.get("transforms.floor.static.field") == FLOOR


def _tables(state: ConnectorState) -> list[str]:
    return state.config["table.include.list"].replace("[.]", ".").split(",")


def _clock() -> Any:
    from adapters.host import SystemClock

    return SystemClock()


def _template() -> dict[str, str]:
    """The connector as it stands in the checkout, or beside the installed package."""
    places = (Path(__file__).parents[1] / _TEMPLATE, Path(__file__).with_name(_TEMPLATE.name))
    found = next((place for place in places if place.is_file()), places[-1])
    template: dict[str, str] = json.loads(found.read_text(encoding="utf-8"))
    return template
