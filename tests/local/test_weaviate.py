from __future__ import annotations

import stat
from pathlib import Path

import httpx
import pytest

from headwater.local.errors import NotReadyError
from headwater.local.weaviate import WeaviateServer


def test_when_it_was_not_begun_then_it_is_not_ready_and_waiting_says_so(tmp_path: Path) -> None:
    server = WeaviateServer(tmp_path / "w", tmp_path)
    assert not server.is_ready()
    with pytest.raises(NotReadyError, match="call begin first"):
        server.await_ready(1.0)
    server.stop()


def test_when_the_key_is_made_then_it_is_kept_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    key = WeaviateServer(tmp_path / "w", tmp_path).api_key
    assert len(key) >= 32
    assert WeaviateServer(tmp_path / "w", tmp_path).api_key == key
    assert WeaviateServer(tmp_path / "other", tmp_path).api_key != key
    assert stat.S_IMODE((tmp_path / "w" / "weaviate.key").stat().st_mode) == 0o600


@pytest.mark.live
def test_when_a_client_shows_no_key_then_it_sees_nothing(weaviate_server: WeaviateServer) -> None:
    url = f"{weaviate_server.url}/v1/schema"
    assert httpx.get(url, trust_env=False).status_code == 401
    key = {"Authorization": f"Bearer {weaviate_server.api_key}"}
    assert httpx.get(url, headers=key, trust_env=False).status_code == 200


@pytest.mark.live
def test_when_another_object_looks_at_the_folder_then_it_finds_the_same_server(
    weaviate_server: WeaviateServer, cache_folder: Path
) -> None:
    other = WeaviateServer(weaviate_server.child.spec.folder, cache_folder)
    assert (other.port, other.grpc_port) == (weaviate_server.port, weaviate_server.grpc_port)
    assert other.child.pid == weaviate_server.child.pid
    assert other.is_ready()
    other.begin()
    assert other.child.pid == weaviate_server.child.pid
