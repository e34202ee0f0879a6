"""Drift: equal sides have equal digests in any order; each kind of difference is told by its name, and no other."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from processors.ingest.drift import Finding, Said, Suspects, against_index, against_source, partitions
from processors.ports import IndexObject
from schemas.documents import DocumentHead
from tests.processors.ingest.builders import DOCUMENT, TENANT, Line, at, deleted, granted, redacted

PLACE = (TENANT, DOCUMENT)
OTHER = (TENANT, "other.md")


@pytest.fixture
def line() -> Line:
    made = Line()
    made.take(redacted(["One paragraph.", "And another one."], 3), redacted(["Other."], 4, document="other.md"))
    return made


def said(line: Line) -> dict[tuple[str, str], Said]:
    return {PLACE: Said(at(3), True), OTHER: Said(at(4), True)}


def heads(line: Line) -> dict[tuple[str, str], DocumentHead]:
    return {(head.tenant, head.document): head for head in line.heads.walk()}


def kinds(found: object) -> list[tuple[str, str]]:
    return [(one.kind, one.document) for one in found]  # type: ignore[attr-defined]


def by_name(place: tuple[str, str]) -> int:
    return len(place[1])


def test_when_all_sides_say_the_same_then_nothing_differs_in_any_order(line: Line) -> None:
    objects = list(line.store.walk())
    random.Random(1).shuffle(objects)
    assert partitions(said(line), reversed(list(heads(line).values())), objects, by_name) == (set(), set())
    assert kinds(against_source(said(line), heads(line), ())) == []
    assert kinds(against_index(heads(line), objects)) == []


def test_when_deletes_and_access_lists_are_followed_then_nothing_differs(line: Line) -> None:
    line.take(deleted(7), granted(("group:a",), 9, "other.md"))
    log = {PLACE: Said(at(7), False), OTHER: Said(at(4), True, at(9))}
    assert partitions(log, heads(line).values(), line.store.walk(), by_name) == (set(), set())
    assert kinds(against_source(log, heads(line), ())) == []


@pytest.mark.parametrize(
    ("last", "elsewhere", "kind"),
    [
        (Said(at(8), True), (), "behind"),
        (Said(at(8), False), (), "behind"),
        (Said(at(3), True, at(9)), (), "access"),
        (Said(None, False), (), "unsourced"),
    ],
)
def test_when_a_head_is_not_what_the_log_says_then_only_its_partition_and_kind_are_told(
    line: Line, last: Said, elsewhere: tuple[tuple[str, str], ...], kind: str
) -> None:
    log = said(line) | {PLACE: last}
    assert partitions(log, heads(line).values(), line.store.walk(), by_name) == ({len(DOCUMENT)}, set())
    assert kinds(against_source(log, heads(line), elsewhere)) == [(kind, DOCUMENT)]


@pytest.mark.parametrize(("elsewhere", "kind"), [((), "headless"), ((PLACE,), "generation")])
def test_when_a_document_has_no_head_then_it_is_told_whether_another_generation_has_one(
    line: Line, elsewhere: tuple[tuple[str, str], ...], kind: str
) -> None:
    known = {OTHER: heads(line)[OTHER]}
    assert kinds(against_source(said(line), known, elsewhere)) == [(kind, DOCUMENT)]


def damaged(objects: list[IndexObject], kind: str) -> list[IndexObject]:
    first = next(found for found in objects if found.document == DOCUMENT)
    rest = [found for found in objects if found is not first]
    changed = {
        "lost": [],
        "garbage": [first, replace(first, object_id="left behind")],
        "hint": [replace(first, access=("group:x",))],
    }
    return [*rest, *changed[kind]]


@pytest.mark.parametrize("kind", ["lost", "garbage", "hint"])
def test_when_the_index_is_not_what_the_heads_say_then_the_objects_are_named(line: Line, kind: str) -> None:
    objects = damaged(list(line.store.walk()), kind)
    assert partitions(said(line), heads(line).values(), objects, by_name) == (set(), {len(DOCUMENT)})
    (found,) = against_index(heads(line), objects)
    assert (found.kind, found.document, len(found.evidence)) == (kind, DOCUMENT, 1)


def test_when_a_head_is_gone_then_what_is_left_of_it_is_garbage(line: Line) -> None:
    left = list(line.store.walk())
    line.take(deleted(7))
    (found,) = against_index(heads(line), left)
    assert (found.kind, len(found.evidence)) == ("garbage", 1)


def test_when_a_difference_passes_or_changes_then_it_never_was_drift() -> None:
    suspects = Suspects(10.0)
    finding = Finding("behind", TENANT, DOCUMENT, ("1", "0"))
    assert suspects.confirmed([finding], 0.0) == []
    assert suspects.confirmed([finding], 9.0) == []
    assert suspects.confirmed([finding], 10.0) == [finding]
    moved = replace(finding, evidence=("2", "0"))
    assert suspects.confirmed([moved], 11.0) == []
    assert suspects.confirmed([], 12.0) == []
    assert suspects.confirmed([moved], 30.0) == []
