"""settle: the view first, then the removal, then the receipt; as often as it likes."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from adapters.errors import HeadsClosedError
from adapters.heads_view import MemoryHeads
from adapters.memory import MemoryIndex
from processors.ingest.index import index
from processors.ingest.settle import settle
from schemas.documents import DocumentHead, DocumentIndexed
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

A, B, C = "Apples are red. " * 30, "Bees are loud. " * 30, "Cats are soft. " * 30


def held(line: Line) -> set[str]:
    return {found.chunk.text for found in line.store.walk(TENANT)}


def heads_of(line: Line, *changes: object) -> list[DocumentHead]:
    """The heads of some versions, committed, and taken by nobody yet."""
    events = [event for change in changes for event in line.embedded([change])]  # type: ignore[list-item]
    outputs = line.all_of(index(events, line.store, line.heads, GENERATION))
    return [event for event in outputs if isinstance(event, DocumentHead)]


def test_when_a_version_settles_then_what_it_superseded_is_gone_and_the_receipt_counts_it() -> None:
    line = Line()
    line.take(redacted([A, B], 1))
    (receipt,) = line.take(redacted([A, C], 2))
    assert held(line) == {A.strip(), C.strip()}
    assert (receipt.outcome, receipt.version, receipt.generation) == ("indexed", at(2), GENERATION)
    assert (receipt.kept, receipt.added, receipt.removed) == (1, 1, 1)


def test_when_a_document_is_deleted_then_the_index_holds_nothing_of_it() -> None:
    line = Line()
    line.take(redacted([A, B], 1))
    (receipt,) = line.take(deleted(2))
    assert held(line) == set()
    assert (receipt.outcome, receipt.removed) == ("deleted", 2)


def test_when_heads_settle_again_then_nothing_changes() -> None:
    line = Line()
    heads = heads_of(line, redacted([A, B], 1), redacted([B, C], 2), redacted([A], 3))
    first = line.settled(heads)
    before = held(line)
    for repeat in ([heads[0]], heads[:2], heads):
        assert line.settled(repeat) == first[: len(repeat)]
    assert held(line) == before == {A.strip()}


def test_when_an_older_head_settles_late_then_what_the_newest_lists_stays() -> None:
    """The view's head decides, not the event: removals of an old head may name nothing that is listed now."""
    line = Line()
    first, second = heads_of(line, redacted([A, B], 1), redacted([A], 2))
    line.settled([second])
    line.settled([first])
    assert line.heads.get(TENANT, DOCUMENT) == second
    assert line.texts() == [A.strip()]


def test_when_the_view_has_not_caught_up_then_nothing_is_removed() -> None:
    line = Line()
    line.take(redacted([A], 1))
    (head,) = heads_of(line, redacted([B], 2))
    line.heads.close()
    with pytest.raises(HeadsClosedError):
        line.settled([head])
    assert held(line) == {A.strip(), B.strip()}


class WatchedIndex(MemoryIndex):
    """The index in memory; notes whose hints were patched, and what the view held when something was removed."""

    def __init__(self, heads: MemoryHeads) -> None:
        super().__init__()
        self._heads = heads
        self.patched: list[tuple[str, ...]] = []
        self.view_at_removal: list[int] = []

    def set_access(self, tenant: str, object_ids: Iterable[str], access: tuple[str, ...]) -> None:
        self.patched.append(access)
        super().set_access(tenant, object_ids, access)

    def remove(self, tenant: str, object_ids: Iterable[str]) -> int:
        now = self._heads.get(tenant, DOCUMENT)
        self.view_at_removal.append(now.version.offset if now else -1)
        return super().remove(tenant, object_ids)


def test_when_something_is_removed_then_the_view_holds_the_new_head_already() -> None:
    view = opened()
    store = WatchedIndex(view)
    line = Line(store=store, heads=view)
    line.settled(heads_of(line, redacted([A], 1), redacted([B], 2)))
    assert store.view_at_removal == [2]


def test_when_access_changed_then_the_hint_on_the_objects_follows() -> None:
    line = Line()
    line.take(redacted([A, B], 1))
    vectors = {found.object_id: found.vector for found in line.store.walk()}
    (receipt,) = line.take(granted(("user:ann",), 5))
    assert {found.access for found in line.store.walk()} == {("user:ann",)}
    assert {found.object_id: found.vector for found in line.store.walk()} == vectors
    assert (receipt.outcome, receipt.version, receipt.kept) == ("access", at(5), 2)


def test_when_an_old_access_change_settles_again_then_the_hint_is_that_of_now() -> None:
    line = Line()
    line.take(redacted([A], 1))
    first = line.indexed([granted(("user:ann",), 5)])
    line.take(granted(("user:bob",), 6))
    line.settled(first)
    assert {found.access for found in line.store.walk()} == {("user:bob",)}


def test_when_access_changed_while_chunks_were_on_their_way_then_their_hint_is_mended() -> None:
    line = Line()
    line.take(redacted([A], 1), granted(("user:ann",), 5))
    *chunks, manifest = line.embedded([redacted([A, B], 2)])
    line.indexed(chunks)
    line.take(granted(("user:bob",), 6))
    line.settled(line.indexed([manifest]))
    assert {found.access for found in line.store.walk()} == {("user:bob",)}


def test_when_a_document_without_its_own_access_list_changes_then_no_hint_is_patched() -> None:
    view = opened()
    store = WatchedIndex(view)
    line = Line(store=store, heads=view)
    line.take(redacted([A], 1), redacted([A, B], 2), deleted(3))
    assert store.patched == []


def test_when_a_head_is_of_another_generation_then_it_is_none_of_ours() -> None:
    line = Line()
    line.take(redacted([A], 1))
    (head,) = heads_of(line, redacted([B], 2))
    outputs = settle([head], line.store, opened("g2"))
    assert outputs == [[]]
    assert held(line) == {A.strip(), B.strip()}


def test_when_documents_settle_together_then_each_has_its_receipt() -> None:
    line = Line()
    receipts = line.settled(heads_of(line, redacted([A], 1, "a"), redacted([B], 2, "b"), redacted([C], 3, "a")))
    assert [(receipt.document, receipt.version.offset) for receipt in receipts] == [("a", 1), ("b", 2), ("a", 3)]
    assert all(isinstance(receipt, DocumentIndexed) for receipt in receipts)
    assert held(line) == {B.strip(), C.strip()}
