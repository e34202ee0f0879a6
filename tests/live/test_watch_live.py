"""A folder mirrored on the topic: what changes is published once, what goes is deleted, what is bad is refused."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.folder_claims import FolderClaims
from adapters.folder_source import FolderSource
from adapters.schema_registry import ConfluentSchemaIds
from headwater.local.broker import KafkaBroker
from headwater.local.parts import OwnPart
from schemas.codec import Codec
from schemas.documents import DocumentChanged, DocumentDeleted
from schemas.failures import REASON
from streams import headers as names
from streams.ensure import ensure
from streams.mirror import FolderMirror, read_known
from streams.publishing import Publisher
from streams.reading import Reader, Reading, Slice
from streams.settings import Kafka, Registry, Settings
from tests.streams.answerer import entrance
from topics.ingest import DOCUMENT_CHANGED

pytestmark = pytest.mark.live

LIMIT = 400_000


@pytest.fixture(scope="module")
def settings(kafka: KafkaBroker, registry: OwnPart) -> Settings:
    made = Settings(
        kafka=Kafka(bootstrap=kafka.bootstrap, deadline_s=10.0),
        registry=Registry(url=registry.url, auto_register=True),
    )
    ensure(made, topics=[DOCUMENT_CHANGED])
    return made


@pytest.fixture(scope="module")
def codec(settings: Settings) -> Codec:
    return Codec(ConfluentSchemaIds(settings.registry.url, auto_register=True))


@pytest.fixture
def tenant() -> str:
    return f"t{uuid.uuid4().hex[:8]}"


class Folder:
    """A folder and its mirror; each `sync` starts anew from the log, as a new process would."""

    def __init__(self, path: Path, settings: Settings, codec: Codec, tenant: str) -> None:
        self.path, self.settings, self.codec, self.tenant = path, settings, codec, tenant

    def sync(self) -> dict[str, list[str]]:
        source = FolderSource(self.path, LIMIT)
        with Reader(self.settings.kafka, self.codec, entrance().clock) as reader:
            known = read_known(reader, self.tenant, str(source.root))
        with Publisher(self.settings.kafka, self.codec, entrance()) as publisher:
            mirror = FolderMirror(source, publisher, FolderClaims(self.path.parent / "claims"), self.tenant, known)
            done: dict[str, list[str]] = {}
            for change in mirror.sync():
                done.setdefault(change.action, []).append(change.document)
            assert not mirror.pending
        return done

    def records(self, topic: str = DOCUMENT_CHANGED.name) -> list[Reading]:
        prefix = f"{self.tenant}|".encode()
        with Reader(self.settings.kafka, self.codec, entrance().clock) as reader:
            return list(reader.read(topic, Slice(keep=lambda key, _: key.startswith(prefix))))


@pytest.fixture
def folder(tmp_path: Path, settings: Settings, codec: Codec, tenant: str) -> Folder:
    (tmp_path / "docs").mkdir()
    return Folder(tmp_path / "docs", settings, codec, tenant)


def test_when_a_folder_is_mirrored_again_then_only_the_difference_is_published(folder: Folder) -> None:
    for name in ("a.md", "b.txt", "sub/c.html"):
        (folder.path / name).parent.mkdir(exist_ok=True)
        (folder.path / name).write_text(f"text of {name}")
    assert folder.sync() == {"published": ["a.md", "b.txt", "sub/c.html"]}
    assert folder.sync() == {"unchanged": ["a.md", "b.txt", "sub/c.html"]}
    (folder.path / "a.md").write_text("new")
    (folder.path / "b.txt").unlink()
    (folder.path / "sub/c.html").rename(folder.path / "sub/d.html")
    assert folder.sync() == {"published": ["a.md", "sub/d.html"], "deleted": ["b.txt", "sub/c.html"]}
    assert folder.sync() == {"unchanged": ["a.md", "sub/d.html"]}
    assert len(folder.records()) == 7


def test_when_a_document_is_published_then_its_event_says_where_it_came_from(folder: Folder) -> None:
    (folder.path / "a.md").write_text("# A")
    folder.sync()
    (reading,) = folder.records()
    event = reading.event
    assert isinstance(event, DocumentChanged)
    assert (event.tenant, event.document, event.media_type, event.body) == (
        folder.tenant,
        "a.md",
        "text/markdown",
        b"# A",
    )
    assert event.properties == {"folder": str(folder.path), "sha256": hashlib.sha256(b"# A").hexdigest()}
    assert event.source_uri == (folder.path / "a.md").as_uri()
    assert uuid.UUID(event.event_id).version == 7


def test_when_another_folder_has_the_tenant_then_its_documents_are_left_alone(folder: Folder, tmp_path: Path) -> None:
    (folder.path / "a.md").write_text("mine")
    folder.sync()
    (tmp_path / "other").mkdir()
    other = Folder(tmp_path / "other", folder.settings, folder.codec, folder.tenant)
    (other.path / "b.md").write_text("other")
    assert other.sync() == {"published": ["b.md"]}
    assert folder.sync() == {"unchanged": ["a.md"]}


BAD = {
    "empty.txt": b"",
    "binary.txt": b"\x89PNG\r\n\x1a\n\x00\x00\x00",
    "latin.txt": "Grüße".encode("latin-1"),
    "claimed.txt": b"x" * 300_000,
}


def test_when_content_is_bad_then_it_is_published_for_the_parse_step_to_judge(folder: Folder) -> None:
    for name, content in BAD.items():
        (folder.path / name).write_bytes(content)
    assert folder.sync() == {"published": sorted(BAD)}
    events = {r.event.document: r.event for r in folder.records() if isinstance(r.event, DocumentChanged)}
    assert {name: event.body for name, event in events.items() if event.claim is None} == {
        name: content for name, content in BAD.items() if name != "claimed.txt"
    }
    claim = events["claimed.txt"].claim
    assert claim is not None
    assert FolderClaims(folder.path.parent / "claims").get(claim.uri, claim.sha256) == BAD["claimed.txt"]


def test_when_a_file_is_refused_then_one_dead_letter_says_why(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (folder.path / "big.txt").write_bytes(b"x" * (LIMIT + 1))
    (folder.path / "link.txt").symlink_to(tmp_path / "secret.txt")
    assert folder.sync() == {"refused": ["big.txt", "link.txt"]}
    assert folder.sync() == {"unchanged": ["big.txt", "link.txt"]}
    letters = folder.records(DOCUMENT_CHANGED.dead_letters)
    reasons = {r.key.split("|")[1]: (names.value(r.headers, REASON) or b"").decode() for r in letters}
    assert "wanted at most" in reasons["big.txt"]
    assert "leaves the folder" in reasons["link.txt"]
    assert len(letters) == 2
    assert not any(b"secret" in (r.value or b"") for r in letters if r.key.endswith("big.txt"))
    (folder.path / "big.txt").write_text("small now")
    assert folder.sync() == {"published": ["big.txt"], "unchanged": ["link.txt"]}


@pytest.fixture
def environment(settings: Settings, tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "HEADWATER_KAFKA__BOOTSTRAP": settings.kafka.bootstrap,
        "HEADWATER_REGISTRY__URL": settings.registry.url,
        "HEADWATER_REGISTRY__AUTO_REGISTER": "true",
        "HEADWATER_CLAIMS_FOLDER": str(tmp_path / "claims"),
        "HEADWATER_LOCAL__STATE_FOLDER": str(tmp_path / "state"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }


@pytest.fixture
def watching(folder: Folder, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    (folder.path / "a.md").write_text("first")
    command = [
        sys.executable,
        "-m",
        "headwater.cli.main",
        "watch",
        str(folder.path),
        "-t",
        folder.tenant,
        "--output",
        "json",
    ]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        await_published(folder, "a.md", b"first")
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


def await_published(folder: Folder, document: str, body: bytes | None, within_s: float = 20) -> float:
    """Seconds until the newest record of a document has this body; None waits for its deletion."""
    began = time.monotonic()
    while time.monotonic() - began < within_s:
        of_document = [r.event for r in folder.records() if r.key == f"{folder.tenant}|{document}"]
        newest = of_document[-1] if of_document else None
        if isinstance(newest, DocumentChanged) and body is not None and newest.body == body:
            return time.monotonic() - began
        if isinstance(newest, DocumentDeleted) and body is None:
            return time.monotonic() - began
        time.sleep(0.02)
    raise AssertionError(f"{document} did not get there within {within_s} s")


def test_when_a_folder_is_watched_then_its_changes_follow_until_it_is_stopped(
    folder: Folder, watching: subprocess.Popen[str]
) -> None:
    (folder.path / "a.md").write_text("second")
    assert await_published(folder, "a.md", b"second") < 5
    (folder.path / "sub").mkdir()
    (folder.path / "a.md").rename(folder.path / "sub" / "b.md")
    await_published(folder, "sub/b.md", b"second")
    await_published(folder, "a.md", None)
    (folder.path / "sub" / "b.md").unlink()
    await_published(folder, "sub/b.md", None)
    watching.send_signal(signal.SIGTERM)
    out, err = watching.communicate(timeout=20)
    assert watching.returncode == 0, err
    changes = [json.loads(line) for line in out.splitlines()]
    assert {"action": "published", "document": "a.md", "reason": ""} in changes
    assert {"action": "deleted", "document": "sub/b.md", "reason": ""} in changes


def test_when_the_broker_goes_away_while_watching_then_nothing_is_lost(
    folder: Folder, watching: subprocess.Popen[str], kafka: KafkaBroker
) -> None:
    kafka.child.pause()
    try:
        for n in range(5):
            (folder.path / f"{n}.txt").write_text(f"text {n}")
        time.sleep(2)
        assert watching.poll() is None
    finally:
        kafka.child.resume()
    for n in range(5):
        await_published(folder, f"{n}.txt", f"text {n}".encode(), within_s=40)


def test_when_it_is_stopped_while_kafka_is_away_then_it_ends_soon_and_the_next_start_catches_up(
    folder: Folder, watching: subprocess.Popen[str], kafka: KafkaBroker
) -> None:
    kafka.child.pause()
    try:
        (folder.path / "late.txt").write_text("late")
        time.sleep(1)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(15) == 0
    finally:
        kafka.child.resume()
    folder.sync()
    await_published(folder, "late.txt", b"late")


@pytest.mark.parametrize("way", ["file", "stdin"])
def test_when_one_document_is_published_then_its_place_is_printed(
    folder: Folder, environment: dict[str, str], way: str
) -> None:
    (folder.path / "one.md").write_text("one")
    file = str(folder.path / "one.md") if way == "file" else "-"
    command = [sys.executable, "-m", "headwater.cli.main", "publish", file, "-t", folder.tenant, "--document", "one.md"]
    done = subprocess.run(
        [*command, "--output", "json"], env=environment, input="one", capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    (reading,) = folder.records()
    assert (printed["partition"], printed["offset"]) == (reading.partition, reading.offset)
    assert isinstance(reading.event, DocumentChanged)
    assert reading.event.body == b"one"


def test_when_watch_runs_once_then_it_prints_a_summary_and_ends(folder: Folder, environment: dict[str, str]) -> None:
    (folder.path / "a.md").write_text("a")
    command = [sys.executable, "-m", "headwater.cli.main", "watch", str(folder.path), "-t", folder.tenant, "--once"]
    done = subprocess.run([*command, "--output", "json"], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1] == {"published": 1, "deleted": 0, "refused": 0, "unchanged": 0}
