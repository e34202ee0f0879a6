"""Fixtures that every tier may use."""

from __future__ import annotations

pytest_plugins = ["tests.fixtures_kafka", "tests.fixtures_weaviate"]
