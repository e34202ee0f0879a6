"""Index generations over real Kafka: built beside the one that serves, promoted, rolled back, retired."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from adapters.local_index import LocalIndex
from headwater.cli.exits import GATE, code_of
from headwater.cli.main import app
from schemas.documents import DocumentHead, DocumentIndexed, IndexGeneration
from schemas.queries import AnswerGiven
from streams.ensure import ensure
from streams.generations import GenerationError
from streams.parts import Parts
from streams.promotion import GateError
from streams.selection import select
from streams.settings import child_environment, load
from streams.tombstones import bury_heads
from streams.worker import Worker
from tests.live.generation_world import TENANT, World, folder_of, mended, other
from topics.ingest import DOCUMENT_HEAD, DOCUMENT_INDEXED, INDEX_GENERATION

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

PLACES = ("harbour", "quarry", "orchard", "mill", "chapel", "viaduct", "lighthouse", "bakery")
LONG = " It was built by hand, is painted every spring, and is looked after by the keeper of the place." * 12


def text(place: str, colour: str) -> str:
    """A document of several paragraphs, so that another bound on chunks cuts it elsewhere; the last stays whole."""
    body = "\n\n".join(f"Paragraph {n} about the {place}.{LONG}" for n in range(3))
    return f"# The {place}\n\n{body}\n\n## Door\n\nThe door of the {place} has the colour {colour}.\n"


@pytest.fixture(scope="module")
def world(generation_cluster: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> World:
    """One platform for all of these tests: each makes generations of its own, and begins with what serves then."""
    bootstrap, url = generation_cluster
    settings = load(
        kafka={"bootstrap": bootstrap, "partitions": 2},
        registry={"url": url, "auto_register": True},
        embed={"model": "hashing"},
        index={"folder": tmp_path_factory.mktemp("index"), "open_generations": 4},
        tenants=(TENANT,),
    )
    ensure(settings)
    return World(settings)


def colour(world: World, place: str) -> tuple[str, str]:
    """The colour that an answer names, and the generation that it rests on."""
    answer = world.ask(f"Which colour has the door of the {place}?")
    assert isinstance(answer, AnswerGiven), answer
    return answer.text.rsplit("colour ", 1)[1].split(".")[0], answer.generation


def test_when_generations_come_and_go_then_each_answer_is_of_the_one_that_serves(world: World) -> None:
    world.publish({f"{place}.md": text(place, "red") for place in PLACES})
    with world.worker():
        world.settled("g1", len(PLACES))
        first = world.computed()
        # Another bound: other chunks; the passages that come out the same cost nothing.
        world.operator.register(other(world.settings, max_tokens=120), "g2")
        assert world.operator.late("g1", "g2", 30.0) == 0
        passages = {name: _passages(world, name) for name in ("g1", "g2")}
        assert passages["g1"] & passages["g2"]
        assert world.computed() - first == len(passages["g2"] - passages["g1"]) > 0
        assert colour(world, "mill") == ("red", "g1")
        world.operator.promote("g2", (), "test")
        _until_served_by(world, "g2")
        world.publish({"mill.md": text("mill", "blue")})
        assert world.operator.late("g2", "g1", 30.0) == 0 and world.operator.late("g1", "g2", 30.0) == 0
        assert colour(world, "mill") == ("blue", "g2")
        world.operator.rollback("test")
        _until_served_by(world, "g1")
        assert colour(world, "mill") == ("blue", "g1"), "the rollback brought back what was edited since"
        # Another width under another model's name, for one tenant only.
        world.operator.register(other(world.settings, dimension=256), "g3")
        assert world.operator.late("g1", "g3", 30.0) == 0
        world.operator.promote("g3", (TENANT,), "canary")
        _until_served_by(world, "g3")
        world.operator.rollback("the canary died")
        _until_served_by(world, "g1")
        with pytest.raises(GateError, match="'g1' serves all"):
            world.operator.retire("g1", "", 5.0)
        assert world.operator.retire("g2", "test", 30.0) == len(PLACES)
        assert not folder_of(world.settings, "g2").exists()
        assert bury_heads(world.settings, world.codec, world.entrance.clock, "g2") == 0
        assert colour(world, "chapel") == ("red", "g1")
    listed = {one.name: (one.state, one.serves, one.documents) for one in world.operator.listed()}
    assert listed == {"g1": ("living", "all", 8), "g2": ("retired", "", 0), "g3": ("living", "", 8)}


def test_when_the_builder_is_killed_in_mid_replay_then_it_goes_on_where_it_was(world: World, tmp_path: Path) -> None:
    with world.worker("ingest"):
        world.publish({f"{place}{n}.md": text(f"{place}{n}", "red") for place in PLACES for n in range(5)})
        world.settled("g1", 6 * len(PLACES))
    first = world.computed()
    world.operator.register(other(world.settings, max_tokens=90), "k1")
    builder = _builder(world, tmp_path, "k1")
    _until(lambda: len(list(world.heads("k1").walk())) >= 2, "the builder committed nothing", 90.0)
    os.kill(builder.pid, signal.SIGKILL)
    builder.wait(10)
    done = len(list(world.heads("k1").walk()))
    assert done < 6 * len(PLACES), "it was killed after it was done"
    builder = _builder(world, tmp_path, "k1")
    try:
        assert world.operator.late("g1", "k1", 60.0) == 0
        _until(lambda: _receipts(world, "k1") >= len(_heads(world, "k1")), "it was not settled")
    finally:
        builder.terminate()
        assert builder.wait(30) == 0
    heads = _heads(world, "k1")
    assert len(heads) == len({(head.document, head.version) for head in heads}), "a version became a head twice"
    index = LocalIndex(folder_of(world.settings, "k1"))
    held = {thing.object_id for thing in index.walk(TENANT)}
    index.close()
    assert held == {chunk.object_id for head in world.heads("k1").walk() for chunk in head.chunks}
    known = _passages(world, "g1") | _passages(world, "g2")
    assert world.computed() - first <= len(_passages(world, "k1") - known)


def test_when_the_gate_speaks_against_it_then_promote_ends_with_3_and_force_is_recorded(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = _config(world, tmp_path)
    asked = [("good", "mill.md"), ("bad", "chapel.md")]
    for name, right in asked:
        lines = [{"id": name, "question": "Which colour has the door of the mill?", "passage": right}]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["--config", str(config), "index", *arguments])

    monkeypatch.chdir(tmp_path)
    refused = run("promote", "k1", "--wait", "0")
    assert isinstance(refused.exception, GateError) and "no golden questions" in str(refused.exception)
    assert code_of(refused.exception) == GATE
    low = run("promote", "k1", "--wait", "5", "--golden", "bad.jsonl", "--tenant", TENANT)
    assert "below 0.99" in str(low.exception)
    compared = json.loads(run("compare", "k1", "--golden", "good.jsonl", "-t", TENANT, "--output", "json").stdout)
    assert (compared["old"]["recall_at_5"], compared["new"]["recall_at_5"]) == (1.0, 1.0)
    assert compared["questions"] > 1 and 0.0 < compared["overlap_at_5"] <= 1.0
    assert run("promote", "k1", "--golden", "good.jsonl", "--tenant", TENANT).exit_code == 0
    assert run("rollback").exit_code == 0
    assert run("promote", "k1", "--force", "--reason", "drill").exit_code == 0
    said = [e.reason for e in world.events(INDEX_GENERATION.name) if isinstance(e, IndexGeneration)]
    assert said[-1].startswith("drill; forced over: no golden questions")
    rows = {row["name"]: row for row in json.loads(run("ls", "--output", "json").stdout)}
    assert (rows["k1"]["serves"], rows["g1"]["serves"], rows["k1"]["behind"]) == ("all", "", 0)
    assert run("rollback").exit_code == 0


def test_when_the_settings_are_not_those_of_the_generation_then_the_worker_does_not_start(world: World) -> None:
    built = world.settings.index.model_copy(update={"generation": "g3"})
    unheard = world.settings.index.model_copy(update={"generation": "g9"})
    for settings, said in (
        (other(world.settings, max_tokens=64), "chunking .*headwater index build"),
        (other(world.settings, dimension=64), "model hashing-384, not hashing-64"),
        (world.settings.model_copy(update={"index": built}), "consumer group of its own"),
        (world.settings.model_copy(update={"index": unheard}), "would begin empty"),
    ):
        parts = Parts(settings)
        with pytest.raises(GenerationError, match=said):
            Worker(settings, select(("ingest",)), parts).run()
        parts.close()


def test_when_the_configured_one_is_retired_then_the_others_follow_on_from_redacted_documents(world: World) -> None:
    world.operator.promote("g3", (), "test")
    buried = world.operator.retire("g1", "test", 10.0)
    assert buried >= len(PLACES)
    with world.worker() as worker:
        world.publish({"mill.md": text("mill", "green"), "bakery.md": None})
        _until(lambda: colour(world, "mill") == ("green", "g3"), "the edit did not reach the generation that serves")
        assert not folder_of(world.settings, "g1").exists()
        # Erasures went with the generation's steps once: they belong to all of them.
        stores = world.erase("chapel.md")
        assert stores["index g3"][1] == 0 and stores["index g3"][0] > 0
        _until(lambda: mended(worker, "g3", "orchard.md"), "the auditor did not mend the generation that serves")
        assert "index g1" not in stores and "chapel.md" not in {head.document for head in _alive(world, "g3")}


def _builder(world: World, folder: Path, name: str) -> subprocess.Popen[bytes]:
    """A process that builds one generation and nothing else, in small batches."""
    command = [sys.executable, "-m", "headwater.cli.main", "--config", str(_config(world, folder)), "run"]
    return subprocess.Popen(
        [*command, "ingest.generation", "--generation", name],
        env=child_environment(HEADWATER_WORKER__BATCH_RECORDS="1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _config(world: World, folder: Path) -> Path:
    """The settings of the world as a file."""
    settings = world.settings
    index = {"folder": str(settings.index.folder), "open_generations": 4, "recall_gate": 0.99}
    path = folder / "world.yaml"
    told = {
        "kafka": {"bootstrap": settings.kafka.bootstrap},
        "registry": {"url": settings.registry.url, "auto_register": True},
        "embed": {"model": "hashing"},
        "index": index,
    }
    path.write_text(json.dumps(told))
    return path


def _until(reached: Callable[[], bool], otherwise: str, timeout_s: float = 40.0) -> None:
    until = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < until, otherwise
        time.sleep(0.02)


def _heads(world: World, generation: str) -> list[DocumentHead]:
    """Every head that was ever written."""
    events = world.events(DOCUMENT_HEAD.name)
    return [event for event in events if isinstance(event, DocumentHead) and event.generation == generation]


def _alive(world: World, generation: str) -> list[DocumentHead]:
    return [head for head in world.heads(generation).walk() if not head.gone]


def _receipts(world: World, generation: str) -> int:
    events = world.events(DOCUMENT_INDEXED.name)
    return sum(isinstance(event, DocumentIndexed) and event.generation == generation for event in events)


def _passages(world: World, generation: str) -> set[str]:
    """The passages of a generation: what its chunks are named by, but for how manieth of their like they are."""
    return {c.name.rpartition("-")[0] for head in world.heads(generation).walk() for c in head.chunks}


def _until_served_by(world: World, generation: str) -> None:
    _until(lambda: colour(world, "quarry") == ("red", generation), f"{generation} does not serve")
