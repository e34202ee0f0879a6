"""Erasures over a real broker: receipts, crashes, replays, and what the files of the broker still hold afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from adapters.host import SystemClock
from adapters.local_index import LocalIndex
from processors.ports import Index
from schemas.documents import DocumentChanged
from schemas.envelope import Micros
from streams.ensure import topic_configs
from streams.erasing import TopicRecords, standing_of
from streams.forgetting import OWN, forgets
from streams.hop import AnyTopic
from streams.keyed_log import KeyedLog
from streams.publishing import INLINE_BYTES
from streams.reading import Reading
from tests.live.erasure_world import TENANT, World, killed, until
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
)

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

SECRET = "quokkas"
COMPACTED = [t.name for t in (DOCUMENT_CHANGED, ACCESS_CHANGED, DOCUMENT_REDACTED, EMBEDDING_COMPUTED, DOCUMENT_HEAD)]
AGEING = [t.name for t in (DOCUMENT_PARSED, CHUNK_CREATED, CHUNK_EMBEDDED)]
SHARED = "The canteen opens at eight in the morning."


def documents_in(index: Index) -> set[str]:
    return {found.document for found in index.walk(TENANT)}


@pytest.mark.parametrize("planned", [False, True], ids=["before the plan", "after the plan"])
def test_when_the_worker_is_killed_between_the_steps_then_there_is_one_complete_receipt(
    upkeep: World, planned: bool
) -> None:
    document = f"killed-{planned}.md"
    with upkeep.worker() as process:
        upkeep.publish(document, f"# Killed\n\nStill {SECRET}, {planned}.\n")
        until(lambda: upkeep.heads().get(document), "a head")
        upkeep.request(document)
        if planned:
            until(lambda: _plans(upkeep, document), "a plan")
        killed(process)
    assert upkeep.receipts(document) == [], "the kill came too late to show anything"
    assert bool(_plans(upkeep, document)) == planned
    with upkeep.running() as parts:
        (receipt,) = until(lambda: upkeep.receipts(document), "a receipt")
        assert document not in documents_in(parts.port("store"))
    told = {store.store: (store.removed, store.left) for store in receipt.stores}
    assert told["index g1"] == (1, 0) and told[DOCUMENT_CHANGED.name] == (1, 0)
    assert told[EMBEDDING_COMPUTED.name] == (1, 0)
    assert len(upkeep.receipts(document)) == 1


def _plans(upkeep: World, document: str) -> list[Reading]:
    return [found for found in upkeep.readings(ERASURE_PLANNED.name) if found.key.endswith(document)]


def test_when_a_document_is_erased_then_nothing_of_it_is_left_and_only_a_new_publication_brings_it_back(
    upkeep: World,
) -> None:
    with upkeep.running() as parts:
        upkeep.publish("secret.md", f"# Marsupials\n\nThere are {SECRET} on Rottnest.\n")
        upkeep.publish("twin.md", f"# Canteen\n\n{SHARED}\n")
        upkeep.publish("other.md", f"# Canteen\n\n{SHARED}\n")
        upkeep.publish("large.md", f"# Large\n\n{SECRET}\n\n" + "filler word. " * (INLINE_BYTES // 12))
        until(lambda: {"secret.md", "twin.md", "other.md", "large.md"} <= upkeep.heads().keys(), "four heads")
        code, (receipt,) = upkeep.command("erase", TENANT, "secret.md", "--reason", "asked to", "--wait")
        told = {one["store"]: (one["removed"], one["left"]) for one in receipt["stores"]}
        assert code == 0 and receipt["forgotten_by"]
        assert told[DOCUMENT_CHANGED.name] == told[DOCUMENT_REDACTED.name] == (1, 0)
        assert told["index g1"] == told[EMBEDDING_COMPUTED.name] == (1, 0)
        assert all(left == 0 for _, left in told.values())
        again, unknown, large = (upkeep.erase(name) for name in ("secret.md", "never.md", "large.md"))
        assert set(again.values()) == set(unknown.values()) == {(0, 0)}
        assert "nothing of it was there" in upkeep.receipts("never.md")[0].note
        assert large["claims"] == (1, 0)
        twin = upkeep.erase("twin.md")
        assert (twin["index g1"], twin[EMBEDDING_COMPUTED.name]) == ((1, 0), (0, 0)), "a shared vector stays"
        assert not {"secret.md", "large.md"} & documents_in(parts.port("store"))
        assert not upkeep.heads()["secret.md"].title
        for folder in ("claims", "index"):
            assert upkeep.files_with(SECRET.encode(), upkeep.folder / folder) == []
        upkeep.publish("secret.md", "# Again\n\nThe second life.\n")
        head = until(lambda: (found := upkeep.heads()["secret.md"]) and not found.gone and found, "a new life")
        assert len(head.chunks) == 1
        assert upkeep.erase("secret.md")["index g1"] == (1, 0)
    _replayed(upkeep)


def _replayed(upkeep: World) -> None:
    """The log from its beginning, into heads and an index that begin with nothing, as a new generation does."""
    ports = memory_ports()
    line = driver(ports)
    for topic in (DOCUMENT_CHANGED, ACCESS_CHANGED):
        for reading in upkeep.readings(topic.name):
            if reading.event is None:
                line.put_bytes(topic, reading.key.encode(), None)
            else:
                line.put(topic, reading.event)
    line.run()
    heads = {head.document: head for head in ports["heads"].walk(TENANT)}
    assert not heads["other.md"].gone
    assert heads["secret.md"].gone and heads["large.md"].gone
    assert not {"secret.md", "large.md"} & documents_in(ports["store"])


class Slipping(KeyedLog):
    """A log in which somebody publishes in the very moment before each tombstone."""

    publish: Callable[[], None]

    def bury(self, topic: AnyTopic, keys: Iterable[str]) -> dict[str, int]:
        self.publish()
        return super().bury(topic, keys)


@pytest.mark.parametrize("dies", [False, True], ids=["goes on", "dies after the tombstone"])
def test_when_a_change_slips_in_before_the_tombstone_then_it_is_put_back_behind_it(upkeep: World, dies: bool) -> None:
    document = f"slipped-{dies}.md"
    upkeep.publish(document, "# First\n\nThe first life.\n")
    upkeep.publish(document, None)
    settings = upkeep.settings
    with Slipping(settings.kafka, upkeep.codec, SystemClock()) as log:
        log.publish = lambda: upkeep.publish(document, "# Second\n\nThe second life.\n")
        if dies:
            log.bury(DOCUMENT_CHANGED, [f"{TENANT}|{document}"])
            log.publish = lambda: pytest.fail("nothing is left to be buried")
        records = TopicRecords(DOCUMENT_CHANGED, log)
        records.erase(TENANT, document, records.held(TENANT, document, None))
        last = log.of_key(DOCUMENT_CHANGED, f"{TENANT}|{document}")[-1]
        assert isinstance(last.event, DocumentChanged) and b"second life" in (last.event.body or b"")
        assert standing_of(log, TENANT, document).alive


def test_when_topics_are_ensured_then_their_real_settings_give_a_bound(upkeep: World) -> None:
    configs = topic_configs(upkeep.settings.kafka, [topic.name for topic in OWN])
    unbounded = [log for log in forgets(configs, [topic.name for topic in OWN], Micros(0)) if log.by is None]
    assert unbounded == []
    configs[DOCUMENT_CHANGED.name]["max.compaction.lag.ms"] = str(2**63 - 1)
    (first, *_) = forgets(configs, [DOCUMENT_CHANGED.name], Micros(0))
    assert first.by is None and "max.compaction.lag.ms" in first.setting


def test_when_the_logs_are_compacted_then_no_file_of_the_broker_holds_a_word_of_it(upkeep: World) -> None:
    """Compaction is made quick: the settings that receipts compute `forgotten_by` from, at their smallest."""
    data = upkeep.broker.data_folder
    with upkeep.running():
        upkeep.publish("words.md", f"# Words\n\nAgain {SECRET}.\n")
        until(lambda: upkeep.heads().get("words.md"), "a head")
        upkeep.erase("words.md")
        assert upkeep.files_with(SECRET.encode(), data), "the control: before compaction the words are there"
        upkeep.compact_quickly(COMPACTED)
        upkeep.age_quickly(AGEING)

        def forgotten() -> bool:
            # Segments are rolled when something is written; another document is traffic enough.
            upkeep.publish("traffic.md", "# Traffic\n\nNothing to see.\n")
            return not upkeep.files_with(SECRET.encode(), data)

        until(forgotten, "the broker's files to forget the words")
    with LocalIndex(upkeep.settings.index.folder / "g1") as index:
        assert "words.md" not in documents_in(index)
