"""A real Weaviate for the whole test session, started at the first use; each test has a collection of its own."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.weaviate_index import Shape, WeaviateIndex, WeaviateOptions
from headwater.local.weaviate import WeaviateServer
from headwater.local.weaviate_build import built
from tests.conformance.objects import EMBEDDER

__all__ = ["weaviate_index", "weaviate_options", "weaviate_server"]


@pytest.fixture(scope="session")
def weaviate_server(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[WeaviateServer]:
    """A running Weaviate: `weaviate_server.url`, `.grpc_port` and `.api_key` are what clients need."""
    if built(cache_folder) is None and shutil.which("go") is None:
        pytest.skip("wanted Weaviate: it was not built on this machine and there is no Go tool chain to build it with")
    with WeaviateServer(tmp_path_factory.mktemp("weaviate"), cache_folder) as server:
        yield server


@pytest.fixture
def weaviate_options(weaviate_server: WeaviateServer) -> WeaviateOptions:
    """How to reach that server."""
    return WeaviateOptions(weaviate_server.url, weaviate_server.grpc_port, weaviate_server.api_key)


@pytest.fixture
def weaviate_index(weaviate_options: WeaviateOptions) -> Iterator[WeaviateIndex]:
    """An index that no other test sees; its collection is gone afterwards."""
    shape = Shape(EMBEDDER.model, EMBEDDER.dimension, corpus=f"test_{uuid.uuid4().hex}")
    with WeaviateIndex(weaviate_options, shape) as index:
        yield index
        index.drop()
