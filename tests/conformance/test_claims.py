"""What every Claims must do."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from adapters.errors import ClaimMissingError
from adapters.folder_claims import FolderClaims
from adapters.memory import MemoryClaims
from processors.ports import Claims


@pytest.fixture(params=["folder", "memory"])
def claims(request: pytest.FixtureRequest, tmp_path: Path) -> Claims:
    return FolderClaims(tmp_path / "claims") if request.param == "folder" else MemoryClaims()


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("body", [b"", b"body", b"\0" * 100_000])
def test_when_a_body_was_put_then_it_comes_back(claims: Claims, body: bytes) -> None:
    uri = claims.put(body)
    assert claims.get(uri, sha256(body)) == body


def test_when_put_twice_then_the_uri_is_the_same(claims: Claims) -> None:
    assert claims.put(b"body") == claims.put(b"body")
    assert claims.put(b"body") != claims.put(b"other")


def test_when_nothing_is_there_then_the_error_says_what_to_do(claims: Claims, tmp_path: Path) -> None:
    uri = claims.put(b"body").replace(sha256(b"body"), sha256(b"other"))
    with pytest.raises(ClaimMissingError, match="found none; publish"):
        claims.get(uri, sha256(b"other"))


def test_when_the_hash_is_another_then_the_body_is_not_given(claims: Claims) -> None:
    with pytest.raises(ClaimMissingError):
        claims.get(claims.put(b"body"), sha256(b"other"))


@pytest.mark.parametrize("uri", ["", "file:///etc/passwd", "claim:sha256/../../etc/passwd", "https://example.org/x"])
def test_when_the_uri_is_none_of_ours_then_nothing_is_read(claims: Claims, uri: str) -> None:
    with pytest.raises(ClaimMissingError):
        claims.get(uri, sha256(b"body"))


def test_when_a_body_is_dropped_then_it_is_gone_for_good_and_others_stay(claims: Claims) -> None:
    uri, other = claims.put(b"body"), claims.put(b"other")
    assert claims.holds(uri)
    claims.drop(uri)
    claims.drop(uri)
    assert (claims.holds(uri), claims.holds(other)) == (False, True)
    with pytest.raises(ClaimMissingError):
        claims.get(uri, sha256(b"body"))


@pytest.mark.parametrize("uri", ["", "claim:sha256/../../../etc/passwd", "claim:sha256/", "file:///etc/passwd"])
def test_when_a_uri_is_none_of_ours_then_it_names_nothing_and_nothing_is_dropped(claims: Claims, uri: str) -> None:
    kept = claims.put(b"body")
    assert not claims.holds(uri)
    claims.drop(uri)
    assert claims.holds(kept)
