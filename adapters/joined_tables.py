"""SQL that a source's database gets: triggers that keep a joined table, and that turn a truncate into deletes.

A joined table holds one row per document, written in the transactions that change the rows it is made of. Two of them
that touch the same document wait for each other, and the second joins what the first has committed.
"""

from __future__ import annotations

from typing import Any, Final

from processors.ingest.joins import JOIN_SCHEMA, JoinMapping

__all__ = ["install_join", "install_truncate_trigger", "remove_join"]

# READ COMMITTED takes a new look at each statement, so behind the lock the join sees what the other one wrote; in
# stricter transactions the row that the other one wrote fails this one, to be tried again.
_REFRESH: Final = """
CREATE OR REPLACE FUNCTION {refresh}(touched text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $body$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended({lock} || touched, 0));
  DELETE FROM {table} AS held WHERE held.{key}::text = touched
    AND NOT EXISTS (SELECT 1 FROM ({query}) AS made WHERE made.{key}::text = touched);
  INSERT INTO {table} AS held SELECT made.* FROM ({query}) AS made WHERE made.{key}::text = touched
    ON CONFLICT ({key}) DO UPDATE SET {assignments} WHERE ({held}) IS DISTINCT FROM ({excluded});
END $body$
"""
_CHANGED: Final = """
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $body$
DECLARE changed {source}; one text;
BEGIN
  IF TG_OP <> 'INSERT' THEN
    changed := OLD;
    FOR one IN SELECT DISTINCT k::text FROM ({keys}) AS touched(k) WHERE k IS NOT NULL ORDER BY 1 LOOP
      PERFORM {refresh}(one);
    END LOOP;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    changed := NEW;
    FOR one IN SELECT DISTINCT k::text FROM ({keys}) AS touched(k) WHERE k IS NOT NULL ORDER BY 1 LOOP
      PERFORM {refresh}(one);
    END LOOP;
  END IF;
  RETURN NULL;
END $body$
"""
_EMPTIED: Final = """
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $body$
DECLARE one text;
BEGIN
  FOR one IN SELECT held.{key}::text FROM {table} AS held ORDER BY 1 LOOP PERFORM {refresh}(one); END LOOP;
  RETURN NULL;
END $body$
"""
_DELETE_ROWS: Final = """
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $body$
BEGIN
  EXECUTE format('DELETE FROM %I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME);
  RETURN NULL;
END $body$
"""


def install_truncate_trigger(connection: Any, table: str) -> None:
    """Let a truncate of `schema.table` delete each row first, in the same transaction: each document has its delete.

    A truncate names no rows, and rows that are still on their way could not be found.
    """
    from psycopg import sql

    function, on = sql.Identifier(JOIN_SCHEMA, "delete_rows"), sql.Identifier(*table.split("."))
    _schema(connection)
    connection.execute(_composed(_DELETE_ROWS, function=function))
    connection.execute(_composed("DROP TRIGGER IF EXISTS headwater_truncate ON {on}", on=on))
    connection.execute(
        _composed(
            "CREATE TRIGGER headwater_truncate BEFORE TRUNCATE ON {on} "
            "FOR EACH STATEMENT EXECUTE FUNCTION {function}()",
            on=on,
            function=function,
        )
    )


def install_join(connection: Any, name: str, join: JoinMapping) -> None:
    """Make or renew the joined table `headwater_joins.<name>` and its triggers, and fill it, in one transaction.

    The tables that it reads take no writes meanwhile.
    """
    from psycopg import sql

    _schema(connection)
    remove_join(connection, name, join)
    for source in join.tables:
        connection.execute(_composed("LOCK TABLE {t} IN SHARE ROW EXCLUSIVE MODE", t=_named(source)))
    words = _words(connection, name, join)
    connection.execute(_composed("ALTER TABLE {table} ADD PRIMARY KEY ({key})", **words))
    connection.execute(_composed("ALTER TABLE {table} REPLICA IDENTITY FULL", **words))
    connection.execute(_composed(_REFRESH, **words))
    connection.execute(_composed(_EMPTIED, **words, function=_function(name, "emptied")))
    for number, (source, keys) in enumerate(join.tables.items()):
        query = keys if keys.lstrip().lower().startswith("select") else f"SELECT {keys}"
        function = _function(name, f"changed_{number}")
        more = {"function": function, "source": _named(source), "keys": _raw(query), "on": _named(source)}
        connection.execute(_composed(_CHANGED, **words, **more))
        for trigger, event in (("changed", "AFTER INSERT OR UPDATE OR DELETE"), ("emptied", "AFTER TRUNCATE")):
            made = {
                **more,
                "trigger": sql.Identifier(f"headwater_{name}_{trigger}"),
                "event": sql.SQL(event),
                "each": sql.SQL("ROW" if trigger == "changed" else "STATEMENT"),
                "function": function if trigger == "changed" else _function(name, "emptied"),
            }
            connection.execute(
                _composed(
                    "CREATE TRIGGER {trigger} {event} ON {on} FOR EACH {each} EXECUTE FUNCTION {function}()", **made
                )
            )
    connection.execute(_composed("INSERT INTO {table} SELECT made.* FROM ({query}) AS made", **words))


def remove_join(connection: Any, name: str, join: JoinMapping) -> None:
    """Take the joined table and its triggers away; what is not there is no error."""
    from psycopg import sql

    for source in join.tables:
        for trigger in ("changed", "emptied"):
            named = sql.Identifier(f"headwater_{name}_{trigger}")
            connection.execute(_composed("DROP TRIGGER IF EXISTS {t} ON {on}", t=named, on=_named(source)))
    connection.execute(_composed("DROP TABLE IF EXISTS {t}", t=sql.Identifier(JOIN_SCHEMA, name)))


def _words(connection: Any, name: str, join: JoinMapping) -> dict[str, Any]:
    """Make the empty table, and say by which words the functions speak of it."""
    from psycopg import sql

    table, query, key = sql.Identifier(JOIN_SCHEMA, name), _raw(join.query), sql.Identifier(join.key)
    connection.execute(
        _composed("CREATE TABLE {t} AS SELECT made.* FROM ({query}) AS made WITH NO DATA", t=table, query=query)
    )
    shape = connection.execute(_composed("SELECT * FROM {t} LIMIT 0", t=table))
    columns = [sql.Identifier(column.name) for column in shape.description]
    return {
        "table": table,
        "query": query,
        "key": key,
        "refresh": _function(name, "refresh"),
        "lock": sql.Literal(f"headwater.{name}."),
        "assignments": sql.SQL(", ").join(sql.SQL("{} = excluded.{}").format(each, each) for each in columns),
        "held": sql.SQL(", ").join(sql.SQL("held.{}").format(each) for each in columns),
        "excluded": sql.SQL(", ").join(sql.SQL("excluded.{}").format(each) for each in columns),
    }


def _schema(connection: Any) -> None:
    connection.execute(_composed("CREATE SCHEMA IF NOT EXISTS {schema}", schema=_identifier(JOIN_SCHEMA)))


def _function(name: str, what: str) -> Any:
    return _identifier(JOIN_SCHEMA, f"{name}_{what}")


def _named(table: str) -> Any:
    return _identifier(*table.split("."))


def _identifier(*names: str) -> Any:
    from psycopg import sql

    return sql.Identifier(*names)


def _raw(query: str) -> Any:
    """SQL of whoever configures the platform: it is theirs to run in their database."""
    from psycopg import sql

    return sql.SQL(query.rstrip().rstrip(";"))


def _composed(template: str, **words: Any) -> Any:
    from psycopg import sql

    return sql.SQL(template).format(**words)
