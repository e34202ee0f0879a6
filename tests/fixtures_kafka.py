"""A real broker and a real registry for the whole test session, on free ports, gone when the session is.

Tests share them, so topics and subjects need names of their own. `tests/conftest.py` loads this as a plugin.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.local.broker import BrokerSpec, KafkaBroker
from headwater.local.parts import REGISTRY, OwnPart
from headwater.local.ports import choose_port

__all__ = ["cache_folder", "kafka", "registry", "small_program"]

_READY_S = 30.0


@pytest.fixture(scope="session")
def cache_folder() -> Path:
    """The user's own cache, so that the jars are fetched once per machine and not once per session."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "headwater"


@pytest.fixture(scope="session")
def small_program() -> tuple[str, ...]:
    """Headwater's command line without a model, for tests of the stack (`tests/local/small_program.py`)."""
    return (sys.executable, str(Path(__file__).parent / "local" / "small_program.py"))


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[KafkaBroker]:
    """A running broker: `kafka.bootstrap` is what clients connect to, `kafka.child` its process."""
    with KafkaBroker(BrokerSpec(tmp_path_factory.mktemp("kafka"), cache_folder, quick=True)) as broker:
        yield broker


@pytest.fixture(scope="session")
def registry(
    tmp_path_factory: pytest.TempPathFactory, kafka: KafkaBroker, small_program: tuple[str, ...]
) -> Iterator[OwnPart]:
    """A running schema registry over that broker: `registry.url` is what clients connect to."""
    part = OwnPart(REGISTRY, tmp_path_factory.mktemp("registry"))
    try:
        part.begin(choose_port("the registry"), (("HEADWATER_KAFKA__BOOTSTRAP", kafka.bootstrap),), small_program)
        part.await_ready(_READY_S)
        yield part
    finally:
        part.stop()
