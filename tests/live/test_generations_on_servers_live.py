"""Index generations where the index is Weaviate's and the view of heads is Redis's: compared, erased from, retired."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import redis
from typer.testing import CliRunner

from adapters.weaviate_connection import WeaviateOptions, opened
from adapters.weaviate_names import collection_name
from headwater.cli.main import app
from headwater.local.redis_server import RedisServer
from headwater.local.weaviate import WeaviateServer
from streams.ensure import ensure
from streams.settings import load
from tests.live.generation_world import TENANT, World, mended, other

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

CORPUS = "servers"
FILLER = " It was built by hand, is painted every spring, and is looked after by the keeper of the place." * 12
PLACES = ("harbour", "quarry", "orchard", "mill")


def text(place: str) -> str:
    """Two paragraphs that another bound on chunks cuts elsewhere, and a short one that stays whole."""
    body = "\n\n".join(f"Paragraph {n} about the {place}.{FILLER}" for n in range(2))
    return f"# The {place}\n\n{body}\n\n## Door\n\nThe door of the {place} has the colour red.\n"


@pytest.fixture(scope="module")
def told(
    generation_cluster: tuple[str, str], weaviate_server: WeaviateServer, redis_server: RedisServer
) -> dict[str, Any]:
    """The settings, as a file says them."""
    bootstrap, url = generation_cluster
    server = {"url": weaviate_server.url, "grpc_port": weaviate_server.grpc_port, "api_key": weaviate_server.api_key}
    return {
        "kafka": {"bootstrap": bootstrap, "partitions": 1},
        "registry": {"url": url, "auto_register": True},
        "embed": {"model": "hashing"},
        "index": {"kind": "weaviate", "corpus": CORPUS, **server},
        "heads": {"kind": "redis", "url": redis_server.url},
        "tenants": [TENANT],
    }


@pytest.fixture(scope="module")
def world(told: dict[str, Any]) -> World:
    settings = load(**told)
    ensure(settings)
    return World(settings)


def test_when_a_generation_on_servers_is_retired_then_its_collection_and_its_heads_are_gone(
    world: World, told: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "world.json"
    config.write_text(json.dumps(told))
    lines = [{"id": place, "question": f"Which colour has the door of the {place}?", "passage": f"{place}.md"}
             for place in PLACES[:2]]  # fmt: skip
    (tmp_path / "golden.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with world.worker():
        world.publish({f"{place}.md": text(place) for place in PLACES})
        world.settled("g1", len(PLACES))
        world.operator.register(other(world.settings, max_tokens=90), "g2")
        assert world.operator.late("g1", "g2", 60.0) == 0
        asked = ["--config", str(config), "index", "compare", "g2", "--golden", "golden.jsonl", "-t", TENANT]
        compared = json.loads(CliRunner().invoke(app, [*asked, "--output", "json"]).stdout)
        assert (compared["old"]["recall_at_5"], compared["new"]["recall_at_5"]) == (1.0, 1.0)
        stores = world.erase("quarry.md")
        assert all(stores[f"index {name}"][0] > 0 and stores[f"index {name}"][1] == 0 for name in ("g1", "g2"))
        world.operator.promote("g2", (), "test")
    assert _collections(world) == {"g1", "g2"} and _generations_in_redis(world) == {"g1", "g2"}
    # The gone head of what was erased is buried too.
    assert world.operator.retire("g1", "test", 30.0) == len(PLACES)
    assert _collections(world) == {"g2"} and _generations_in_redis(world) == {"g2"}
    with world.worker() as worker:
        assert mended(worker, "g2", "orchard.md")
        stores = world.erase("mill.md")
        assert stores["index g2"][0] > 0 and stores["index g2"][1] == 0
        assert "index g1" not in stores
    assert _collections(world) == {"g2"} and _generations_in_redis(world) == {"g2"}


def _collections(world: World) -> set[str]:
    """The generations that have a collection."""
    index = world.settings.index
    client = opened(WeaviateOptions(index.url, index.grpc_port, index.api_key))
    try:
        return {name for name in ("g1", "g2") if client.collections.exists(collection_name(CORPUS, name))}
    finally:
        client.close()


def _generations_in_redis(world: World) -> set[str]:
    """The generations that have anything in Redis, by the braces around their names in every key."""
    with redis.Redis.from_url(world.settings.heads.url) as client:
        keys = [key.decode() for key in client.scan_iter("headwater:heads:*")]
    return {key.partition("{")[2].partition("}")[0] for key in keys}
