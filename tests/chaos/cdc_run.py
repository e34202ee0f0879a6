"""T10's parts, all real: broker, registry, PostgreSQL, Kafka Connect, and workers that are killed and come back."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Final

import psycopg

from adapters.connect_rest import ConnectApi
from adapters.host import SystemClock
from adapters.postgres_source import PostgresAddress
from adapters.schema_registry import ConfluentSchemaIds
from headwater.database_sources import DatabaseSources
from headwater.local.child import Child, ChildSpec
from headwater.local.connect import ConnectSpec, KafkaConnect
from headwater.local.parts import REGISTRY, OwnPart
from headwater.local.ports import choose_port
from headwater.local.postgres import PostgresServer, PostgresSpec
from processors.ingest.capture import TableMapping
from schemas.codec import Codec
from schemas.documents import DocumentHead
from streams.committed_heads import committed_heads
from streams.ensure import ensure
from streams.settings import load, user_cache
from tests.chaos.brokers import new_broker
from tests.chaos.cdc_worker import TENANT, ReaderSpec
from tests.chaos.checker import Findings
from tests.chaos.history import Operation, merged

WORDS: Final = ("ingest.capture", "ingest")
MAPPING: Final = TableMapping(id_columns=("id",), body="body", title="title", tenant=TENANT)
READY_S: Final = 60.0
LOOK_S: Final = 0.25


class CdcRun:
    """One run: use it as a context, then `follow`, `kill` as you like, `await_equal`, `judge`."""

    def __init__(self, folder: Path, reader: ReaderSpec) -> None:
        self.folder = folder
        self.reader = reader
        self.kills: Counter[str] = Counter()
        self._end = ExitStack()
        self._workers: dict[str, Child] = {}

    def __enter__(self) -> CdcRun:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._workers.values():
            child.stop(10.0)
        self._end.close()

    def _start(self) -> None:
        # As root PostgreSQL runs as another user, who may not enter every folder.
        data = Path(tempfile.mkdtemp(prefix="headwater-t10-"))
        data.chmod(0o711)
        self._end.callback(shutil.rmtree, data, ignore_errors=True)
        self.postgres = self._end.enter_context(PostgresServer(PostgresSpec(data, settings=(("fsync", "off"),))))
        self.broker = self._end.enter_context(new_broker(self.folder / "kafka"))
        bootstrap = self.broker.bootstrap
        spec = ConnectSpec(self.folder / "connect", user_cache(), lambda: bootstrap, quick=True)
        self.connect = KafkaConnect(spec)
        self._end.callback(self.connect.stop)
        self.connect.begin()
        registry = OwnPart(REGISTRY, self.folder / "registry")
        self._end.callback(registry.stop)
        registry.begin(choose_port("the registry"), (("HEADWATER_KAFKA__BOOTSTRAP", bootstrap),))
        registry.await_ready(READY_S)
        # What else the environment says (another index, another view of heads) holds here as in the workers.
        self.settings = load(
            kafka={"bootstrap": bootstrap, "partitions": 4},
            registry={"url": registry.url, "auto_register": True},
            index={"folder": self.folder.absolute() / "index"},
            embed={"model": "hashing"},
            sources={"tables": {"texts": MAPPING}, "connect": self.connect.url},
        )
        ensure(self.settings)
        self.connect.await_ready()

    def follow(self) -> None:
        """Adds the source, then starts the workers: the topic is there when they look for it."""
        address = PostgresAddress("127.0.0.1", self.postgres.port, "postgres", self.postgres.spec.user)
        with ConnectApi(self.connect.url) as api:
            DatabaseSources(self.settings, api).add("t10", address, ["public.texts"])
        environment = {
            "HEADWATER_KAFKA__BOOTSTRAP": self.broker.bootstrap,
            "HEADWATER_KAFKA__TRANSACTION_TIMEOUT_MS": "2500",
            "HEADWATER_REGISTRY__URL": self.settings.registry.url,
            "HEADWATER_REGISTRY__AUTO_REGISTER": "true",
            "HEADWATER_INDEX__FOLDER": str(self.settings.index.folder),
            "HEADWATER_CLAIMS_FOLDER": str(self.folder.absolute() / "claims"),
            "HEADWATER_EMBED__MODEL": "hashing",
            "HEADWATER_SOURCES__TABLES": json.dumps({"texts": asdict(MAPPING)}),
        }
        for word in WORDS:
            reader = self.reader if word == "ingest" else ReaderSpec(self.reader.folder)
            command = (sys.executable, "-m", "tests.chaos.cdc_worker", word, reader.text())
            told = tuple({**environment, "HEADWATER_WORKER__SLOT": word}.items())
            self._workers[word] = Child(ChildSpec(word, command, self.folder, told))
            self._workers[word].start()
        until = time.monotonic() + READY_S
        while not all((Path(self.reader.folder) / f"{word}.ready").exists() for word in WORDS):
            dead = [child.log_tail(20) for child in self._workers.values() if not child.alive]
            if dead or time.monotonic() > until:
                raise TimeoutError("the workers did not come up: " + "\n".join(dead))
            time.sleep(LOOK_S)

    def kill(self, target: str) -> None:
        """kill -9 of `connect` or of a worker, which is started again at once."""
        self.kills[target] += 1
        part = self.connect.child if target == "connect" else self._workers[target]
        part.kill()
        if target == "connect":
            self.connect.begin()
        else:
            part.start()

    def revive(self) -> None:
        """Starts again what ended by itself: Connect does where it can't go on."""
        if not self.connect.child.alive:
            self.connect.begin()
        for child in self._workers.values():
            child.start()

    def rows(self) -> dict[str, str]:
        """The table: title, which says the revision, by document."""
        with psycopg.connect(self.postgres.dsn) as connection:
            return {f"texts/{key}": title for key, title in connection.execute("SELECT id, title FROM texts")}

    def heads(self) -> list[DocumentHead]:
        codec = Codec(ConfluentSchemaIds(self.settings.registry.url))
        heads_of = committed_heads(self.settings.kafka, codec, SystemClock(), self.settings.index.generation)
        return heads_of("texts/")

    def await_equal(self, within_s: float) -> float:
        """Waits until the documents are the table; returns the seconds it took, or `within_s` where they did not."""
        began = time.monotonic()
        while time.monotonic() - began < within_s:
            self.revive()
            if {head.document: head.title for head in self.heads() if not head.gone} == self.rows():
                return time.monotonic() - began
            time.sleep(LOOK_S)
        return within_s

    def stop_workers(self) -> None:
        """Stops them cleanly, so that the index can be looked at."""
        for child in self._workers.values():
            child.stop(15.0)

    def polls(self) -> list[Operation]:
        """What the readers were given, in time."""
        return merged(Path(self.reader.folder).glob("reader-*.jsonl"))


def judge_reads(polls: Iterable[Operation], findings: Findings) -> None:
    """No answer holds two revisions of a document, none goes back, and none comes back that was gone."""
    newest: defaultdict[int, int] = defaultdict(int)
    gone: set[tuple[int, int]] = set()
    for poll in polls:
        document, revisions = poll["document"], poll["revisions"]
        findings.seen += 1
        if len(revisions) > 1:
            findings.add("inconsistent", f"document {document}: revisions {revisions} in one answer")
        if not revisions:
            gone.add((document, newest[document]))
            continue
        if revisions[0] < newest[document]:
            findings.add("backwards", f"document {document}: {revisions[0]} after {newest[document]}")
        if (document, revisions[-1]) in gone:
            findings.add("unexpected", f"document {document}: {revisions[-1]} came back")
        newest[document] = max(newest[document], revisions[-1])
