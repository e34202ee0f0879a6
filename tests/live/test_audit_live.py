"""The auditor over a real broker: no drift where there is none, each kind of damage found and repaired."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from processors.ports import IndexObject
from schemas.documents import DocumentHead
from streams.audit import Auditor
from streams.parts import Parts
from streams.publishing import Publisher
from tests.live.erasure_world import TENANT, World, until
from tests.streams.answerer import entrance
from topics.ingest import DOCUMENT_HEAD

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

GRACE_S = 0.2


def objects(parts: Parts, document: str) -> list[IndexObject]:
    return [found for found in parts.port("store").walk(TENANT) if found.document == document]


def drift(auditor: Auditor, document: str) -> list[str]:
    """The kinds of drift of a document, after the two looks that it takes."""
    auditor.look()
    time.sleep(GRACE_S)
    report = auditor.look()
    assert set(report.repaired) <= set(report.drift)
    return [finding.kind for finding in report.drift if finding.document == document]


def lose(parts: Parts, document: str) -> None:
    parts.port("store").remove(TENANT, [found.object_id for found in objects(parts, document)])


def leave_behind(parts: Parts, document: str) -> None:
    (found,) = objects(parts, document)
    parts.port("store").upsert([replace(found, object_id="11111111-1111-5111-8111-111111111111")])


def hint(parts: Parts, document: str) -> None:
    parts.port("store").set_access(TENANT, [found.object_id for found in objects(parts, document)], ("group:nobody",))


def behead(parts: Parts, document: str) -> None:
    """The view forgets a head, and the index its objects: as if the change had never been handled."""
    lose(parts, document)
    with parts.port("heads")._lock:
        parts.port("heads")._heads[TENANT].pop(document)


def set_back(parts: Parts, document: str) -> None:
    with parts.port("heads")._lock:
        held = parts.port("heads")._heads[TENANT]
        old = held[document]
        version = msgspec.structs.replace(old.version, offset=old.version.offset - 1)
        held[document] = msgspec.structs.replace(old, version=version)


DAMAGE: dict[str, Callable[[Parts, str], None]] = {
    "lost": lose,
    "garbage": leave_behind,
    "hint": hint,
    "headless": behead,
    "behind": set_back,
}


def test_when_each_kind_of_damage_is_done_then_it_is_found_and_repaired(upkeep: World) -> None:
    with upkeep.running() as parts:
        for kind in (*DAMAGE, "generation"):
            upkeep.publish(f"{kind}.md", f"# Drift\n\nThe text of {kind}.\n")
        until(lambda: {f"{kind}.md" for kind in (*DAMAGE, "generation")} <= upkeep.heads().keys(), "heads")
        until(lambda: all(upkeep.indexed(f"{kind}.md") for kind in DAMAGE), "receipts")
        looking, mending = Auditor(parts, GRACE_S), Auditor(parts, GRACE_S, repair=True)
        for kind in DAMAGE:
            assert drift(looking, f"{kind}.md") == [], kind
        for kind, damage in DAMAGE.items():
            damage(parts, f"{kind}.md")
            assert drift(looking, f"{kind}.md") == [kind]
        _in_another_generation(upkeep, parts)
        assert drift(looking, "generation.md") == ["generation"]
        assert "lost" in drift(mending, "lost.md")

        def healed() -> bool:
            looking.look()
            time.sleep(GRACE_S)
            mine = {f"{kind}.md" for kind in (*DAMAGE, "generation")}
            return not [one for one in looking.look().drift if one.document in mine]

        until(healed, "the repairs")
        for kind in (*DAMAGE, "generation"):
            assert len(objects(parts, f"{kind}.md")) == 1, kind


def _in_another_generation(upkeep: World, parts: Parts) -> None:
    head: DocumentHead = parts.port("heads").get(TENANT, "generation.md")
    with Publisher(upkeep.settings.kafka, upkeep.codec, entrance()) as publisher:
        publisher.publish(DOCUMENT_HEAD, msgspec.structs.replace(head, generation="g0", event_id=""))
    behead(parts, "generation.md")


def test_when_nothing_is_damaged_then_nothing_drifts_under_load(upkeep: World) -> None:
    """The control: documents are written, edited and deleted all the while."""
    with upkeep.running() as parts:
        auditor = Auditor(parts, 1.0)
        auditor.look()
        found = []
        for number in range(12):
            for document in range(4):
                upkeep.publish(f"load-{document}.md", f"# Load\n\nEdit {number}.\n" if number % 5 else None)
            found += [one for one in auditor.look().drift if one.document.startswith("load-")]
        assert found == []
