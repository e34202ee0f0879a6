"""The mirror where the cluster is away: what could not be sent is looked at again, not lost and not assumed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.folder_claims import FolderClaims
from adapters.folder_source import FolderSource
from adapters.schema_registry import MemorySchemaIds
from headwater.local.ports import choose_port
from schemas.codec import Codec
from schemas.documents import DocumentChanged, DocumentDeleted
from schemas.envelope import Micros
from schemas.failures import REASON, STEP
from streams.mirror import FOLDER, STEP_NAME, FolderMirror, Known, known_from
from streams.publishing import Publisher
from streams.reading import Reading
from streams.settings import Kafka
from tests.streams.answerer import entrance
from topics.ingest import DOCUMENT_CHANGED


@pytest.fixture(scope="module")
def nowhere() -> Iterator[Publisher]:
    away = Kafka(bootstrap=f"127.0.0.1:{choose_port('nothing')}", deadline_s=0.3)
    with Publisher(away, Codec(MemorySchemaIds()), entrance()) as publisher:
        yield publisher


def mirror_of(folder: Path, publisher: Publisher, known: Known | None = None) -> FolderMirror:
    return FolderMirror(
        FolderSource(folder, 100), publisher, FolderClaims(folder / ".claims"), "acme", known or Known()
    )


def test_when_the_cluster_is_away_then_every_difference_stays_pending(tmp_path: Path, nowhere: Publisher) -> None:
    (tmp_path / "new.md").write_text("new")
    (tmp_path / "big.txt").write_text("x" * 101)
    mirror = mirror_of(tmp_path, nowhere, Known(hashes={"gone.md": "hash"}))
    assert list(mirror.sync()) == []
    assert mirror.pending == {"new.md", "big.txt", "gone.md"}
    assert "within 0.3 s" in mirror.problem
    # Looking at nothing in particular looks at what is pending.
    assert list(mirror.sync([])) == []
    assert mirror.pending == {"new.md", "big.txt", "gone.md"}


def test_when_nothing_differs_then_no_cluster_is_needed(tmp_path: Path, nowhere: Publisher) -> None:
    (tmp_path / "same.md").write_bytes(b"")
    digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    mirror = mirror_of(tmp_path, nowhere, Known(hashes={"same.md": digest}))
    assert [(change.action, change.document) for change in mirror.sync()] == [("unchanged", "same.md")]
    assert [change.action for change in mirror.sync(["same.md"])] == ["unchanged"]
    assert (mirror.pending, mirror.problem) == (set(), "")


def test_when_a_path_is_synced_then_documents_beside_it_are_left_alone(tmp_path: Path, nowhere: Publisher) -> None:
    mirror = mirror_of(tmp_path, nowhere, Known(hashes={"a/x.md": "1", "ab.md": "2"}))
    assert list(mirror.sync(["a"])) == []
    assert mirror.pending == {"a/x.md"}


def changed(at: int, offset: int, digest: str | None) -> Reading:
    """A record of the topic of changes at a time; None for a delete."""
    event: DocumentChanged | DocumentDeleted = DocumentDeleted(tenant="acme", document="a.md")
    if digest is not None:
        properties = {FOLDER: "/docs", "sha256": digest}
        event = DocumentChanged(tenant="acme", document="a.md", media_type="text/plain", properties=properties)
    return Reading(DOCUMENT_CHANGED.name, 0, offset, Micros(at), "acme|a.md", (), b"", event)


def refused(at: int) -> Reading:
    """A dead letter of the mirror itself."""
    event = changed(at, 0, "").event
    headers = ((STEP, STEP_NAME.encode()), (REASON, b"too large"))
    return Reading(DOCUMENT_CHANGED.dead_letters, 0, 0, Micros(at), "acme|a.md", headers, b"", event)


@pytest.mark.parametrize(
    ("readings", "hashes", "refusals"),
    [
        ([changed(1, 0, "v1"), changed(2, 1, "v2")], {"a.md": "v2"}, {}),
        ([changed(900, 0, "v1"), changed(2, 1, "v2")], {"a.md": "v2"}, {}),
        ([changed(900, 0, "v1"), changed(2, 1, None)], {}, {}),
        ([changed(900, 0, None), changed(2, 1, "v2")], {"a.md": "v2"}, {}),
        ([refused(5), changed(1, 0, "v1")], {"a.md": "v1"}, {"a.md": "too large"}),
        ([refused(5), changed(6, 0, "v1")], {"a.md": "v1"}, {}),
    ],
)
def test_when_the_log_is_folded_then_its_order_counts_whatever_the_clock_said(
    readings: list[Reading], hashes: dict[str, str], refusals: dict[str, str]
) -> None:
    known = known_from(readings, "/docs")
    assert (known.hashes, known.refusals) == (hashes, refusals)
