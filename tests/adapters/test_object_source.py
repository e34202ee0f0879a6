"""Objects of a store: found by name, told apart by what the store says of their content, refused with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from adapters.errors import UnavailableError
from adapters.folder_source import FileGoneError, Refused
from adapters.object_source import FoundObject, ObjectSource

URL = "memory://bucket/docs"


@pytest.fixture
def memory() -> Iterator[Any]:
    store = fsspec.filesystem("memory")
    yield store
    store.store.clear()
    store.pseudo_dirs[:] = [""]


def put(store: Any, name: str, body: bytes) -> None:
    store.pipe(f"/bucket/docs/{name}", body)


def found(source: ObjectSource) -> dict[str, FoundObject]:
    return {one.document: one for one in source.scan() if isinstance(one, FoundObject)}


def test_when_a_store_is_listed_then_documents_are_named_by_their_place_in_it(memory: Any) -> None:
    put(memory, "a.md", b"# A")
    put(memory, "sub/b.txt", b"b")
    put(memory, "sub/.hidden.md", b"x")
    put(memory, "image.png", b"x")
    source = ObjectSource(URL, 100)
    objects = found(source)
    assert list(objects) == ["a.md", "sub/b.txt"]
    assert objects["sub/b.txt"].uri == f"{URL}/sub/b.txt"
    assert source.read(objects["a.md"]) == b"# A"
    assert [one.document for one in source.scan("sub")] == ["sub/b.txt"]


def test_when_a_local_folder_is_given_by_url_then_it_is_a_store_too(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A")
    source = ObjectSource(f"file://{tmp_path}", 100)
    first = found(source)["a.md"]
    assert source.read(first) == b"# A"
    (tmp_path / "a.md").write_text("# B!")
    assert found(source)["a.md"].state != first.state


def test_when_an_object_is_too_large_then_it_is_refused_with_the_reason(memory: Any) -> None:
    put(memory, "a.md", b"x" * 11)
    (refused,) = ObjectSource(URL, 10).scan()
    assert isinstance(refused, Refused)
    assert "watch.max_file_bytes" in refused.reason


def test_when_an_object_goes_before_it_is_read_then_that_is_no_outage(memory: Any) -> None:
    put(memory, "a.md", b"x")
    source = ObjectSource(URL, 10)
    one = found(source)["a.md"]
    memory.rm("/bucket/docs/a.md")
    with pytest.raises(FileGoneError):
        source.read(one)


class Broken:
    """A file system whose answers are errors."""

    def invalidate_cache(self) -> None: ...

    def find(self, *_: object, **__: object) -> None:
        raise PermissionError("Access Denied")


def test_when_the_listing_fails_then_the_store_is_away_and_not_empty(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ObjectSource(URL, 10)
    monkeypatch.setattr(source, "_files", Broken())
    with pytest.raises(UnavailableError, match="Access Denied"):
        list(source.scan())


@pytest.mark.parametrize("url", ["nonsense://x"])
def test_when_nobody_knows_the_store_then_it_says_so(url: str) -> None:
    with pytest.raises(UnavailableError):
        ObjectSource(url, 10)
