"""What every view of document heads must do: the adapters of this suite are interchangeable."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

import msgspec
import pytest

from adapters.errors import HeadsClosedError
from adapters.heads_view import MemoryHeads
from adapters.host import SystemIds
from adapters.redis_heads import RedisHeads
from processors.ingest.heads import NO_ACCESS_VERSION, newer
from processors.ports import FollowedHeads, Stretch
from schemas.documents import DocumentHead, HeadChunk
from schemas.envelope import Version

GENERATION = "g1"


class View(FollowedHeads, Protocol):
    """A view with the doors that its follower uses."""

    def open(self) -> None: ...

    def close(self) -> None: ...

    def forget(self) -> None: ...


Views = Callable[[], View]
"""Makes a closed view; those of one test that are made of Redis share it, as processes do."""


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.live)])
def views(request: pytest.FixtureRequest) -> Views:
    if request.param == "memory":
        return lambda: MemoryHeads(GENERATION)
    options = request.getfixturevalue("redis_options")
    return lambda: RedisHeads(options, GENERATION, SystemIds())


@pytest.fixture
def closed(views: Views) -> View:
    return views()


@pytest.fixture
def view(closed: View) -> View:
    closed.open()
    return closed


def head(
    version: int = 1,
    access_version: int | None = None,
    *,
    document: str = "d",
    tenant: str = "acme",
    generation: str = GENERATION,
    gone: bool = False,
) -> DocumentHead:
    chunks = () if gone else (HeadChunk(name=f"c{version}", object_id=f"o{version}"),)
    return DocumentHead(
        tenant=tenant,
        document=document,
        version=Version(source=0, offset=version),
        access_version=NO_ACCESS_VERSION if access_version is None else Version(source=0, offset=access_version),
        generation=generation,
        chunks=chunks,
        access=("*",),
        gone=gone,
    )


def test_when_a_document_was_never_heard_of_then_there_is_no_head(view: View) -> None:
    assert view.get("acme", "d") is None
    assert dict(view.get_many("acme", ["d", "e"])) == {}
    assert not view.knows("acme")


def test_when_a_head_is_folded_then_the_view_gives_it_back_whole(view: View) -> None:
    assert view.fold(head())
    assert view.get("acme", "d") == head()
    assert view.knows("acme")


def test_when_several_are_asked_for_then_those_that_are_known_come(view: View) -> None:
    for name in ("a", "b", "c"):
        view.fold(head(document=name))
    assert dict(view.get_many("acme", ["a", "c", "x", "a"])) == {"a": head(document="a"), "c": head(document="c")}


def test_when_tenants_have_documents_of_one_name_then_they_stay_apart(view: View) -> None:
    view.fold(head(1, tenant="acme"))
    view.fold(head(2, tenant="globex"))
    assert view.get("acme", "d") == head(1, tenant="acme")
    assert view.get("globex", "d") == head(2, tenant="globex")
    assert not view.knows("initech")


HEADS = [head(version, access) for version in (1, 2) for access in (None, 1, 2)]


@pytest.mark.parametrize("first", HEADS)
@pytest.mark.parametrize("second", HEADS)
def test_when_two_heads_are_folded_then_the_rule_of_newer_decides(
    view: View, first: DocumentHead, second: DocumentHead
) -> None:
    view.fold(first)
    assert view.fold(second) == newer(second, first)
    assert view.get("acme", "d") == (second if newer(second, first) else first)


def test_when_a_document_is_gone_then_its_head_stays_and_nothing_older_replaces_it(view: View) -> None:
    view.fold(head(1))
    view.fold(head(3, gone=True))
    assert not view.fold(head(2))
    found = view.get("acme", "d")
    assert found is not None and found.gone
    assert view.knows("acme")


def test_when_a_head_is_of_another_generation_then_it_is_passed_over(view: View) -> None:
    assert not view.fold(head(generation="g2"))
    assert view.get("acme", "d") is None
    assert not view.knows("acme")


def test_when_nobody_has_opened_the_view_then_it_takes_heads_and_answers_nothing(closed: View) -> None:
    assert closed.fold(head())
    for ask in (
        lambda: closed.get("acme", "d"),
        lambda: closed.get_many("acme", ["d"]),
        lambda: closed.knows("acme"),
    ):
        with pytest.raises(HeadsClosedError, match="has not caught up"):
            ask()
    closed.open()
    assert closed.get("acme", "d") == head()


def test_when_the_view_is_closed_then_it_keeps_what_it_has_for_when_it_opens(view: View) -> None:
    view.fold(head(1))
    view.close()
    with pytest.raises(HeadsClosedError):
        view.get("acme", "d")
    assert not view.fold(head(1))
    assert view.fold(head(2))
    view.open()
    assert view.get("acme", "d") == head(2)


def test_when_the_view_is_forgotten_then_it_is_closed_and_empty(view: View) -> None:
    view.fold(head(2))
    view.forget()
    with pytest.raises(HeadsClosedError):
        view.get("acme", "d")
    assert view.fold(head(1))
    view.open()
    assert view.get("acme", "d") == head(1)


def test_when_many_fold_at_once_then_the_newest_stands_at_the_end(view: View) -> None:
    versions = list(range(1, 201))

    def fold(start: int) -> None:
        for version in versions[start::4]:
            view.fold(head(version))
            found = view.get("acme", "d")
            assert found is not None and found.version.offset >= version

    threads = [threading.Thread(target=fold, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert view.get("acme", "d") == head(200)


def test_when_ids_hold_any_character_then_they_are_kept_apart(view: View) -> None:
    names = ["a|b", "a", "b", "a:b", "", " ", "ü/ö", "a\nb"]
    for number, name in enumerate(names):
        view.fold(msgspec.structs.replace(head(number + 1), document=name))
    assert {name: found.version.offset for name, found in view.get_many("acme", names).items()} == {
        name: number + 1 for number, name in enumerate(names)
    }


def stretch(start: int, end: int, partition: int = 0) -> Stretch:
    return Stretch(partition, start, end)


def test_when_a_stretch_of_the_log_is_applied_then_the_offset_moves_with_its_heads(closed: View) -> None:
    assert dict(closed.applied()) == {}
    assert closed.apply(stretch(0, 3), [head(1), head(2)]) == 3
    assert closed.apply(stretch(0, 1, partition=2), []) == 1
    assert dict(closed.applied()) == {0: 3, 2: 1}
    closed.open()
    assert closed.get("acme", "d") == head(2)


def test_when_something_before_a_stretch_is_missing_then_none_of_it_is_taken(closed: View) -> None:
    closed.apply(stretch(0, 3), [head(1)])
    assert closed.apply(stretch(5, 9), [head(4)]) == 3
    assert dict(closed.applied()) == {0: 3}
    closed.open()
    assert closed.get("acme", "d") == head(1)


def test_when_a_stretch_comes_late_then_it_changes_nothing(view: View) -> None:
    view.apply(stretch(0, 9), [head(1), head(4)])
    assert view.apply(stretch(2, 5), [head(2), head(3, document="e")]) == 9
    assert view.get("acme", "d") == head(4)
    assert dict(view.applied()) == {0: 9}


def test_when_stretches_overlap_then_the_rest_of_the_second_counts(view: View) -> None:
    view.apply(stretch(0, 3), [head(1)])
    assert view.apply(stretch(1, 6), [head(1), head(5)]) == 6
    assert view.get("acme", "d") == head(5)


@pytest.mark.parametrize(
    ("ends", "opens"), [({}, True), ({0: 3}, True), ({0: 2}, True), ({0: 4}, False), ({1: 1}, False)]
)
def test_when_a_view_is_proven_then_it_opens_only_if_it_holds_the_log(
    closed: View, ends: dict[int, int], opens: bool
) -> None:
    mark = closed.mark()
    closed.apply(stretch(0, 3), [head(1)])
    assert (closed.prove(mark, ends), closed.is_open) == (opens, opens)


def test_when_a_view_was_lost_after_the_mark_then_it_can_not_be_proven_by_it(closed: View) -> None:
    mark = closed.mark("log-1")
    closed.apply(stretch(0, 3), [head(1)])
    assert closed.mark("log-1") == mark
    closed.forget()
    closed.apply(stretch(0, 3), [head(1)])
    assert not closed.prove(mark, {0: 3})
    assert not closed.is_open
    assert closed.prove(closed.mark("log-1"), {0: 3})


def test_when_the_log_is_another_one_then_the_view_begins_anew(closed: View) -> None:
    mark = closed.mark("log-1")
    closed.apply(stretch(0, 3), [head(1)])
    assert closed.prove(mark, {0: 3})
    assert closed.mark("log-2") != mark
    assert not closed.is_open
    assert dict(closed.applied()) == {}
    closed.open()
    assert closed.get("acme", "d") is None


def test_when_positions_are_as_large_as_sources_have_them_then_they_are_still_told_apart(view: View) -> None:
    """A position of Postgres has 63 bits, more than the numbers of Lua hold."""
    large = 2**62
    older, later = (msgspec.structs.replace(head(1), version=Version(source=large + more, offset=0)) for more in (0, 1))
    assert view.fold(later)
    assert not view.fold(older)
    assert view.get("acme", "d") == later


def test_when_every_head_is_walked_then_each_comes_once_tenant_by_tenant(view: View) -> None:
    wanted = {(tenant, f"d{n}") for tenant in ("acme", "globex") for n in range(700)}
    view.apply(stretch(0, 1), [head(1, tenant=tenant, document=document) for tenant, document in sorted(wanted)])
    walked = [(found.tenant, found.document) for found in view.walk()]
    assert (len(walked), set(walked)) == (len(wanted), wanted)
    assert {found.tenant for found in view.walk("acme")} == {"acme"}
