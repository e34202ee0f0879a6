"""index: which head follows, which objects it keeps, and when it refuses."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from adapters.errors import HeadsClosedError, IndexUnavailableError
from adapters.heads_view import MemoryHeads
from adapters.memory import MemoryIndex
from processors.contract import Reject, Stop
from processors.ingest.heads import NO_ACCESS_VERSION, NO_VERSION, newer, object_id
from processors.ingest.index import index
from processors.ingest.planning import Indexable
from processors.ports import IndexObject
from schemas.documents import AccessChanged, ChunkEmbedded, DocumentHead, DocumentIndexed
from schemas.envelope import Event
from tests.processors.ingest.builders import (
    DOCUMENT,
    GENERATION,
    TENANT,
    Line,
    at,
    deleted,
    granted,
    opened,
    redacted,
)

A, B, C, D = "Apples are red. " * 30, "Bees are loud. " * 30, "Cats are soft. " * 30, "Dogs are fast. " * 30


def heads_of(outputs: Sequence[Event]) -> list[DocumentHead]:
    return [event for event in outputs if isinstance(event, DocumentHead)]


def receipts_of(outputs: Sequence[Event]) -> list[tuple[str, int]]:
    return [(event.outcome, event.version.offset) for event in outputs if isinstance(event, DocumentIndexed)]


def without(events: Sequence[Indexable], text: str) -> list[Indexable]:
    """The events as they are when the chunk of a text became a dead letter."""
    return [event for event in events if not (isinstance(event, ChunkEmbedded) and event.chunk.text == text.strip())]


class CountingIndex(MemoryIndex):
    """The index in memory, with a count of the calls that write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[int] = []

    def upsert(self, objects: Sequence[IndexObject]) -> None:
        self.writes.append(len(objects))
        super().upsert(objects)


class FailingIndex(MemoryIndex):
    """An index that can't write."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def upsert(self, objects: Sequence[IndexObject]) -> None:
        raise self._error


def test_when_a_document_is_new_then_its_head_lists_objects_of_this_version() -> None:
    line = Line()
    (head,) = heads_of(line.indexed(line.embedded([redacted([A, B])])))
    assert (head.version, head.supersedes, head.access_version) == (at(1), None, NO_ACCESS_VERSION)
    assert (head.kept, head.added, head.removed, head.generation) == (0, 2, (), GENERATION)
    assert [chunk.object_id for chunk in head.chunks] == [
        object_id(TENANT, DOCUMENT, chunk.name, at(1)) for chunk in head.chunks
    ]
    assert line.texts() == [A.strip(), B.strip()]


def test_when_a_chunk_stays_then_so_does_its_object() -> None:
    line = Line()
    (old,) = heads_of(line.indexed(line.embedded([redacted([A, B])])))
    (new,) = heads_of(line.indexed(line.embedded([redacted([A, C], 2)])))
    assert new.chunks[0] == old.chunks[0]
    assert new.removed == (old.chunks[1].object_id,)
    assert (new.kept, new.added, new.supersedes) == (1, 1, at(1))


def test_when_a_chunk_comes_back_then_it_is_another_object() -> None:
    line = Line()
    ids = []
    for version, text in enumerate((A, B, A), start=1):
        (head,) = heads_of(line.indexed(line.embedded([redacted([text], version)])))
        ids.append(head.chunks[0].object_id)
    assert len(set(ids)) == 3


def test_when_a_batch_holds_many_documents_then_it_writes_once() -> None:
    line = Line(store=CountingIndex())
    events = line.embedded([redacted([A, B], 1, "a"), redacted([A], 2, "b"), redacted([A, C], 3, "a")])
    assert len(heads_of(line.indexed(events))) == 3
    assert isinstance(line.store, CountingIndex)
    assert line.store.writes == [4]


def test_when_a_batch_holds_versions_of_one_document_then_each_follows_from_the_one_before() -> None:
    line = Line()
    events = line.embedded([redacted([A, B], 1), redacted([B, C], 2), deleted(3), redacted([A], 4)])
    heads = heads_of(line.indexed(events))
    assert [head.supersedes for head in heads] == [None, at(1), at(2), at(3)]
    assert [head.gone for head in heads] == [False, False, True, False]
    assert heads[1].chunks[0].object_id == heads[0].chunks[1].object_id
    assert set(heads[2].removed) == {chunk.object_id for chunk in heads[1].chunks}
    assert heads[3].chunks[0].object_id != heads[0].chunks[0].object_id


def test_when_chunks_and_manifest_come_in_different_batches_then_the_head_is_the_same() -> None:
    line, other = Line(), Line()
    events = line.embedded([redacted([A, B, C])])
    apart = [event for single in events for event in line.indexed([single])]
    assert heads_of(apart) == heads_of(other.indexed(other.embedded([redacted([A, B, C])])))


@pytest.mark.parametrize(("version", "outcome"), [(3, "outdated"), (5, "unchanged")])
def test_when_a_version_is_no_news_then_there_is_a_receipt_and_no_head(version: int, outcome: str) -> None:
    line = Line()
    line.take(redacted([A, B], 5))
    before = {found.object_id for found in line.store.walk()}
    outputs = line.indexed(line.embedded([redacted([A, B] if version == 5 else [C], version)]))
    assert heads_of(outputs) == []
    assert receipts_of(outputs) == [(outcome, version)]
    assert {found.object_id for found in line.store.walk()} == before


def test_when_the_content_is_the_same_then_the_version_is_a_head_all_the_same() -> None:
    line = Line()
    line.take(redacted([A], 1))
    (head,) = heads_of(line.indexed(line.embedded([redacted([A], 2)])))
    assert (head.version, head.kept, head.added, head.removed) == (at(2), 1, 0, ())


def test_when_a_document_is_deleted_then_nothing_older_comes_back() -> None:
    line = Line()
    line.take(redacted([A], 1))
    (head,) = heads_of(line.indexed([deleted(3)]))
    assert (head.gone, head.chunks, head.outcome) == (True, (), "deleted")
    assert receipts_of(line.indexed(line.embedded([redacted([A], 2)]))) == [("outdated", 2)]
    assert line.texts() == []


def test_when_an_unknown_document_is_deleted_then_a_late_version_finds_the_delete() -> None:
    line = Line()
    assert heads_of(line.indexed([deleted(2)]))[0].gone
    assert receipts_of(line.indexed(line.embedded([redacted([A], 1)]))) == [("outdated", 1)]


def test_when_access_changes_then_the_content_stays_and_holds_from_then_on() -> None:
    line = Line()
    (old,) = heads_of(line.indexed(line.embedded([redacted([A], 1)])))
    (head,) = heads_of(line.indexed([granted(("user:ann",), 7)]))
    assert (head.version, head.access_version, head.access) == (at(1), at(7), ("user:ann",))
    assert (head.chunks, head.outcome, head.removed) == (old.chunks, "access", ())
    (later,) = heads_of(line.indexed(line.embedded([redacted([A, B], 2, access=("*",))])))
    assert (later.access, later.access_version, later.kept) == (("user:ann",), at(7), 1)
    assert receipts_of(line.indexed([granted(("*",), 6), granted(("*",), 7)])) == [("outdated", 6), ("unchanged", 7)]


def test_when_access_comes_before_the_content_then_the_content_inherits_it() -> None:
    line = Line()
    (stub,) = heads_of(line.indexed([granted(("user:ann",), 7)]))
    assert (stub.version, stub.gone, stub.chunks) == (NO_VERSION, True, ())
    (head,) = heads_of(line.indexed(line.embedded([redacted([A], 1)])))
    assert (head.access, head.gone) == (("user:ann",), False)
    assert {found.access for found in line.store.walk()} == {("user:ann",)}


def test_when_a_deleted_document_comes_back_then_its_access_list_still_holds() -> None:
    line = Line()
    line.take(redacted([A], 1), granted(("user:ann",), 7), deleted(2))
    (head,) = heads_of(line.indexed(line.embedded([redacted([A], 3)])))
    assert (head.access, head.access_version) == (("user:ann",), at(7))


def test_when_the_content_itself_names_others_then_the_objects_say_so() -> None:
    """Their hint would lie if they were kept; a change of both at once is rare enough to write them again."""
    line = Line()
    line.take(redacted([A], 1, access=("group:a",)))
    (head,) = heads_of(line.indexed(line.embedded([redacted([A], 2, access=("group:b",))])))
    assert (head.kept, head.added, head.access) == (0, 1, ("group:b",))


def test_when_a_chunk_is_missing_then_the_version_is_refused_and_the_old_one_stays() -> None:
    line = Line()
    line.take(redacted([A], 1))
    events = line.embedded([redacted([A, B], 2)])
    outputs = line.indexed(without(events, B))
    assert heads_of(outputs) == []
    assert "1 are missing" in str(line.rejects[0])
    assert line.texts() == [A.strip()]


def test_when_a_version_is_refused_then_the_next_one_in_the_batch_follows_from_the_one_before_it() -> None:
    line = Line()
    line.take(redacted([A], 1))
    second, third = line.embedded([redacted([A, B, D], 2)]), line.embedded([redacted([B, C], 3)])
    (head,) = heads_of(line.indexed([*without(second, D), *third]))
    assert (head.version, head.supersedes, head.kept, head.added) == (at(3), at(1), 0, 2)
    assert line.texts() == [B.strip(), C.strip()]
    assert len(line.rejects) == 1


def test_when_a_missing_chunk_comes_with_a_later_version_then_both_versions_are_whole() -> None:
    """A name is a hash of what it names, so the one text is as good as the other."""
    line = Line()
    second, third = line.embedded([redacted([A, C], 2)]), line.embedded([redacted([B, C], 3)])
    heads = heads_of(line.indexed([*without(second, C), *third]))
    assert [head.version for head in heads] == [at(2), at(3)]
    assert heads[0].chunks[1].object_id == heads[1].chunks[1].object_id


def test_when_the_index_was_lost_then_it_stops_and_a_replay_brings_it_back() -> None:
    line = Line()
    versions = [redacted([A, B], 1)]
    line.take(*versions)
    line.store = MemoryIndex()
    *_, manifest = line.embedded([redacted([A, B], 2)])
    with pytest.raises(Stop, match=r"it was lost; replay rag\.document\.redacted\.v1"):
        line.indexed([manifest])
    assert [receipt.outcome for receipt in line.take(*versions)] == ["unchanged"]
    assert line.texts() == [A.strip(), B.strip()]


@pytest.mark.parametrize("error", [IndexUnavailableError("down"), ValueError("bug")])
def test_when_the_index_fails_then_nothing_is_decided(error: Exception) -> None:
    """Never half a batch: its second half would be planned without the heads of the first."""
    line = Line(store=FailingIndex(error))
    with pytest.raises(Stop, match=str(error)):
        line.indexed(line.embedded([redacted([A])]))


@pytest.mark.parametrize(
    ("vector", "reason"),
    [(b"", "got 0 bytes"), (b"\0" * 64, "length 1, got 0.0"), (b"\xff" * 64, "length 1, got nan")],
)
def test_when_a_vector_is_no_vector_then_its_chunk_and_its_version_are_refused(vector: bytes, reason: str) -> None:
    line = Line()
    events: list[Indexable] = [
        msgspec.structs.replace(event, vector=vector) if isinstance(event, ChunkEmbedded) else event
        for event in line.embedded([redacted([A], 1, "bad")])
    ]
    outputs = line.indexed([*events, *line.embedded([redacted([A], 1, "good")])])
    assert [head.document for head in heads_of(outputs)] == ["good"]
    assert reason in str(line.rejects[0])
    assert len(line.rejects) == 2


def test_when_the_view_is_closed_then_nothing_is_planned() -> None:
    line = Line(heads=MemoryHeads(GENERATION))
    with pytest.raises(HeadsClosedError):
        line.indexed(line.embedded([redacted([A])]))


def test_when_there_is_no_version_then_it_is_refused() -> None:
    change = AccessChanged(tenant=TENANT, document=DOCUMENT, access=())
    (output,) = index([change], MemoryIndex(), opened(), GENERATION)
    assert isinstance(output, Reject)


def head(version: int, access: int) -> DocumentHead:
    return DocumentHead(tenant="t", document="d", version=at(version), access_version=at(access), generation="g")


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        ((2, 1), (1, 1), True),
        ((1, 2), (1, 1), True),
        ((2, 2), (1, 1), True),
        ((1, 1), (1, 1), False),
        ((1, 1), (2, 1), False),
        ((2, 0), (1, 1), False),
        ((0, 2), (1, 1), False),
    ],
)
def test_when_heads_are_compared_then_newer_is_higher_in_one_and_lower_in_none(
    new: tuple[int, int], old: tuple[int, int], expected: bool
) -> None:
    assert newer(head(*new), head(*old)) is expected
    assert newer(head(*new), None)
