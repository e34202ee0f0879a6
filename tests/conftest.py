"""Fixtures that every tier may use."""

from __future__ import annotations

pytest_plugins = [
    "tests.fixtures_kafka",
    "tests.fixtures_redis",
    "tests.fixtures_cdc",
    "tests.live.erasure_world",
    "tests.live.generation_world",
    "tests.fixtures_weaviate",
]
