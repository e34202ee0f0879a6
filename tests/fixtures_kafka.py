"""A real broker and a real registry for the whole test session, on free ports, gone when the session is.

Tests share them, so topics and subjects need names of their own. `tests/conftest.py` loads this as a plugin.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.local.broker import BrokerSpec, KafkaBroker

__all__ = ["cache_folder", "kafka"]


@pytest.fixture(scope="session")
def cache_folder() -> Path:
    """The user's own cache, so that the jars are fetched once per machine and not once per session."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "headwater"


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[KafkaBroker]:
    """A running broker: `kafka.bootstrap` is what clients connect to, `kafka.child` its process."""
    with KafkaBroker(BrokerSpec(tmp_path_factory.mktemp("kafka"), cache_folder)) as broker:
        yield broker
