"""The folder of claims: damage, a folder that can't be written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from adapters.errors import ClaimMissingError, UnavailableError
from adapters.folder_claims import FolderClaims


def test_when_the_bytes_were_changed_then_they_are_not_given(tmp_path: Path) -> None:
    claims = FolderClaims(tmp_path)
    uri = claims.put(b"body")
    kept = next(path for path in tmp_path.rglob("*") if path.is_file())
    kept.write_bytes(b"harm")
    with pytest.raises(ClaimMissingError, match="found other bytes; publish"):
        claims.get(uri, hashlib.sha256(b"body").hexdigest())


def test_when_the_folder_can_not_be_written_then_it_is_unavailable_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "claims").write_text("a file in its place")
    with pytest.raises(UnavailableError, match="make room"):
        FolderClaims(tmp_path / "claims").put(b"body")


def test_when_put_twice_then_there_is_one_file_and_no_leftover(tmp_path: Path) -> None:
    claims = FolderClaims(tmp_path)
    claims.put(b"body")
    claims.put(b"body")
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_when_the_kept_file_is_a_folder_then_it_is_unavailable(tmp_path: Path) -> None:
    name = hashlib.sha256(b"body").hexdigest()
    (tmp_path / name[:2] / name).mkdir(parents=True)
    with pytest.raises(UnavailableError, match="wanted to read"):
        FolderClaims(tmp_path).get(f"claim:sha256/{name}", name)
