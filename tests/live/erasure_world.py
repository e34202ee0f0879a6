"""A broker of its own with small segments, a registry and a worker that can be killed: for tests of erasures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from adapters.folder_claims import FolderClaims
from adapters.host import SystemClock, SystemIds
from adapters.schema_registry import ConfluentSchemaIds
from headwater.local.broker import BrokerSpec, KafkaBroker
from headwater.local.parts import REGISTRY, OwnPart
from headwater.local.ports import choose_port
from schemas.codec import Codec
from schemas.documents import DocumentDeleted, DocumentErased, DocumentHead, DocumentIndexed, ErasureRequested
from streams.ensure import ensure
from streams.parts import Parts
from streams.publishing import Entrance, Publisher, Upload, document_changed
from streams.reading import Reader, Reading
from streams.selection import select
from streams.settings import Settings, child_environment, load
from streams.worker import Worker
from tests.live.in_process import working
from topics.ingest import DOCUMENT_CHANGED, DOCUMENT_ERASED, DOCUMENT_HEAD, DOCUMENT_INDEXED, ERASURE_REQUESTED

TENANT = "acme"
# Cleaning begins within a quarter of a second, whatever the share of what is to be cleaned.
QUICK_CLEANER = (("log.cleaner.backoff.ms", "250"), ("log.retention.check.interval.ms", "1000"))


@dataclass
class World:
    """What a test of erasures works with."""

    folder: Path
    settings: Settings
    environment: dict[str, str]
    broker: KafkaBroker

    @property
    def codec(self) -> Codec:
        return Codec(ConfluentSchemaIds(self.settings.registry.url, True))

    def publish(self, document: str, text: str | None, tenant: str = TENANT) -> None:
        """Publishes a document; None deletes it."""
        with Publisher(self.settings.kafka, self.codec, Entrance(SystemClock(), SystemIds(), "test")) as publisher:
            if text is None:
                publisher.publish(DOCUMENT_CHANGED, DocumentDeleted(tenant=tenant, document=document))
                return
            upload = Upload(tenant=tenant, document=document, body=text.encode(), media_type="text/markdown")
            claims = FolderClaims(self.settings.claims_folder)
            publisher.publish(DOCUMENT_CHANGED, document_changed(upload, claims))

    def readings(self, topic: str) -> list[Reading]:
        with Reader(self.settings.kafka, self.codec, SystemClock()) as reader:
            return list(reader.read(topic))

    def heads(self) -> dict[str, DocumentHead]:
        """The newest head of every document."""
        events = [reading.event for reading in self.readings(DOCUMENT_HEAD.name)]
        return {event.document: event for event in events if isinstance(event, DocumentHead)}

    def receipts(self, document: str) -> list[DocumentErased]:
        events = [reading.event for reading in self.readings(DOCUMENT_ERASED.name)]
        return [event for event in events if isinstance(event, DocumentErased) and event.document == document]

    def indexed(self, document: str) -> list[DocumentIndexed]:
        events = [reading.event for reading in self.readings(DOCUMENT_INDEXED.name)]
        return [event for event in events if isinstance(event, DocumentIndexed) and event.document == document]

    def command(self, *words: str) -> tuple[int, list[dict[str, Any]]]:
        """A command with JSON output: its exit code and what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "headwater.cli.main", *words, "--output", "json"],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        assert lines or done.returncode, done.stderr
        return done.returncode, lines

    @contextmanager
    def running(self) -> Iterator[Parts]:
        """A worker in this process, whose ports a test may look into and damage."""
        parts = Parts(self.settings)
        with working(Worker(self.settings, select(("ingest",)), parts)):
            yield parts

    def erase(self, document: str) -> dict[str, tuple[int, int]]:
        """Asks for an erasure and waits for the receipt: what each store removed and has left."""
        before = len(self.receipts(document))
        self.request(document)
        receipt = until(lambda: self.receipts(document)[before:], "a receipt")[0]
        return {store.store: (store.removed, store.left) for store in receipt.stores}

    def request(self, document: str) -> None:
        with Publisher(self.settings.kafka, self.codec, Entrance(SystemClock(), SystemIds(), "test")) as publisher:
            publisher.publish(ERASURE_REQUESTED, ErasureRequested(tenant=TENANT, document=document, reason="test"))

    @contextmanager
    def worker(self, *steps: str) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "headwater.cli.main", "run", *(steps or ("ingest",))]
        with (self.folder / "worker.log").open("ab") as log:
            process = subprocess.Popen(command, env=self.environment, cwd=self.folder, stdout=log, stderr=log)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(40)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(10)

    def compact_quickly(self, topics: list[str]) -> None:
        """Gives topics the smallest segments there are, and lets their cleaner run at once."""
        quick = {"segment.ms": "100", "max.compaction.lag.ms": "100", "min.cleanable.dirty.ratio": "0.0"}
        quick |= {"min.compaction.lag.ms": "0", "file.delete.delay.ms": "100"}
        admin = AdminClient({"bootstrap.servers": self.settings.kafka.bootstrap})
        self._alter(admin, topics, quick)

    def age_quickly(self, topics: list[str]) -> None:
        """Lets topics that delete by age forget all they hold."""
        admin = AdminClient({"bootstrap.servers": self.settings.kafka.bootstrap})
        self._alter(admin, topics, {"retention.ms": "1", "segment.ms": "100", "file.delete.delay.ms": "100"})

    @staticmethod
    def _alter(admin: AdminClient, topics: list[str], config: dict[str, str]) -> None:
        changed = [
            ConfigResource(
                ConfigResource.Type.TOPIC,
                topic,
                incremental_configs=[
                    ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                    for name, value in config.items()
                ],
            )
            for topic in topics
        ]
        for future in admin.incremental_alter_configs(changed).values():
            future.result(10)

    def files_with(self, words: bytes, folder: Path) -> list[str]:
        """Files below a folder that hold some bytes as they are."""
        found = []
        # Unlike a glob, walking passes over folders that are removed meanwhile.
        paths = [Path(where) / name for where, _, names in os.walk(folder) for name in names]
        for path in paths:
            with suppress(FileNotFoundError):
                found += [str(path.relative_to(folder))] * (words in path.read_bytes())
        return found


def until(holds: Callable[[], Any], what: str, timeout_s: float = 60.0) -> Any:
    """What `holds` gives once it gives something."""
    deadline = time.monotonic() + timeout_s
    while not (found := holds()):
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s: {what}"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="session")
def upkeep(
    tmp_path_factory: pytest.TempPathFactory, cache_folder: Path, small_program: tuple[str, ...]
) -> Iterator[World]:
    """One world for every test of what keeps the stores in order."""
    with world(tmp_path_factory.mktemp("upkeep"), cache_folder, small_program) as made:
        yield made


@contextmanager
def world(folder: Path, cache_folder: Path, small_program: tuple[str, ...]) -> Iterator[World]:
    """Starts broker and registry, and ends them."""
    spec = BrokerSpec(folder / "kafka", cache_folder, quick=True, properties=QUICK_CLEANER)
    with KafkaBroker(spec) as broker:
        registry = OwnPart(REGISTRY, folder / "registry")
        registry.begin(choose_port("the registry"), (("HEADWATER_KAFKA__BOOTSTRAP", broker.bootstrap),), small_program)
        try:
            registry.await_ready(30.0)
            # Uncompressed, so that a test can look for words in the files of the broker.
            extra = {"compression.type": "none"}
            values = {
                "HEADWATER_KAFKA__BOOTSTRAP": broker.bootstrap,
                "HEADWATER_KAFKA__PARTITIONS": "1",
                "HEADWATER_KAFKA__EXTRA": json.dumps(extra),
                "HEADWATER_REGISTRY__URL": registry.url,
                "HEADWATER_REGISTRY__AUTO_REGISTER": "true",
                "HEADWATER_EMBED__MODEL": "hashing",
                "HEADWATER_INDEX__FOLDER": str(folder / "index"),
                "HEADWATER_CLAIMS_FOLDER": str(folder / "claims"),
                "PYTHONPATH": str(Path(__file__).parents[2]),
            }
            settings = load(
                kafka={"bootstrap": broker.bootstrap, "partitions": 1, "extra": extra},
                registry={"url": registry.url, "auto_register": True},
                embed={"model": "hashing"},
                index={"folder": folder / "index"},
                claims_folder=folder / "claims",
            )
            ensure(settings)
            yield World(folder, settings, child_environment(**values), broker)
        finally:
            registry.stop()


def killed(process: subprocess.Popen[bytes]) -> None:
    """Ends a process as a power cut would."""
    os.kill(process.pid, 9)
    process.wait(10)
