from __future__ import annotations

import time

import pytest

from adapters.errors import IndexUnavailableError
from adapters.weaviate_connection import IndexSchemaError, WeaviateOptions, _require_new, opened, unavailable
from adapters.weaviate_index import Shape, WeaviateIndex
from headwater.local.ports import choose_port


def nowhere() -> WeaviateOptions:
    return WeaviateOptions(f"http://127.0.0.1:{choose_port('nothing')}", choose_port("nothing"))


def test_when_no_server_is_there_then_the_index_opens_and_every_use_says_so_at_once() -> None:
    began = time.monotonic()
    with WeaviateIndex(nowhere(), Shape("hashing", 4)) as index:
        with pytest.raises(IndexUnavailableError, match=r"start it, or set index\.url"):
            index.existing("acme", ["a"])
        with pytest.raises(IndexUnavailableError):
            list(index.walk())
    assert time.monotonic() - began < 10


def test_when_the_index_was_closed_then_its_use_says_so() -> None:
    index = WeaviateIndex(nowhere(), Shape("hashing", 4))
    index.close()
    index.close()
    with pytest.raises(IndexUnavailableError, match="closed"):
        index.remove("acme", ["a"])


@pytest.mark.parametrize("version", ["1.38.8", "1.38.9", "1.39.0", "2.0.0", "1.40.0-rc.1"])
def test_when_a_server_is_new_enough_then_it_is_taken(version: str) -> None:
    _require_new(version)


@pytest.mark.parametrize("version", ["1.38.7", "1.36.12", "1.9.99", "1.38", ""])
def test_when_a_server_is_too_old_then_it_is_refused(version: str) -> None:
    with pytest.raises(IndexSchemaError, match=r"1\.38\.8 or newer"):
        _require_new(version)


@pytest.mark.parametrize("url", ["", "127.0.0.1:8080", "ftp://x", "http://"])
def test_when_an_address_is_none_then_the_setting_is_named(url: str) -> None:
    with pytest.raises(IndexSchemaError, match=r"index\.url"):
        opened(WeaviateOptions(url))


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("store is read-only due to: disk usage too high", "READY"),
        ("write: no space left on device", "disk"),
        ("Unexpected status code: 401", "index.api_key"),
        ("Connection refused", "index.url"),
    ],
)
def test_when_a_server_refuses_then_the_error_says_what_to_do(said: str, remedy: str) -> None:
    assert remedy in str(unavailable("writing", said, WeaviateOptions()))


def test_when_options_are_shown_then_their_key_is_not() -> None:
    assert "s3cret" not in repr(WeaviateOptions(api_key="s3cret"))
