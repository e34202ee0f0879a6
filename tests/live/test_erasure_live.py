"""Erasures over a real broker: receipts, crashes, replays, and what the files of the broker still hold afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.host import SystemClock
from adapters.local_index import LocalIndex
from schemas.documents import DocumentErased, ErasureRequested
from streams.publishing import INLINE_BYTES, Entrance, Publisher
from streams.settings import load
from tests.live.erasure_world import TENANT, World, killed, until, world
from tests.topology.ports import driver, memory_ports
from topics.ingest import (
    ACCESS_CHANGED,
    CHUNK_CREATED,
    CHUNK_EMBEDDED,
    DOCUMENT_CHANGED,
    DOCUMENT_HEAD,
    DOCUMENT_PARSED,
    DOCUMENT_REDACTED,
    EMBEDDING_COMPUTED,
    ERASURE_PLANNED,
    ERASURE_REQUESTED,
)

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

SECRET = "quokkas"
COMPACTED = [t.name for t in (DOCUMENT_CHANGED, ACCESS_CHANGED, DOCUMENT_REDACTED, EMBEDDING_COMPUTED, DOCUMENT_HEAD)]
AGEING = [t.name for t in (DOCUMENT_PARSED, CHUNK_CREATED, CHUNK_EMBEDDED)]
SHARED = "The canteen opens at eight in the morning."


@pytest.fixture(scope="module")
def alive(
    tmp_path_factory: pytest.TempPathFactory, cache_folder: Path, small_program: tuple[str, ...]
) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("erasure"), cache_folder, small_program) as made:
        yield made


def counts(receipt: dict[str, object]) -> dict[str, tuple[int, int]]:
    stores = receipt["stores"]
    assert isinstance(stores, list)
    return {one["store"]: (one["removed"], one["left"]) for one in stores}


def requested(alive: World, document: str) -> None:
    with Publisher(alive.settings.kafka, alive.codec, entrance()) as publisher:
        publisher.publish(ERASURE_REQUESTED, ErasureRequested(tenant=TENANT, document=document, reason="test"))


def entrance() -> Entrance:
    from adapters.host import SystemIds

    return Entrance(SystemClock(), SystemIds(), "test")


def objects(alive: World) -> list[str]:
    """Documents that have objects in the index; its worker must not run."""
    with LocalIndex(alive.settings.index.folder / "g1") as index:
        return [found.document for found in index.walk(TENANT)]


def test_when_a_document_is_erased_then_nothing_of_it_is_left_anywhere(alive: World) -> None:
    large = f"# Large\n\n{'Many ' + SECRET + ' sleep by day. ' * 30}\n\n" + "filler word. " * (INLINE_BYTES // 12)
    with alive.worker():
        alive.publish("secret.md", f"# Marsupials\n\nThere are {SECRET} on Rottnest.\n\n{SHARED}\n")
        alive.publish("other.md", f"# Other\n\n{SHARED}\n")
        alive.publish("large.md", large)
        until(lambda: {"secret.md", "other.md", "large.md"} <= alive.heads().keys(), "three heads")
        code, (receipt,) = alive.command("erase", TENANT, "secret.md", "--reason", "asked to", "--wait")
        assert code == 0
        told = counts(receipt)
        assert told["index g1"][0] > 0 and told[DOCUMENT_CHANGED.name] == (1, 0)
        assert told[DOCUMENT_REDACTED.name] == (1, 0) and told[EMBEDDING_COMPUTED.name][0] > 0
        assert all(left == 0 for _, left in told.values())
        assert receipt["forgotten_by"]
        code, (again,) = alive.command("erase", TENANT, "secret.md", "--wait")
        assert code == 0 and set(counts(again).values()) == {(0, 0)}
        assert "nothing of it was there" in str(again["note"])
        code, (unknown,) = alive.command("erase", TENANT, "never.md", "--wait")
        assert code == 0 and set(counts(unknown).values()) == {(0, 0)}
        _, (big,) = alive.command("erase", TENANT, "large.md", "--wait")
        assert counts(big)["claims"] == (1, 0)
    assert alive.files_with(SECRET.encode(), alive.folder / "claims") == []
    assert alive.files_with(SECRET.encode(), alive.folder / "index") == []
    assert set(objects(alive)) == {"other.md"}
    assert alive.heads()["other.md"].chunks and not alive.heads()["secret.md"].title
    _shown_forgotten(alive)


def _shown_forgotten(alive: World) -> None:
    """Compaction, made quick, leaves no word of it in the files of the broker, as the receipt promises for later."""
    data = alive.broker.data_folder
    assert alive.files_with(SECRET.encode(), data), "the control: before compaction the words are there"
    alive.compact_quickly(COMPACTED)
    alive.age_quickly(AGEING)

    def forgotten() -> bool:
        # Segments are rolled when something is written; another document is traffic enough.
        alive.publish("traffic.md", "# Traffic\n\nNothing to see.\n")
        return not alive.files_with(SECRET.encode(), data)

    with alive.worker():
        until(forgotten, "the broker's files to forget the words", 90.0)


def test_when_the_log_is_replayed_after_an_erasure_then_the_document_does_not_come_back(alive: World) -> None:
    """Into the same heads, and into a generation that begins with none."""
    with alive.worker():
        alive.publish("replay.md", f"# Replayed\n\nMore {SECRET}.\n")
        until(lambda: alive.heads().get("replay.md"), "a head")
        code, _ = alive.command("erase", TENANT, "replay.md", "--wait")
        assert code == 0
    ports = memory_ports()
    line = driver(ports)
    for topic in (DOCUMENT_CHANGED, ACCESS_CHANGED):
        for reading in alive.readings(topic.name):
            line.put_bytes(topic, reading.key.encode(), reading.value)
    line_codec(line, alive)
    line.run()
    heads = {head.document: head for head in ports["heads"].walk(TENANT)}
    assert "replay.md" not in heads or heads["replay.md"].gone
    assert not [found for found in ports["store"].walk(TENANT) if found.document == "replay.md"]


def line_codec(line: object, alive: World) -> None:
    """The records carry ids of the real registry, so its schemas must be asked."""
    for pipeline in line._pipelines:  # type: ignore[attr-defined]
        pipeline.codec = alive.codec


@pytest.mark.parametrize("steps", [("survey",), ("erase",)], ids=["before the plan", "after the plan"])
def test_when_the_worker_is_killed_between_the_steps_then_there_is_one_complete_receipt(
    alive: World, steps: tuple[str, ...]
) -> None:
    document = f"killed-{steps[0]}.md"
    with alive.worker():
        alive.publish(document, f"# Killed\n\nStill {SECRET} {steps[0]}.\n")
        until(lambda: alive.heads().get(document), "a head")
    with alive.worker() as process:
        until(lambda: "worker.ready" in (alive.folder / "worker.log").read_text("utf-8").rsplit("starting", 1)[-1], "x")
        requested(alive, document)
        if steps[0] == "erase":
            plans = lambda: [r for r in alive.readings(ERASURE_PLANNED.name) if r.key.endswith(document)]  # noqa: E731
            until(plans, "a plan")
        killed(process)
    assert alive.receipts(document) == []
    with alive.worker():
        (receipt,) = until(lambda: alive.receipts(document), "a receipt")
    assert isinstance(receipt, DocumentErased)
    told = {store.store: (store.removed, store.left) for store in receipt.stores}
    assert told["index g1"] == (1, 0) and told[DOCUMENT_CHANGED.name] == (1, 0)
    assert len(alive.receipts(document)) == 1
    assert document not in objects(alive)


def test_when_it_is_published_again_then_a_new_life_begins(alive: World) -> None:
    with alive.worker():
        alive.publish("again.md", "# Again\n\nThe first life.\n")
        until(lambda: alive.heads().get("again.md"), "a head")
        assert alive.command("erase", TENANT, "again.md", "--wait")[0] == 0
        alive.publish("again.md", "# Again\n\nThe second life.\n")
        head = until(lambda: (found := alive.heads()["again.md"]) and not found.gone and found, "a new life")
    assert len(head.chunks) == 1
    assert "again.md" in objects(alive)


def test_settings_are_read() -> None:
    assert load().index.generation
