"""Erase: one whole receipt or none, the same after a crash, and never at the cost of a newer life."""

from __future__ import annotations

import pytest

from adapters.erasables import IndexObjects
from adapters.errors import IndexUnavailableError
from processors.contract import Reject, Stop
from processors.ingest.erase import LETTERS, erase
from processors.ingest.erasing import LogForgets, Standing
from schemas.documents import DocumentErased, ErasurePlanned, ErasureRequested
from schemas.envelope import Event
from tests.processors.ingest.builders import DOCUMENT, TENANT, Line, at, redacted
from tests.processors.ingest.erasures import FORGOTTEN, Lived, Log, Shelf, head, lives, plan, view


def erased(given: ErasurePlanned, log: Log, heads: object, *shelves: object) -> Event:
    (out,) = erase([given], shelves, log, lives(heads))  # type: ignore[arg-type]
    assert not isinstance(out, Reject)
    (event,) = out
    return event


def receipt(given: ErasurePlanned, log: Log, heads: object, *shelves: object) -> DocumentErased:
    event = erased(given, log, heads, *shelves)
    assert isinstance(event, DocumentErased)
    return event


def counts(told: DocumentErased) -> dict[str, tuple[int, int]]:
    return {store.store: (store.removed, store.left) for store in told.stores}


GONE = view(head(at(6), gone=True))


def test_when_the_delete_is_a_head_then_every_store_is_emptied_and_read_again() -> None:
    index, claims = Shelf("index", {"a", "garbage"}), Shelf("claims", {"body"})
    told = receipt(plan(at(5), index=("a",), claims=("body",)), Log(), GONE, index, claims)
    assert counts(told) == {"index": (2, 0), "claims": (1, 0)}
    assert (told.request, told.reason, told.forgotten_by, told.note) == ("wish", "asked to", FORGOTTEN, "")
    assert not index.things and not claims.things


def test_when_a_store_keeps_something_then_the_receipt_says_what_was_read_back() -> None:
    index = Shelf("index", {"a", "b"}, sticky=frozenset({"b"}))
    assert counts(receipt(plan(at(5), index=("a", "b")), Log(), GONE, index)) == {"index": (1, 1)}


@pytest.mark.parametrize("heads", [view(), view(head(at(5), chunks=("a",)))], ids=["no head", "the old head"])
def test_when_the_delete_is_on_its_way_then_it_waits_and_removes_nothing(heads: object) -> None:
    index = Shelf("index", {"a"})
    with pytest.raises(Stop):
        erased(plan(at(5), index=("a",)), Log(), heads, index)
    assert index.things == {"a"}


def test_when_one_generation_has_not_heard_of_the_delete_then_it_waits_and_removes_nothing() -> None:
    index = Shelf("index g1", {"a"})
    for late in (view(), view(head(at(5), chunks=("b",)))):
        with pytest.raises(Stop):
            erased(plan(at(5), index=("a",)), Log(), Lived((GONE, late)), index)
    assert index.things == {"a"}


def test_when_a_new_life_began_in_each_generation_then_the_objects_of_all_of_them_stay() -> None:
    one, other = Shelf("index g1", {"a", "new"}), Shelf("index g2", {"b", "newer"})
    alive = Lived((view(head(at(8), chunks=("new",))), view(head(at(8), chunks=("newer",)))))
    receipt(plan(at(5)), Log(Standing(at(8), True, at(6))), alive, one, other)
    assert (one.things, other.things) == ({"new"}, {"newer"})


def test_when_a_generation_is_out_of_reach_then_the_receipt_says_so() -> None:
    told = receipt(plan(at(5), index=("a",)), Log(), Lived((GONE,), unreached=("g7",)), Shelf("index", {"a"}))
    assert told.note == "not open where it was erased, each forgets it by its own worker: index generation g7"


def test_when_a_store_is_away_then_there_is_no_half_receipt() -> None:
    index, claims = Shelf("index", {"a"}), Shelf("claims", {"body"}, away=True)
    given = plan(at(5), index=("a",), claims=("body",))
    with pytest.raises(IndexUnavailableError):
        erased(given, Log(), GONE, index, claims)
    claims.away = False
    assert counts(receipt(given, Log(), GONE, index, claims)) == {"index": (1, 0), "claims": (1, 0)}


def test_when_it_is_done_twice_then_the_receipt_is_the_same() -> None:
    index = Shelf("index", {"a", "b"})
    given = plan(at(5), index=("a", "b"))
    assert receipt(given, Log(), GONE, index) == receipt(given, Log(), GONE, index)


def test_when_nothing_was_there_then_the_receipt_has_zeros_and_says_so() -> None:
    told = receipt(plan(at(5), deleted=False, index=()), Log(), GONE, Shelf("index"))
    assert counts(told) == {"index": (0, 0)}
    assert "nothing of it was there" in told.note


def test_when_a_newer_life_began_then_what_its_head_lists_stays() -> None:
    index = Shelf("index", {"old", "new"})
    heads = view(head(at(8), chunks=("new",)))
    told = receipt(plan(at(5), index=("old",)), Log(Standing(at(8), True, at(6))), heads, index)
    assert counts(told) == {"index": (1, 0)}
    assert index.things == {"new"}
    assert "new life" in told.note


def test_when_a_change_outran_the_delete_then_the_request_is_made_again() -> None:
    heads = view(head(at(9, source=900), chunks=("a",)))
    log = Log(Standing(at(9, source=900), False, at(6, source=800)))
    event = erased(plan(at(5, source=800), index=("a",)), log, heads, Shelf("index", {"a"}))
    assert isinstance(event, ErasureRequested)
    assert (event.document, event.request, event.reason) == (DOCUMENT, "wish", "asked to")


def test_when_the_delete_still_follows_a_newer_change_then_it_waits() -> None:
    log = Log(Standing(at(7), False, at(7)))
    with pytest.raises(Stop):
        erased(plan(at(5)), log, view(head(at(6))), Shelf("index"))


def test_when_dead_letters_are_left_then_they_count_for_when_logs_forget() -> None:
    letters = Shelf(LETTERS, {"x@1"}, sticky=frozenset({"x@1"}))
    told = receipt(plan(at(5)), Log(), GONE, letters)
    assert counts(told) == {LETTERS: (0, 1)}
    assert told.forgotten_by == 90
    assert LETTERS in told.note


def test_when_a_topic_gives_no_bound_then_none_is_promised() -> None:
    log = Log(own=[LogForgets("a", FORGOTTEN), LogForgets("b", None, "max.compaction.lag.ms is not set")])
    told = receipt(plan(at(5)), log, GONE)
    assert told.forgotten_by == 0
    assert "b (max.compaction.lag.ms is not set)" in told.note


def test_when_an_index_is_emptied_then_objects_of_no_head_go_and_other_documents_stay() -> None:
    line = Line()
    line.take(redacted(["One paragraph."]), redacted(["Another."], document="other.md"))
    store = IndexObjects("g1", line.store)
    held = store.held(TENANT, DOCUMENT, None)
    assert len(held) == 1
    assert store.held(TENANT, DOCUMENT, line.heads.get(TENANT, DOCUMENT)) == frozenset()
    store.erase(TENANT, DOCUMENT, held)
    assert store.held(TENANT, DOCUMENT, None) == frozenset()
    assert [found.document for found in line.store.walk(TENANT)] == ["other.md"]
