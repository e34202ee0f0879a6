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
from streams.mirror import FolderMirror, Known
from streams.publishing import Publisher
from streams.settings import Kafka
from tests.streams.answerer import entrance


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
