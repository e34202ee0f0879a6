"""Survey: the inventory and the delete go out together, and the delete is newer than all there was."""

from __future__ import annotations

import pytest

from processors.contract import Reject
from processors.ingest.erasing import Standing
from processors.ingest.heads import NO_VERSION
from processors.ingest.survey import survey
from schemas.documents import DocumentDeleted, ErasurePlanned
from schemas.envelope import Event, Version
from tests.processors.ingest.builders import DOCUMENT, TENANT, at
from tests.processors.ingest.erasures import Lived, Log, Shelf, head, lives, request, view


def surveyed(log: Log, *shelves: Shelf, heads: object = None) -> list[Event]:
    (out,) = survey([request()], shelves, log, lives(heads or view()))
    assert not isinstance(out, Reject)
    return out


def test_when_only_another_generation_knows_it_then_it_is_deleted_all_the_same() -> None:
    known = Lived((view(), view(head(at(4), chunks=("a",)))))
    delete, plan = surveyed(Log(), heads=known)
    assert isinstance(delete, DocumentDeleted) and isinstance(plan, ErasurePlanned)
    assert (plan.deleted, plan.after) == (True, at(4))


def test_when_a_document_is_known_then_its_delete_and_its_inventory_go_out_together() -> None:
    shelf = Shelf("index", {"b", "a"})
    delete, plan = surveyed(Log(Standing(at(5), True)), shelf, heads=view(head(at(4), chunks=("a", "b"))))
    assert isinstance(delete, DocumentDeleted)
    assert (delete.tenant, delete.document, delete.version) == (TENANT, DOCUMENT, None)
    assert isinstance(plan, ErasurePlanned)
    assert (plan.request, plan.deleted, plan.after) == ("wish", True, at(5))
    assert [(store.store, store.things) for store in plan.stores] == [("index", ("a", "b"))]
    assert shelf.things == {"a", "b"}, "nothing is removed before the plan stands"


@pytest.mark.parametrize(
    ("standing", "current", "expected"),
    [
        (Standing(at(3, source=900), True), at(2, source=800), at(4, source=900)),
        (Standing(at(1, source=800), True), at(7, source=900), at(8, source=900)),
    ],
)
def test_when_versions_are_positions_of_a_source_then_the_delete_is_behind_the_newest(
    standing: Standing, current: Version, expected: Version
) -> None:
    delete, _ = surveyed(Log(standing), heads=view(head(current)))
    assert isinstance(delete, DocumentDeleted)
    assert delete.version == expected


@pytest.mark.parametrize(
    ("standing", "heads"),
    [(Standing(), view()), (Standing(at(5), False, at(5)), view(head(at(5), gone=True)))],
    ids=["unknown", "gone"],
)
def test_when_there_is_no_document_then_nothing_is_deleted_and_the_plan_says_so(
    standing: Standing, heads: object
) -> None:
    (plan,) = surveyed(Log(standing), Shelf("index"), heads=heads)
    assert isinstance(plan, ErasurePlanned)
    assert not plan.deleted
    assert plan.after in (NO_VERSION, at(5))


@pytest.mark.parametrize(
    ("standing", "heads"),
    [
        (Standing(at(5), False, at(5)), view(head(at(4), gone=True))),
        (Standing(at(5), False, at(5)), view()),
        (Standing(at(5), False, at(5)), Lived((view(head(at(5), gone=True)), view(head(at(4), gone=True))))),
    ],
    ids=["behind", "no head yet", "another generation is behind"],
)
def test_when_a_delete_is_in_the_log_and_no_head_yet_then_the_erasure_waits_behind_its_own(
    standing: Standing, heads: object
) -> None:
    delete, plan = surveyed(Log(standing), heads=heads)
    assert isinstance(delete, DocumentDeleted) and isinstance(plan, ErasurePlanned)
    assert (plan.deleted, plan.after) == (True, at(5))
