"""What ingest does while something around it is wrong: its clock is being set, its Weaviate is full."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.host import SystemClock, SystemIds
from headwater.local.weaviate import WeaviateServer
from headwater.local.weaviate_build import built
from processors.answer.limits import RetrievalLimits
from processors.answer.retrieve import retrieve
from schemas.documents import DocumentDeleted, DocumentHead
from schemas.envelope import Micros
from schemas.queries import Query, QueryPlanned
from streams.parts import Parts
from streams.publishing import Entrance, Publisher, Upload, document_changed
from streams.selection import select
from streams.settings import IndexSection, Settings
from streams.worker import Worker
from tests.chaos.small_disk import SmallDisk, may_mount, small_disk
from tests.live.erasure_world import TENANT, World, until, world
from tests.live.in_process import working
from topics.ingest import DOCUMENT_CHANGED

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

DAY = 86_400_000_000
NAMES = [f"dial-{number}.md" for number in range(6)]


class JumpingClock(SystemClock):
    """A wall clock that is set back and forth by days all the time."""

    def __init__(self) -> None:
        self._jumps = itertools.cycle((0, 3 * DAY, -400 * DAY, DAY, -DAY))

    def now(self) -> Micros:
        return Micros(super().now() + next(self._jumps))


class JumpingParts(Parts):
    def _clock(self) -> SystemClock:
        return JumpingClock()


@contextmanager
def running(parts: Parts) -> Iterator[Worker]:
    """A worker of ingest in this process, on these ports."""
    with working(Worker(parts.settings, select(("ingest",)), parts)) as worker:
        yield worker


def texts(parts: Parts, names: list[str]) -> dict[str, list[str]]:
    """What a reader may be given of documents: the objects that their heads list."""
    heads: dict[str, DocumentHead] = parts.port("heads").get_many(TENANT, names)
    held = {found.object_id: found.chunk.text for found in parts.port("store").walk(TENANT)}
    return {name: [held.get(one.object_id, "lost") for one in head.chunks] for name, head in heads.items()}


def test_when_the_clock_jumps_back_and_forth_then_the_newest_version_counts_and_each_has_its_receipt(
    upkeep: World,
) -> None:
    parts = JumpingParts(upkeep.settings)
    entrance = Entrance(JumpingClock(), SystemIds(), "test")
    with running(parts), Publisher(upkeep.settings.kafka, upkeep.codec, entrance) as publisher:
        for turn in range(5):
            for name in NAMES:
                upload = Upload(TENANT, name, f"# Dial\n\nTurn {turn} of {name}.".encode(), "text/markdown")
                publisher.publish(DOCUMENT_CHANGED, document_changed(upload, parts.port("claims")))
        publisher.publish(DOCUMENT_CHANGED, DocumentDeleted(tenant=TENANT, document=NAMES[0]))
        until(lambda: all(len(upkeep.indexed(name)) >= 5 for name in NAMES), "the receipts")
        until(lambda: [receipt.outcome for receipt in upkeep.indexed(NAMES[0])][-1] == "deleted", "the delete")
        found = texts(parts, NAMES)
    assert found.pop(NAMES[0]) == []
    assert {name: ["Turn 4" in text for text in said] for name, said in found.items()} == {
        name: [True] for name in NAMES[1:]
    }
    letters = [reading.key for reading in upkeep.readings(DOCUMENT_CHANGED.dead_letters)]
    assert not [key for key in letters if "dial-" in key]


def fill_up(disk: SmallDisk) -> None:
    """All but 4 % is taken: more than a server lets be used before it takes no more."""
    found = os.statvfs(disk.folder)
    left = found.f_bavail - found.f_blocks // 25
    (disk.folder / "ballast").write_bytes(b"\0" * (left * found.f_frsize))


def answered(parts: Parts, question: str) -> list[str]:
    """What the read path finds."""
    query = Query(query_id="q", question=question)
    planned = QueryPlanned(tenant=TENANT, query=query, kind="retrieval", variants=(question,))
    found = next(retrieve(planned, parts.port("serving"), RetrievalLimits(), parts.port("clock")))
    return [passage.document for passage in found.passages]


def on(server: WeaviateServer, made: World) -> Settings:
    """The world's settings, with its index on that server."""
    index = IndexSection(
        kind="weaviate",
        url=server.url,
        grpc_port=server.grpc_port,
        api_key=server.api_key,
        folder=made.settings.index.folder,
    )
    return made.settings.model_copy(update={"index": index})


@pytest.mark.skipif(not may_mount(), reason="wanted the right to mount a tmpfs")
def test_when_weaviate_is_full_then_ingest_waits_questions_are_answered_and_nothing_is_lost(
    tmp_path: Path, cache_folder: Path, small_program: tuple[str, ...]
) -> None:
    if built(cache_folder) is None:
        pytest.skip("wanted Weaviate, it was not built on this machine yet")
    with (
        small_disk(tmp_path / "disk", 128) as disk,
        world(tmp_path / "world", cache_folder, small_program) as made,
        WeaviateServer(disk.folder / "weaviate", cache_folder) as server,
    ):
        parts = Parts(on(server, made))
        with running(parts):
            parts.open({"serving"})
            made.publish("before.md", "# Before\n\nA lamp that burns.")
            until(lambda: "before.md" in made.heads(), "the first head")
            fill_up(disk)
            until(lambda: "Set READONLY" in server.child.log_tail(200), "it to be full")
            made.publish("late.md", "# Late\n\nA lamp that waits.")
            made.publish("before.md", "# Before\n\nA lamp that burns again.")
            time.sleep(3.0)
            assert answered(parts, "lamp") == ["before.md"]
            assert set(made.heads()) == {"before.md"}
            disk.free()
            until(lambda: "late.md" in made.heads() and len(made.indexed("before.md")) >= 2, "what waited")
            until(lambda: set(answered(parts, "lamp")) == {"before.md", "late.md"}, "an answer from both")
            letters = made.readings(DOCUMENT_CHANGED.dead_letters)
    assert letters == []
