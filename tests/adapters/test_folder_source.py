"""A folder as a source: what is found, what is refused and why, what is noticed when it changes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.folder_source import FileGoneError, FolderMissingError, FolderSource, Found, Refused, media_type_of

LIMIT = 1_000


def names(source: FolderSource, below: str = "") -> list[str]:
    return [file.document for file in source.scan(below)]


def only(source: FolderSource) -> Found | Refused:
    (found,) = source.scan()
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.md", "text/markdown"),
        ("A.MARKDOWN", "text/markdown"),
        ("a.html", "text/html"),
        ("a.htm", "text/html"),
        ("a.txt", "text/plain"),
        ("a", "application/octet-stream"),
    ],
)
def test_when_a_file_has_a_name_then_its_ending_says_what_it_is(name: str, expected: str) -> None:
    assert media_type_of(name) == expected


def test_when_a_folder_is_scanned_then_documents_are_named_by_their_paths(tmp_path: Path) -> None:
    for name in ("b.md", "sub/a.txt", "sub/deep/c.html", ".hidden.md", ".git/x.md", "picture.png", "note.md~", "x.tmp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    source = FolderSource(tmp_path, LIMIT)
    assert names(source) == ["b.md", "sub/a.txt", "sub/deep/c.html"]
    assert names(source, "sub") == ["sub/a.txt", "sub/deep/c.html"]
    assert names(source, "b.md") == ["b.md"]
    assert names(source, "absent.md") == []
    assert names(FolderSource(tmp_path, LIMIT, ("*.png",))) == ["picture.png"]


def test_when_there_is_no_folder_then_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(FolderMissingError, match="wanted a folder"):
        FolderSource(tmp_path / "absent", LIMIT)


@pytest.mark.parametrize(("size", "refused"), [(0, False), (LIMIT, False), (LIMIT + 1, True)])
def test_when_a_file_is_large_then_it_is_refused_without_being_read(tmp_path: Path, size: int, refused: bool) -> None:
    (tmp_path / "a.txt").write_bytes(b"x" * size)
    found = only(FolderSource(tmp_path, LIMIT))
    assert isinstance(found, Refused) is refused
    if isinstance(found, Refused):
        assert f"got {size}" in found.reason


def test_when_a_link_leaves_the_folder_then_it_is_refused_and_within_it_is_followed(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    (inside / "a.txt").write_text("a")
    (inside / "b.txt").symlink_to(inside / "a.txt")
    (inside / "c.txt").symlink_to(outside / "secret.txt")
    (inside / "d").symlink_to(outside)
    (inside / "e.txt").symlink_to(tmp_path / "absent")
    (inside / "f.txt").symlink_to(inside / "f.txt")
    found = {file.document: file for file in FolderSource(inside, LIMIT).scan()}
    assert set(found) == {"a.txt", "b.txt", "c.txt", "d"}
    for name in ("c.txt", "d"):
        file = found[name]
        assert isinstance(file, Refused)
        assert "leaves the folder" in file.reason


def test_when_something_is_no_file_then_it_is_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "folder.md").mkdir()
    assert names(FolderSource(tmp_path, LIMIT)) == []


def test_when_a_name_is_no_utf8_then_the_file_is_refused(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")).write_text("x")
    found = only(FolderSource(tmp_path, LIMIT))
    assert isinstance(found, Refused)
    assert "UTF-8" in found.reason


def test_when_a_file_goes_between_scan_and_read_then_it_counts_as_gone(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a")
    source = FolderSource(tmp_path, LIMIT)
    found = only(source)
    assert isinstance(found, Found)
    assert source.read(found) == b"a"
    path.write_bytes(b"x" * (LIMIT + 1))
    with pytest.raises(FileGoneError, match="grew"):
        source.read(found)
    path.unlink()
    with pytest.raises(FileGoneError):
        source.read(found)


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[tuple[FolderSource, list[set[str]]]]:
    source, stop, batches = FolderSource(tmp_path, LIMIT), threading.Event(), list[set[str]]()

    def follow() -> None:
        for batch in source.follow(stop, settle_ms=20):
            batches.append(batch)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not batches and time.monotonic() < deadline:
        time.sleep(0.02)
    yield source, batches
    stop.set()
    thread.join(10)


def await_name(batches: list[set[str]], name: str) -> None:
    deadline = time.monotonic() + 10
    while not any(name in batch for batch in batches):
        assert time.monotonic() < deadline, batches
        time.sleep(0.02)


def test_when_files_change_then_their_paths_are_told(seen: tuple[FolderSource, list[set[str]]]) -> None:
    source, batches = seen
    assert {""} in batches, "what happened before the watching began must be looked at"
    (source.root / "a.txt").write_text("a")
    await_name(batches, "a.txt")
    batches.clear()
    (source.root / "sub").mkdir()
    (source.root / "a.txt").rename(source.root / "sub" / "b.txt")
    await_name(batches, "sub")
    # What came into it before it was watched is found by looking again.
    await_name(batches, "")
    batches.clear()
    (source.root / "sub").rename(source.root / "moved")
    await_name(batches, "sub")
    await_name(batches, "moved")
    batches.clear()
    (source.root / "picture.png").write_text("x")
    (source.root / "moved" / "b.txt").unlink()
    await_name(batches, "moved/b.txt")
    assert not any("picture.png" in batch for batch in batches)
