"""keep: a note becomes its owner's document, a forgotten one a delete, and no name comes back."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from processors.contract import Reject
from processors.ingest.keep import keep
from processors.ingest.memories import (
    MemoryLimits,
    memory_in,
    owner_in,
    owner_of,
    owner_of_all,
    reader_of,
    root_of,
    title_of,
)
from schemas.documents import DocumentChanged, DocumentDeleted, ErasureRequested
from schemas.envelope import Event, Micros, Version
from schemas.memories import MemoryForgotten, MemoryKept
from streams.memory_view import MemoryView

ADA = owner_of("acme", "ada")
LIMITS = MemoryLimits(chars=40, per_user=2)


def kept(memory: str = "m1", text: str = "I work in Berlin.", offset: int = 7, owner: str = ADA) -> MemoryKept:
    version = Version(source=0, offset=offset)
    return MemoryKept(tenant="acme", owner=owner, memory=memory, text=text, version=version, occurred_at=Micros(offset))


def forgotten(memory: str = "m1", offset: int = 9, erase: bool = False) -> MemoryForgotten:
    version = Version(source=0, offset=offset)
    return MemoryForgotten(
        tenant="acme", event_id="wish", owner=ADA, memory=memory, erase=erase, version=version
    )  # fmt: skip


def out(*events: MemoryKept | MemoryForgotten, view: MemoryView | None = None) -> list[Event]:
    """What the last of some events becomes."""
    view = view or MemoryView(LIMITS.per_user)
    made: Iterable[Event] = ()
    for event in events:
        made = list(keep(event, view, LIMITS))
    return list(made)


def test_when_a_note_is_kept_then_it_is_a_document_that_its_owner_alone_may_read() -> None:
    (changed,) = out(kept())
    assert isinstance(changed, DocumentChanged)
    assert (changed.tenant, changed.document) == ("acme", f"memory/{ADA}/m1")
    assert (changed.body, changed.media_type, changed.access) == (b"I work in Berlin.", "text/plain", (reader_of(ADA),))
    assert changed.title == "I work in Berlin." and changed.properties == {"corpus": "memory"}
    assert changed.version == Version(source=8, offset=0)
    assert "ada" not in f"{changed.document} {changed.access}"


def test_when_it_is_replayed_then_the_version_is_the_same() -> None:
    assert out(kept(), kept()) == out(kept())


def test_when_a_note_is_forgotten_then_it_is_deleted_by_a_later_version_and_does_not_come_back() -> None:
    view = MemoryView(2)
    (changed,), (deleted,) = out(kept(), view=view), out(forgotten(), view=view)
    assert isinstance(deleted, DocumentDeleted) and isinstance(changed, DocumentChanged)
    assert deleted.version is not None and changed.version is not None and deleted.version > changed.version
    assert out(kept(offset=11), view=view) == []


def test_when_a_note_is_to_be_erased_then_that_is_asked_for_beside_the_delete() -> None:
    deleted, asked = out(forgotten(erase=True))
    assert isinstance(deleted, DocumentDeleted) and isinstance(asked, ErasureRequested)
    assert (asked.document, asked.request) == (deleted.document, "wish")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x" * 41, "wanted a note of at most 40 characters, got 41"),
        ("a\x07b", "control character '\\x07'"),
        ("a\ud800b", "control character '\\ud800'"),
        (" \n\t", "wanted a note with words, got none"),
        ("?!", "wanted a note with words, got none"),
    ],
    ids=["long", "control", "surrogate", "blank", "no words"],
)
def test_when_a_text_can_t_be_kept_then_it_is_forgotten_with_the_reason(text: str, reason: str) -> None:
    (given_up,) = out(kept(text=text))
    assert isinstance(given_up, MemoryForgotten) and reason in given_up.reason
    assert (given_up.owner, given_up.memory) == (ADA, "m1")


def test_when_a_user_has_enough_notes_then_a_further_one_is_forgotten_and_one_said_anew_is_not() -> None:
    first, second, third = kept("m1", offset=1), kept("m2", offset=2), kept("m3", offset=3)
    (over,) = out(first, second, third)
    assert isinstance(over, MemoryForgotten) and over.memory == "m3" and "beyond the 2 notes" in over.reason
    (anew,) = out(first, second, kept("m1", "I work in Lisbon.", offset=4))
    assert isinstance(anew, DocumentChanged) and anew.body == b"I work in Lisbon."
    view = MemoryView(2)
    out(first, second, forgotten("m1"), view=view)
    assert isinstance(out(third, view=view)[0], DocumentChanged)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (kept(owner="ada"), "wanted an owner of 32 hexadecimal digits, got 'ada'"),
        (kept(owner=f"{ADA}/x"), "wanted an owner of 32 hexadecimal digits"),
        (kept(memory=""), "wanted a printable name of 1 to 200 characters without '/' and '|', got ''"),
        (kept(memory="a/b"), "got 'a/b'"),
        (kept(memory="a|b"), "got 'a|b'"),
        (kept(memory="a\nb"), "wanted a printable name"),
        (kept(memory="x" * 201), "wanted a printable name"),
        (MemoryKept(tenant="acme", owner=ADA, memory="m", text="t"), "wanted a version of note 'm', got none"),
    ],
)
def test_when_an_event_names_no_note_then_it_is_rejected(event: MemoryKept, reason: str) -> None:
    with pytest.raises(Reject, match="wanted") as rejected:
        out(event)
    assert reason in str(rejected.value)


@pytest.mark.parametrize(
    ("document", "owner", "memory", "everything"),
    [
        (f"memory/{ADA}/m1", ADA, "m1", ""),
        (f"memory/{ADA}", "", "", ADA),
        (f"memory/{ADA}/", "", "", ""),
        ("memory/notes.md", "", "", ""),
        (f"x/memory/{ADA}/m1", "", "", ""),
        (f"memory/{ADA.upper()}x/m1", "", "", ""),
    ],
)
def test_when_a_document_is_named_then_the_name_alone_says_whose_note_it_is(
    document: str, owner: str, memory: str, everything: str
) -> None:
    assert (owner_in(document), memory_in(document), owner_of_all(document)) == (owner, memory, everything)


def test_when_names_of_users_and_groups_look_alike_then_their_owners_differ() -> None:
    owners = [
        owner_of("acme", "ada"),
        owner_of("globex", "ada"),
        owner_of("acme", "bob"),
        owner_of("acme", "", ("ada",)),
        owner_of("acme", "", ("ada", "bob")),
        owner_of("acme", ""),
    ]
    assert len(set(owners)) == len(owners)
    assert owner_of("acme", "ada", ("group:x",)) == owners[0]
    assert root_of(owners[0]) == f"memory/{owners[0]}"


def test_when_a_note_has_a_title_then_it_is_what_the_note_begins_with() -> None:
    assert title_of("  First line \nsecond") == "First line"
    assert len(title_of("word " * 100)) <= 120
