"""Ingest killed with -9 at ten random moments: the index equals the one recomputed from the files."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from adapters.heads_view import MemoryHeads
from adapters.host import SystemClock, SystemIds
from adapters.local_index import LocalIndex
from adapters.memory import MemoryClaims
from adapters.schema_registry import ConfluentSchemaIds
from headwater.local.broker import BrokerSpec, KafkaBroker
from headwater.local.parts import REGISTRY, OwnPart
from headwater.local.ports import choose_port
from processors.ports import IndexObject
from schemas.codec import Codec
from schemas.documents import DocumentDeleted, DocumentHead
from schemas.envelope import Event
from streams.ensure import ensure
from streams.publishing import Entrance, Publisher, Upload, document_changed
from streams.reading import Reader
from streams.settings import Settings, child_environment, load
from tests.topology.ports import driver, memory_ports
from topics.ingest import DOCUMENT_CHANGED, DOCUMENT_HEAD, DOCUMENT_INDEXED

pytestmark = [pytest.mark.live, pytest.mark.timeout(400)]

CORPUS = Path(__file__).parents[2] / "examples" / "corpus"
KILLS = 10
TENANT = "acme"
MEDIA = {".md": "text/markdown", ".html": "text/html", ".txt": "text/plain"}

Index = dict[str, list[tuple[str, str]]]
"""Per document the names and texts of its chunks, in order."""


@dataclass
class Platform:
    """A broker, a registry and a folder of one test's own, and a worker that can be killed."""

    settings: Settings
    environment: dict[str, str]
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def codec(self) -> Codec:
        return Codec(ConfluentSchemaIds(self.settings.registry.url, True))

    def worker(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "headwater.cli.main", "run", "ingest"]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def publish(self, texts: dict[str, str | None]) -> None:
        """Publishes documents; None deletes one."""
        entrance = Entrance(SystemClock(), SystemIds(), "test")
        with Publisher(self.settings.kafka, self.codec, entrance) as publisher:
            for document, text in texts.items():
                publisher.publish(DOCUMENT_CHANGED, self._event(document, text))
        self.texts.update({document: text for document, text in texts.items() if text is not None})
        for document in (document for document, text in texts.items() if text is None):
            self.texts.pop(document, None)

    def events(self, topic: str) -> list[Event]:
        with Reader(self.settings.kafka, self.codec, SystemClock()) as reader:
            return [reading.event for reading in reader.read(topic) if reading.event is not None]

    @staticmethod
    def _event(document: str, text: str | None) -> Event:
        if text is None:
            return DocumentDeleted(tenant=TENANT, document=document)
        upload = Upload(tenant=TENANT, document=document, body=text.encode(), media_type=MEDIA[Path(document).suffix])
        return document_changed(upload, MemoryClaims())


@pytest.fixture
def platform(tmp_path: Path, cache_folder: Path, small_program: tuple[str, ...]) -> Iterator[Platform]:
    with KafkaBroker(BrokerSpec(tmp_path / "kafka", cache_folder)) as broker:
        registry = OwnPart(REGISTRY, tmp_path / "registry")
        registry.begin(choose_port("the registry"), (("HEADWATER_KAFKA__BOOTSTRAP", broker.bootstrap),), small_program)
        try:
            registry.await_ready(30.0)
            values = {
                "HEADWATER_KAFKA__BOOTSTRAP": broker.bootstrap,
                "HEADWATER_REGISTRY__URL": registry.url,
                "HEADWATER_REGISTRY__AUTO_REGISTER": "true",
                "HEADWATER_EMBED__MODEL": "hashing",
                "HEADWATER_INDEX__FOLDER": str(tmp_path / "index"),
                "HEADWATER_CLAIMS_FOLDER": str(tmp_path / "claims"),
                # Small batches, so that a kill finds many moments between an index write and a commit.
                "HEADWATER_WORKER__BATCH_RECORDS": "2",
            }
            settings = load(
                kafka={"bootstrap": broker.bootstrap},
                registry={"url": registry.url, "auto_register": True},
                embed={"model": "hashing"},
                index={"folder": tmp_path / "index"},
            )
            ensure(settings)
            yield Platform(settings, child_environment(**values))
        finally:
            registry.stop()


def recomputed(texts: dict[str, str]) -> Index:
    """What the index must hold, from the texts alone: the same steps in memory, nothing ever killed."""
    ports = memory_ports()
    line = driver(ports)
    for document, text in texts.items():
        line.put(DOCUMENT_CHANGED, Platform._event(document, text))
    line.run()
    return visible(ports["heads"], {thing.object_id: thing for thing in ports["store"].walk(TENANT)})


def visible(heads: MemoryHeads, objects: Mapping[str, IndexObject]) -> Index:
    found: Index = {}
    for head in heads.walk(TENANT):
        if not head.gone:
            chunks = [objects[one.object_id].chunk for one in head.chunks]
            found[head.document] = [(chunk.name, chunk.text) for chunk in chunks]
    return found


def folded(platform: Platform) -> MemoryHeads:
    heads = MemoryHeads("g1")
    for event in platform.events(DOCUMENT_HEAD.name):
        if isinstance(event, DocumentHead):
            heads.fold(event)
    heads.open()
    return heads


def edits(texts: dict[str, str], chance: random.Random) -> dict[str, str | None]:
    """Half of the documents get a sentence somewhere in the middle, one is deleted."""
    chosen = chance.sample(sorted(texts), len(texts) // 2)
    changed: dict[str, str | None] = {}
    for document in chosen:
        lines = texts[document].split("\n")
        place = chance.randrange(len(lines) // 3, 2 * len(lines) // 3)
        changed[document] = "\n".join([*lines[:place], f"Reading {chance.random()} was noted here.", *lines[place:]])
    changed[chosen[0]] = None
    return changed


def test_when_killed_at_ten_random_moments_then_the_index_equals_the_one_from_the_files(platform: Platform) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")
    chance = random.Random(seed)
    files = [path for path in sorted(CORPUS.rglob("*")) if path.suffix in MEDIA]
    platform.publish({str(path.relative_to(CORPUS)): path.read_text(encoding="utf-8") for path in files})
    in_the_middle = 0
    for _ in range(KILLS):
        done_before = len(platform.events(DOCUMENT_INDEXED.name))
        worker = platform.worker()
        _begun(platform)
        # What is left of the backlog then takes the worker about a second.
        time.sleep(chance.uniform(0.0, 0.8))
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait(10)
        done, changes = len(platform.events(DOCUMENT_INDEXED.name)), len(platform.events(DOCUMENT_CHANGED.name))
        in_the_middle += done_before < done < changes
        platform.publish(edits(platform.texts, chance))
    worker = platform.worker()
    try:
        _settled(platform)
    finally:
        worker.terminate()
        assert worker.wait(30) == 0
    heads = folded(platform)
    index = LocalIndex(platform.settings.index.folder / "g1")
    objects = {thing.object_id: thing for thing in index.walk(TENANT)}
    index.close()
    assert in_the_middle >= KILLS // 4, f"only {in_the_middle} kills found the worker in the middle of its work"
    assert visible(heads, objects) == recomputed(platform.texts)
    listed = {one.object_id for head in heads.walk(TENANT) for one in head.chunks}
    assert set(objects) == listed, "the index holds what no head lists, or lacks what one does"
    versions = [
        (head.document, head.version) for head in platform.events(DOCUMENT_HEAD.name) if isinstance(head, DocumentHead)
    ]
    assert len(versions) == len(set(versions)), "a version became a head twice"


def _begun(platform: Platform, timeout_s: float = 60.0) -> None:
    """Waits until the worker has committed something: events, for a start alone moves the ends of topics."""
    until = time.monotonic() + timeout_s
    before = len(platform.events(DOCUMENT_HEAD.name))
    while len(platform.events(DOCUMENT_HEAD.name)) == before:
        assert time.monotonic() < until, "the worker committed nothing"
        time.sleep(0.02)


def _settled(platform: Platform, timeout_s: float = 90.0) -> None:
    """Waits until every change has its receipt: as many receipts as changes, for none is skipped without one."""
    until = time.monotonic() + timeout_s
    changes = len(platform.events(DOCUMENT_CHANGED.name))
    while len(platform.events(DOCUMENT_INDEXED.name)) < changes:
        assert time.monotonic() < until, "the worker did not work off its backlog"
        time.sleep(0.5)
