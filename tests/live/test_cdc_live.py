"""Rows of a real PostgreSQL through Debezium: what happens to a table happens to its documents."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import psycopg
import pytest

from adapters.connect_rest import ConnectApi
from adapters.postgres_source import SourceRefusedError
from adapters.schema_registry import ConfluentSchemaIds
from headwater import database_sources
from headwater.local.connect import KafkaConnect
from headwater.local.parts import OwnPart
from headwater.local.postgres import PostgresServer
from processors.ingest.capture import TableMapping
from processors.ingest.heads import NO_ACCESS_VERSION
from processors.ingest.joins import JoinMapping
from schemas.codec import Codec
from schemas.documents import DocumentHead
from schemas.envelope import Version
from streams.ensure import ensure
from streams.publishing import Publisher
from streams.settings import Registry
from tests.live.cdc_world import TENANT, World, world
from tests.streams.answerer import entrance
from topics.ingest import DOCUMENT_CHANGED, DOCUMENT_HEAD, INDEX_GENERATION

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

PLAIN = TableMapping(id_columns=("id",), body="body", title="title", tenant=TENANT, truncate="delete")
LARGE = "x1y2 " * 1_700


def plain(name: str, postgres: PostgresServer, connect: KafkaConnect, rows: str = "") -> World:
    """A source over one table of its own, which may hold rows before it is followed."""
    made = world(name, postgres, connect, {f"public.{name}": PLAIN})
    made.sql(
        f"CREATE TABLE {name} (id int PRIMARY KEY, title text, body text)",
        f"ALTER TABLE {name} REPLICA IDENTITY FULL",
        *([f"INSERT INTO {name} VALUES {rows}"] if rows else []),
    )
    return made


@pytest.fixture(scope="module")
def pages(postgres: PostgresServer, connect: KafkaConnect) -> World:
    made = plain("pages", postgres, connect, f"(1, 'One', 'first'), (2, 'Two', 'second'), (3, 'Three', '{LARGE}')")
    made.add()
    made.settles({"pages/1": "One|first", "pages/2": "Two|second", "pages/3": f"Three|{LARGE}"})
    return made


def test_when_rows_change_in_every_way_then_their_documents_follow(pages: World) -> None:
    pages.sql("INSERT INTO pages VALUES (4, 'Four', 'fourth')", "UPDATE pages SET body = 'new' WHERE id = 1")
    pages.sql("DELETE FROM pages WHERE id = 2")
    pages.sql("UPDATE pages SET title = 'Third' WHERE id = 3")
    pages.sql("UPDATE pages SET id = 40 WHERE id = 4")
    expected = {"pages/1": "One|new", "pages/3": f"Third|{LARGE}", "pages/40": "Four|fourth"}
    pages.settles(expected)
    pages.sql("INSERT INTO pages VALUES (2, 'Two', 'again')")
    pages.settles({**expected, "pages/2": "Two|again"})
    assert pages.refused == []


def test_when_the_table_is_truncated_then_its_documents_are_gone_and_what_comes_after_stays(pages: World) -> None:
    pages.sql(
        "INSERT INTO pages VALUES (5, 'Five', 'fifth')", "TRUNCATE pages", "INSERT INTO pages VALUES (6, 'S', 's')"
    )
    pages.settles({"pages/6": "S|s"})


def test_when_a_column_is_added_then_unaffected_and_when_a_mapped_one_is_renamed_then_refused(pages: World) -> None:
    pages.sql("ALTER TABLE pages ADD COLUMN views int", "INSERT INTO pages VALUES (7, 'V', 'seen', 3)")
    pages.until(lambda: pages.documents().get("pages/7") == "V|seen")
    pages.sql("ALTER TABLE pages RENAME COLUMN body TO words", "INSERT INTO pages VALUES (8, 'W', 'lost', 3)")
    pages.until(
        lambda: (
            any("wanted column 'body'" in words and "words" in words for words in pages.refused)
            or pages.documents() == {}
        )
    )
    pages.sql("ALTER TABLE pages RENAME COLUMN words TO body", "UPDATE pages SET body = 'found' WHERE id = 8")
    pages.until(lambda: pages.documents().get("pages/8") == "W|found")


def test_when_connect_is_killed_in_mid_work_then_the_table_is_the_documents(pages: World) -> None:
    with psycopg.connect(pages.server.dsn) as connection:
        for number in range(100, 400):
            connection.execute("INSERT INTO pages VALUES (%s, 'n', %s)", (number, f"text {number}"))
            if number % 3 == 0:
                connection.execute("DELETE FROM pages WHERE id = %s", (number - 1,))
            connection.commit()
            if number == 200:
                pages.connect.child.kill()
    pages.connect.start()
    rows = pages.query("SELECT id, title, body FROM pages")
    pages.settles({f"pages/{key}": f"{title}|{body}" for key, title, body in rows}, 60.0)


def slowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connector that takes its time, so that it can be met in the middle of something."""
    slow = {"max.batch.size": "50", "max.queue.size": "100", "poll.interval.ms": "300", "snapshot.fetch.size": "50"}
    template = database_sources._template
    monkeypatch.setattr(database_sources, "_template", lambda: {**template(), **slow})


def test_when_connect_is_killed_in_mid_snapshot_then_status_tells_of_documents_without_a_row(
    postgres: PostgresServer, connect: KafkaConnect, registry: OwnPart, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of rows that the first half told of, and that are gone when the snapshot begins anew, no change tells."""
    made = with_heads(plain("reeds", postgres, connect), registry)
    made.sql("INSERT INTO reeds SELECT n, 'n', 'text ' || n FROM generate_series(1, 1500) n")
    slowed(monkeypatch)
    made.add()
    made.until(lambda: len(made.records()) >= 50)
    connect.child.kill()
    try:
        told = {event.document for event in made.events()}
        assert len(told) < 1_500 and "reeds/1" in told
        write_heads(made, {f"reeds/{number}": 1 for number in (1, 2, 3)})
        made.sql("DELETE FROM reeds WHERE id = 1", "UPDATE reeds SET body = 'while away' WHERE id = 2")
    finally:
        # Other tests use it too.
        connect.start()
    rows = made.query("SELECT id, title, body FROM reeds")
    there = {f"reeds/{key}": f"{title}|{body}" for key, title, body in rows}
    made.until(lambda: there.items() <= made.documents().items(), 60.0)
    with made.sources() as sources:
        assert "1 documents have no row: headwater source reconcile reeds" in sources.status("reeds").todo
        gone = sources.reconcile("reeds", codec_of(registry), entrance())
        assert [event.document for event in gone] == ["reeds/1"]
        write_heads(made, {"reeds/1": 2}, gone=True)
        assert sources.status("reeds").healthy
        sources.remove("reeds", drop=True)


def test_when_one_transaction_changes_50_000_rows_then_all_of_it_comes_in_order(pages: World) -> None:
    pages.sql(
        "INSERT INTO pages SELECT n, 'bulk', 'first ' || n FROM generate_series(100001, 120000) n",
        "UPDATE pages SET body = 'second ' || id WHERE id > 100000",
        "DELETE FROM pages WHERE id > 110000",
    )
    rows = pages.query("SELECT id, title, body FROM pages WHERE id > 100000")
    assert len(rows) == 10_000
    pages.until(lambda: len(pages.records()) > 60_000, 60.0)
    found = {name: text for name, text in pages.documents().items() if int(name.split("/")[1]) > 100_000}
    assert found == {f"pages/{key}": f"{title}|{body}" for key, title, body in rows}


def test_when_rows_are_of_10_megabytes_then_they_pass_and_nothing_waits(pages: World) -> None:
    pages.sql("INSERT INTO pages SELECT 50, 'Large', repeat('0123456789', 1000000)")
    pages.sql("UPDATE pages SET title = 'Larger' WHERE id = 50", "INSERT INTO pages VALUES (51, 'T', 'cut')")
    pages.sql(
        "INSERT INTO pages SELECT 52, 'Cut', repeat('0123456789', 1300000)", "INSERT INTO pages VALUES (53, 'T', 'u')"
    )
    pages.until(lambda: pages.documents().get("pages/53") == "T|u", 60.0)
    found = pages.documents()
    assert (found["pages/50"], found["pages/51"], "pages/52" in found) == ("Larger|10000000", "T|cut", False)
    assert any("cut off there; split the document" in words for words in pages.refused)


def test_when_a_slot_is_lost_then_status_says_so_and_a_new_one_is_newer_than_all_before(
    postgres: PostgresServer, connect: KafkaConnect
) -> None:
    made = plain("leaves", postgres, connect, "(1, 'One', 'first'), (2, 'Two', 'second')")
    made.add()
    made.settles({"leaves/1": "One|first", "leaves/2": "Two|second"})
    with made.sources() as sources, ConnectApi(connect.url) as api:
        assert (sources.status("leaves").healthy, sources.status("leaves").slot) == (True, "reserved")
        api.stop("leaves")
        made.until(lambda: _dropped(made, "headwater_leaves"))
        made.sql("DELETE FROM leaves WHERE id = 1", "UPDATE leaves SET body = 'while away' WHERE id = 2")
        sources.resume("leaves")
        made.until(lambda: "source renew leaves" in sources.status("leaves").todo)
        sources.renew("leaves")
        made.until(lambda: made.documents().get("leaves/2") == "Two|while away")
        # The row that was deleted unseen is in the index still, and only reconcile can know.
        assert "source reconcile leaves" in sources.status("leaves").todo
        sources.remove("leaves", drop=True)
    assert made.query("SELECT 1 FROM pg_replication_slots WHERE slot_name = 'headwater_leaves'") == []


def _dropped(made: World, slot: str) -> bool:
    try:
        made.query(f"SELECT pg_drop_replication_slot('{slot}')")
    except psycopg.errors.ObjectInUse:
        return False
    return True


def test_when_tables_are_joined_then_a_change_of_any_of_them_changes_the_document(
    postgres: PostgresServer, connect: KafkaConnect
) -> None:
    join = JoinMapping(
        query="SELECT b.id, b.title, b.body || coalesce(string_agg(' ' || n.words, '' ORDER BY n.id), '') AS body "
        "FROM books b LEFT JOIN notes n ON n.book = b.id GROUP BY b.id",
        key="id",
        tables={"books": "changed.id", "notes": "changed.book"},
    )
    made = world("shelf", postgres, connect, {"headwater_joins.volumes": PLAIN}, {"volumes": join})
    made.sql(
        "CREATE TABLE books (id int PRIMARY KEY, title text, body text)",
        "CREATE TABLE notes (id int PRIMARY KEY, book int, words text)",
        "INSERT INTO books VALUES (1, 'A', 'text'), (2, 'B', 'other')",
        "INSERT INTO notes VALUES (1, 1, 'good')",
    )
    made.add()
    made.settles({"volumes/1": "A|text good", "volumes/2": "B|other"})
    made.sql("INSERT INTO notes VALUES (2, 1, 'better')", "UPDATE books SET title = 'AA' WHERE id = 1")
    made.sql("UPDATE notes SET book = 2 WHERE id = 1")
    made.settles({"volumes/1": "AA|text better", "volumes/2": "B|other good"})
    made.sql("DELETE FROM books WHERE id = 2", "TRUNCATE notes")
    made.settles({"volumes/1": "AA|text"})
    _race(made)
    expected = {f"volumes/{key}": f"{title}|{body}" for key, title, body in made.query(join.query)}
    assert expected["volumes/1"] == "Z|text late"
    made.settles(expected)


def _race(made: World) -> None:
    """Two transactions that overlap, one with the book and one with its note: neither may swallow the other."""
    with psycopg.connect(made.server.dsn) as one, psycopg.connect(made.server.dsn) as other:
        one.execute("UPDATE books SET title = 'Z' WHERE id = 1")
        other.execute("SET lock_timeout = '10s'")
        late = threading.Thread(target=_note_late, args=(other,))
        late.start()
        time.sleep(0.3)
        one.commit()
        late.join(10.0)


def _note_late(connection: psycopg.Connection) -> None:
    connection.execute("INSERT INTO notes VALUES (9, 1, 'late')")
    connection.commit()


@pytest.mark.parametrize(
    ("table", "title", "reason"),
    [
        ("no_key (id int, body text)", "", "has no primary key"),
        ("no_identity (id int PRIMARY KEY, body text)", "", "ALTER TABLE public.no_identity REPLICA IDENTITY FULL"),
        ("no_title (id int PRIMARY KEY, body text)", "heading", "has no column 'heading'"),
    ],
)
def test_when_a_table_cannot_be_followed_then_add_refuses_and_says_what_to_do(
    postgres: PostgresServer, connect: KafkaConnect, table: str, title: str, reason: str
) -> None:
    name = table.partition(" ")[0]
    columns = TableMapping(id_columns=("id",), body="body", tenant=TENANT, title=title)
    made = world(name, postgres, connect, {f"public.{name}": columns})
    made.sql(f"CREATE TABLE {table}")
    with pytest.raises(SourceRefusedError, match=reason):
        made.add()
    with made.sources() as sources:
        assert name not in [status.name for status in sources.statuses()]


def test_when_a_source_has_a_password_then_nothing_holds_it(postgres: PostgresServer, connect: KafkaConnect) -> None:
    made = plain("secrets", postgres, connect)
    address = replace(made.address, password="hunter2")
    with made.sources() as sources, ConnectApi(connect.url) as api:
        sources.add("secrets", address, made.tables)
        state = api.state("secrets")
        assert state is not None
        assert state.config["database.password"] == "${env:HEADWATER_SOURCES__PASSWORD}"
        assert "hunter2" not in f"{state} {sources.statuses()} {address}"
        with pytest.raises(SourceRefusedError, match="'secrets' is there already"):
            sources.add("secrets", address, made.tables)
        sources.remove("secrets", drop=True)
        with pytest.raises(SourceRefusedError, match="wanted a source that was added, got 'secrets'"):
            sources.status("secrets")


def codec_of(registry: OwnPart) -> Codec:
    return Codec(ConfluentSchemaIds(registry.url, auto_register=True))


def with_heads(made: World, registry: OwnPart) -> World:
    """A source whose documents may have heads."""
    made.settings = made.settings.model_copy(update={"registry": Registry(url=registry.url, auto_register=True)})
    ensure(made.settings, topics=[DOCUMENT_CHANGED, DOCUMENT_HEAD, INDEX_GENERATION])
    return made


def write_heads(made: World, sources: dict[str, int], gone: bool = False) -> None:
    """Heads as ingest would write them, by document, with the position of the source."""
    codec = Codec(ConfluentSchemaIds(made.settings.registry.url, auto_register=True))
    with Publisher(made.settings.kafka, codec, entrance()) as publisher:
        for document, source in sources.items():
            head = DocumentHead(
                tenant=TENANT,
                document=document,
                version=Version(source=source, offset=0),
                access_version=NO_ACCESS_VERSION,
                generation="g1",
                gone=gone,
            )
            publisher.publish(DOCUMENT_HEAD, head)


def test_when_rows_vanished_unseen_then_reconcile_deletes_their_documents_and_no_others(
    postgres: PostgresServer, connect: KafkaConnect, registry: OwnPart
) -> None:
    made = with_heads(plain("gaps", postgres, connect, "(1, 'One', 'first')"), registry)
    made.add()
    write_heads(made, {"gaps/1": 1, "gaps/2": 1, "gaps/3": 2**60})
    with made.sources() as sources:
        sources.renew("gaps")
        assert "source reconcile gaps" in sources.status("gaps").todo
        gone = sources.reconcile("gaps", codec_of(registry), entrance())
        assert sources.status("gaps").healthy
        sources.remove("gaps", drop=True)
    assert [(event.document, event.tenant) for event in gone] == [("gaps/2", TENANT)]
    assert gone[0].version is not None and 1 < gone[0].version.source < 2**60
