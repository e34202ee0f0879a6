"""A store of objects mirrored: an empty or failed listing deletes nothing, what did not change is not read again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from adapters.errors import UnavailableError
from adapters.folder_claims import FolderClaims
from adapters.object_source import FoundObject, ObjectSource
from adapters.schema_registry import MemorySchemaIds
from headwater.local.ports import choose_port
from schemas.codec import Codec
from streams.mirror import FolderMirror, Known
from streams.publishing import Publisher
from streams.settings import Kafka
from tests.streams.answerer import entrance

URL = "memory://mirror/docs"


@pytest.fixture
def memory() -> Iterator[Any]:
    store = fsspec.filesystem("memory")
    yield store
    store.store.clear()


@pytest.fixture(scope="module")
def nowhere() -> Iterator[Publisher]:
    away = Kafka(bootstrap=f"127.0.0.1:{choose_port('nothing')}", deadline_s=0.3)
    with Publisher(away, Codec(MemorySchemaIds()), entrance()) as publisher:
        yield publisher


def mirror_of(tmp_path: Path, publisher: Publisher, known: Known, **more: Any) -> FolderMirror:
    return FolderMirror(ObjectSource(URL, 100, **more), publisher, FolderClaims(tmp_path), "acme", known)


def test_when_the_listing_is_empty_then_nothing_is_deleted_unless_that_was_said(
    tmp_path: Path, nowhere: Publisher, memory: Any
) -> None:
    known = Known(hashes={"a.md": "1", "b.md": "2"})
    mirror = mirror_of(tmp_path, nowhere, known)
    assert list(mirror.sync()) == []
    assert mirror.pending == {""} and "--allow-empty" in mirror.problem
    assert known.hashes == {"a.md": "1", "b.md": "2"}
    trusting = mirror_of(tmp_path, nowhere, known, trusts_empty=True)
    list(trusting.sync())
    assert trusting.pending == {"a.md", "b.md"}, "both deletes were tried, and wait for the cluster"


def test_when_the_listing_fails_in_the_middle_then_nothing_is_taken_for_gone(
    tmp_path: Path, nowhere: Publisher, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = mirror_of(tmp_path, nowhere, Known(hashes={"a.md": "1"}, states={"b.md": "1:x"}))

    def cut_off(below: str = "") -> Iterator[FoundObject]:
        yield FoundObject("b.md", "/b.md", "memory://b.md", 1, "1:x")
        raise UnavailableError("the connection was reset")

    monkeypatch.setattr(mirror._source, "scan", cut_off)
    assert [change.action for change in mirror.sync()] == ["unchanged"]
    assert mirror.pending == {""} and mirror.problem == "the connection was reset"


def test_when_the_store_tells_the_same_as_the_log_then_no_object_is_read(
    tmp_path: Path, nowhere: Publisher, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.pipe("/mirror/docs/a.md", b"# A")
    (one,) = ObjectSource(URL, 100).scan()
    assert isinstance(one, FoundObject)
    mirror = mirror_of(tmp_path, nowhere, Known(hashes={"a.md": "1"}, states={"a.md": one.state}))
    monkeypatch.setattr(mirror._source, "read", lambda _: pytest.fail("it was read"))
    assert [change.action for change in mirror.sync()] == ["unchanged"]


def test_when_there_is_no_room_then_nothing_is_sent_before_the_gate_opens(
    tmp_path: Path, nowhere: Publisher, memory: Any
) -> None:
    for number in range(3):
        memory.pipe(f"/mirror/docs/{number}.md", b"# A")
    mirror, passed = mirror_of(tmp_path, nowhere, Known()), list[int]()
    mirror.pace = lambda: passed.append(1)
    list(mirror.sync())
    assert len(passed) == 3
