"""What every view of document heads must do: the adapters of this suite are interchangeable."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

import msgspec
import pytest

from adapters.errors import HeadsClosedError
from adapters.heads_view import MemoryHeads
from processors.ingest.heads import NO_ACCESS_VERSION, newer
from processors.ports import Heads
from schemas.documents import DocumentHead, HeadChunk
from schemas.envelope import Version

GENERATION = "g1"


class View(Heads, Protocol):
    """A view with the doors that its follower uses."""

    def open(self) -> None: ...

    def close(self) -> None: ...

    def forget(self) -> None: ...


# A view that needs a server belongs here too, with a skip that says what is missing.
VIEWS: dict[str, Callable[[], View]] = {"memory": lambda: MemoryHeads(GENERATION)}


@pytest.fixture(params=sorted(VIEWS))
def closed(request: pytest.FixtureRequest) -> View:
    return VIEWS[request.param]()


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
