"""A PostgreSQL database as a source: what its tables lack to be captured, its publication, its slot, its rows.

Everything that a connector needs in the database is made and removed here, never by the connector itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from adapters.errors import AdapterError, MissingExtraError, UnavailableError
from adapters.joined_tables import install_truncate_trigger
from processors.ingest.capture import TableMapping, document_name

if TYPE_CHECKING:
    import psycopg

__all__ = ["PostgresAddress", "PostgresSource", "Slot", "SourceBusyError", "SourceRefusedError"]

_CONNECT_TIMEOUT_S: Final = 10
_POLL_S: Final = 0.1
# Types whose text is the same in Debezium's JSON and in SQL: only such keys can be compared row by row.
_KEY_TYPES: Final = frozenset({"int2", "int4", "int8", "text", "varchar", "uuid"})

_COLUMNS: Final = """
SELECT a.attname, t.typname, a.attstorage <> 'p', coalesce(a.attnum = ANY (i.indkey), false)
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
"""
_TABLE: Final = """
SELECT c.oid, c.relreplident::text, has_table_privilege(c.oid, 'SELECT'), pg_has_role(c.relowner, 'USAGE')
FROM pg_class c WHERE c.oid = to_regclass(%s) AND c.relkind IN ('r', 'p')
"""
_ROLE: Final = """
SELECT rolreplication OR rolsuper, has_database_privilege(current_database(), 'CREATE'), current_setting('wal_level')
FROM pg_roles WHERE rolname = current_user
"""
_SLOT: Final = """
SELECT active, coalesce(wal_status, 'unknown'),
  (pg_current_wal_lsn() - coalesce(confirmed_flush_lsn, restart_lsn))::bigint
FROM pg_replication_slots WHERE slot_name = %s
"""


class SourceRefusedError(AdapterError):
    """A database or a table can't be captured as it is; the message says everything that is in the way."""


class SourceBusyError(UnavailableError):
    """The database did not come to rest in time; try again."""


@dataclass(frozen=True)
class PostgresAddress:
    """How a database is reached; the password is never shown."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Slot:
    """A replication slot: whether somebody reads it, whether its log is still whole, how far its reader is behind."""

    active: bool
    wal_status: str
    behind_bytes: int | None

    @property
    def lost(self) -> bool:
        """Whether changes are gone for good: only a new snapshot helps."""
        return self.wal_status == "lost" or self.behind_bytes is None


@dataclass(frozen=True)
class _Table:
    """What the catalogue says of a table."""

    oid: int
    full_identity: bool
    readable: bool
    owned: bool
    types: Mapping[str, str]
    large: frozenset[str]
    key: frozenset[str]


class PostgresSource:
    """One database. Use it as a context; every call is a transaction of its own.

    >>> with PostgresSource(PostgresAddress("127.0.0.1", 5432, "docs", "headwater")) as source:  # doctest: +SKIP
    ...     source.refusals({"public.pages": TableMapping(id_columns=("id",), body="text", tenant="acme")})
    ["table 'public.pages' has no primary key; ..."]

    Raises UnavailableError where the database can't be reached, SourceRefusedError where it does not allow something.
    """

    def __init__(self, address: PostgresAddress) -> None:
        self.address = address
        self._connection: psycopg.Connection[Any] | None = None

    def __enter__(self) -> PostgresSource:
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()

    def refusals(self, tables: Mapping[str, TableMapping]) -> list[str]:
        """Everything that keeps these tables (`schema.table`) from being captured, each with what to do about it."""
        found = []
        may_replicate, may_create, wal_level = self._one(_ROLE)
        if wal_level != "logical":
            found.append(
                f"wal_level is {wal_level!r}: set wal_level = logical in postgresql.conf and restart the server"
            )
        if not may_replicate:
            found.append(f"user {self.address.user!r} may not replicate: ALTER ROLE {self.address.user} REPLICATION")
        if not may_create:
            found.append(
                f"user {self.address.user!r} may not publish: GRANT CREATE ON DATABASE {self.address.database}"
            )
        for name, mapping in tables.items():
            found.extend(self._table_refusals(name, mapping))
        return found

    def publish(self, name: str, tables: Mapping[str, TableMapping]) -> None:
        """Make the publication of these tables and no others; a truncated one deletes row by row if so declared."""
        from psycopg import sql

        publication = sql.Identifier(name)
        listed = sql.SQL(", ").join(sql.Identifier(*table.split(".")) for table in tables)
        with self._transaction() as connection:
            connection.execute(sql.SQL("DROP PUBLICATION IF EXISTS {}").format(publication))
            made = sql.SQL("CREATE PUBLICATION {} FOR TABLE {} WITH (publish_via_partition_root = true)")
            connection.execute(made.format(publication, listed))
            for table, mapping in tables.items():
                if mapping.truncate == "delete":
                    install_truncate_trigger(connection, table)

    def change(self, how: Callable[[psycopg.Connection[Any]], None]) -> None:
        """Run changes of the schema in one transaction."""
        with self._transaction() as connection:
            how(connection)

    def position(self) -> int:
        """Where the log ends now: nothing that was written before is at or above it."""
        return int(self._one("SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint")[0])

    def slot(self, name: str) -> Slot | None:
        """The replication slot of a name; None where there is none."""
        rows = self._all(_SLOT, name)
        return Slot(*rows[0]) if rows else None

    def published(self, name: str) -> bool:
        """Whether the publication is there."""
        return bool(self._all("SELECT 1 FROM pg_publication WHERE pubname = %s", name))

    def note(self, name: str, words: str) -> None:
        """Keep words beside a publication, in the database itself; none takes them away."""
        from psycopg import sql

        said = sql.SQL("COMMENT ON PUBLICATION {} IS {}")
        with self._transaction() as connection:
            connection.execute(said.format(sql.Identifier(name), sql.Literal(words or None)))

    def noted(self, name: str) -> str:
        """What was kept beside a publication; empty where nothing was."""
        rows = self._all("SELECT obj_description(oid, 'pg_publication') FROM pg_publication WHERE pubname = %s", name)
        return str(rows[0][0] or "") if rows else ""

    def drop_slot(self, name: str, within_s: float = 20.0) -> None:
        """Drop a slot once its reader has let go of it; one that is not there is no error. Raises SourceBusyError."""
        for _ in _turns(within_s):
            slot = self.slot(name)
            if slot is None:
                return
            if not slot.active:
                self._all("SELECT pg_drop_replication_slot(%s)", name)
                return
        raise SourceBusyError(f"slot {name!r} is still read after {within_s:g} s; stop the connector, try again")

    def drop_publication(self, name: str) -> None:
        """Drop a publication; one that is not there is no error."""
        from psycopg import sql

        with self._transaction() as connection:
            connection.execute(sql.SQL("DROP PUBLICATION IF EXISTS {}").format(sql.Identifier(name)))

    def names_now(self, table: str, mapping: TableMapping, within_s: float = 30.0) -> tuple[int, set[str]]:
        """A position, and the names of all documents whose rows were there at or after it.

        1. Take the position.  2. Wait until every transaction that was open then has ended.  3. Read the keys. What the
        reading did not see was not written below the position, so a delete with that version hurts nothing newer.
        Raises SourceBusyError where a transaction stays open, SourceRefusedError for keys of other types.
        """
        from psycopg import sql

        self._require_comparable(table, mapping)
        position = self.position()
        self._await_older(within_s)
        columns = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in mapping.id_columns)
        asked = sql.SQL("SELECT {} FROM {}").format(columns, sql.Identifier(*table.split(".")))
        bare = table.rpartition(".")[2]
        with self._transaction() as connection, connection.cursor("headwater_names") as cursor:
            cursor.itersize = 10_000
            cursor.execute(asked)
            return position, {document_name(bare, row) for row in cursor}

    def _table_refusals(self, name: str, mapping: TableMapping) -> Iterator[str]:
        table = self._describe(name)
        if table is None:
            yield f"table {name!r} is not there, or is no table; name it as schema.table"
            return
        if not table.readable:
            yield f"user {self.address.user!r} may not read {name!r}: GRANT SELECT ON {name}"
        if not table.owned:
            yield f"user {self.address.user!r} can't publish {name!r}, being no owner: ALTER TABLE {name} OWNER TO …"
        if not table.key:
            yield f"table {name!r} has no primary key, which tells its rows apart: ALTER TABLE {name} ADD PRIMARY KEY …"
        if unknown := sorted(set(_columns(mapping)) - set(table.types)):
            there = ", ".join(sorted(table.types))
            yield f"table {name!r} has no column {', '.join(map(repr, unknown))}: correct the mapping; it has {there}"
        if not table.full_identity and (needs := _needs_before(mapping, table)):
            yield f"table {name!r}: {needs} needs rows as they were: ALTER TABLE {name} REPLICA IDENTITY FULL"

    def _describe(self, name: str) -> _Table | None:
        rows = self._all(_TABLE, name)
        if not rows:
            return None
        oid, identity, readable, owned = rows[0]
        columns = self._all(_COLUMNS, oid)
        return _Table(
            oid=oid,
            full_identity=identity == "f",
            readable=readable,
            owned=owned,
            types={column: kind for column, kind, _, _ in columns},
            large=frozenset(column for column, _, large, _ in columns if large),
            key=frozenset(column for column, _, _, key in columns if key),
        )

    def _require_comparable(self, table: str, mapping: TableMapping) -> None:
        described = self._describe(table)
        types = described.types if described else {}
        if other := [name for name in mapping.id_columns if types.get(name) not in _KEY_TYPES]:
            raise SourceRefusedError(
                f"wanted keys of the types {', '.join(sorted(_KEY_TYPES))} to compare table {table!r} with the index, "
                f"got {', '.join(f'{name} {types.get(name)}' for name in other)}; compare it by hand"
            )

    def _await_older(self, within_s: float) -> None:
        newest = int(self._one("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")[0])
        for _ in _turns(within_s):
            if int(self._one("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")[0]) >= newest:
                return
        raise SourceBusyError(f"a transaction has been open for {within_s:g} s; end it (pg_stat_activity), try again")

    def _one(self, query: str, *values: object) -> tuple[Any, ...]:
        return self._all(query, *values)[0]

    def _all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._transaction() as connection:
            found: list[tuple[Any, ...]] = connection.execute(query, values).fetchall()
            return found

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            import psycopg
        except ImportError as error:
            raise MissingExtraError("psycopg", "cdc") from error
        try:
            connection = self._connect(psycopg)
            with connection.transaction():
                yield connection
        except psycopg.OperationalError as error:
            raise UnavailableError(f"wanted the database at {self._place}, got: {error}; is it running?") from error
        except psycopg.Error as error:
            raise SourceRefusedError(f"the database at {self._place} refused: {error}") from error

    def _connect(self, psycopg: Any) -> Any:
        if self._connection is None or self._connection.closed:
            address = self.address
            self._connection = psycopg.connect(
                host=address.host,
                port=address.port,
                dbname=address.database,
                user=address.user,
                password=address.password or None,
                connect_timeout=_CONNECT_TIMEOUT_S,
                application_name="headwater source",
                autocommit=True,
            )
        return self._connection

    @property
    def _place(self) -> str:
        return f"{self.address.host}:{self.address.port}/{self.address.database}"


def _turns(within_s: float) -> Iterator[None]:
    """Tries, some time apart, as many as fit."""
    for _ in range(max(1, int(within_s / _POLL_S))):
        yield
        threading.Event().wait(_POLL_S)


def _columns(mapping: TableMapping) -> list[str]:
    named = (mapping.body, mapping.title, mapping.tenant_column, mapping.access_column, mapping.uri_column)
    return [*mapping.id_columns, *(name for name in named if name)]


def _needs_before(mapping: TableMapping, table: _Table) -> str:
    """Why the mapping needs rows as they were; empty where it does not."""
    if large := sorted(set(_columns(mapping)) & table.large - set(mapping.id_columns)):
        return f"column {large[0]!r}, which PostgreSQL leaves out of an update that does not touch it,"
    if mapping.tenant_column:
        return f"tenant_column {mapping.tenant_column!r}"
    if not set(mapping.id_columns) <= table.key:
        return f"a document's name by {', '.join(mapping.id_columns)}, which is not the primary key,"
    return ""
