"""A row committed in PostgreSQL, the answer that follows it: Debezium, Connect, Kafka and the index in one script.

    python examples/06_postgres_to_answer.py

Needs the `local` and `cdc` extras, PostgreSQL's programs, Redis and, where Go is installed, Weaviate (built once).
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from adapters.connect_rest import ConnectApi
from adapters.postgres_source import PostgresAddress
from headwater import Answer, Client, ClientError
from headwater.database_sources import DatabaseSources
from headwater.local.spec import StackSpec
from headwater.local.stack import Stack
from streams.settings import load

# Which columns make a document; in a settings file this is `sources.tables`.
TABLES = {"pages": {"id_columns": ["id"], "title": "title", "body": "body", "tenant": "marina"}}
QUESTION = "How long does a mooring lease run?"


def follow(stack: Stack) -> None:
    """What `headwater source add postgres handbook --table public.pages` does."""
    there = stack.addresses
    settings = load(kafka={"bootstrap": there.bootstrap}, sources={"tables": TABLES, "connect": there.connect_url})
    with ConnectApi(there.connect_url) as connect:
        address = PostgresAddress("127.0.0.1", there.postgres_port, "postgres", "headwater")
        DatabaseSources(settings, connect).add("handbook", address, ["public.pages"])


def until(client: Client, arrived: Callable[[Answer], bool], within_s: float = 90.0) -> Answer:
    """Asks until the answer follows the database; its text is on its way for a tenth of a second."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            answer = client.ask(QUESTION)
            if arrived(answer) or time.monotonic() > deadline:
                return answer
        except ClientError:
            # Until its first document is in, a tenant is unknown.
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def change(stack: Stack, client: Client) -> None:
    """A row comes, changes and goes; after each commit the answer that follows it."""
    where = f"host=127.0.0.1 port={stack.addresses.postgres_port} user=headwater dbname=postgres"
    with psycopg.connect(where, autocommit=True) as database:
        database.execute("CREATE TABLE pages (id int PRIMARY KEY, title text, body text)")
        database.execute("ALTER TABLE pages REPLICA IDENTITY FULL")
        follow(stack)
        database.execute("INSERT INTO pages VALUES (1, 'Lease', 'A mooring lease runs for twelve months.')")
        print("inserted:", until(client, lambda answer: "twelve" in answer.text).text)
        database.execute("UPDATE pages SET body = 'A mooring lease runs for two years.' WHERE id = 1")
        print("updated: ", until(client, lambda answer: "two years" in answer.text).text)
        database.execute("DELETE FROM pages WHERE id = 1")
        print("deleted: ", until(client, lambda answer: not answer.answered).text)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        # PostgreSQL runs as a user of its own where this script is root's, and has to reach its folder.
        Path(folder).chmod(0o711)
        told = (("HEADWATER_SOURCES__TABLES", json.dumps(TABLES)), ("HEADWATER_TENANTS", '["marina"]'))
        cache = Path.home() / ".cache" / "headwater"
        spec = StackSpec(Path(folder) / "stack", cache, detached=False, environment=told, profile="full")
        say = lambda line: print(line, file=sys.stderr)  # noqa: E731
        with Stack(spec, say) as stack, Client(stack.addresses.gateway_url, tenant="marina") as client:
            change(stack, client)


if __name__ == "__main__":
    main()
