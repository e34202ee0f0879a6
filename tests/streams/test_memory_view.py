"""The view of notes: the same whatever the order in which they are heard of."""

from __future__ import annotations

from itertools import permutations
from random import Random

from processors.ingest.memories import owner_of
from schemas.envelope import Micros
from schemas.memories import MemoryForgotten, MemoryKept
from streams.memory_view import MemoryView
from topics.ingest import MEMORY_KEPT

ADA, BOB = owner_of("acme", "ada"), owner_of("acme", "bob")


def kept(memory: str, text: str = "A note.", at: int = 1, owner: str = ADA, tenant: str = "acme") -> MemoryKept:
    return MemoryKept(tenant=tenant, owner=owner, memory=memory, text=text, occurred_at=Micros(at))


def gone(memory: str) -> MemoryForgotten:
    return MemoryForgotten(tenant="acme", owner=ADA, memory=memory)


def texts(view: MemoryView, tenant: str = "acme", owner: str = ADA) -> list[str]:
    return [note.text for note in view.notes(tenant, owner)]


def test_when_events_come_in_any_order_then_the_notes_are_the_same() -> None:
    events = [kept("a", "old", 1), kept("a", "new", 2), kept("b", "lost", 3), gone("b"), kept("b", "late", 4)]
    for order in permutations(events):
        view = MemoryView(10)
        for event in order:
            view.fold(event)
        assert texts(view) == ["new"], [type(event).__name__ for event in order]
        assert view.names("acme", ADA) == {"a", "b"}
        assert view.forgotten(kept("b")) and not view.forgotten(kept("a"))


def test_when_a_note_was_erased_then_nothing_names_it_in_the_list_and_it_stays_away() -> None:
    view = MemoryView(10)
    view.fold(kept("a"))
    view.drop(MEMORY_KEPT.key(kept("a")))
    view.drop("acme|lease.md")
    view.drop("nonsense")
    view.fold(kept("a", at=9))
    assert texts(view) == [] and view.get("acme", ADA, "a") is None


def test_when_owners_and_tenants_differ_then_so_do_their_notes() -> None:
    view = MemoryView(10)
    view.fold(kept("a"))
    view.fold(kept("a", "Bob's.", owner=BOB))
    view.fold(kept("a", "Elsewhere.", tenant="globex"))
    assert texts(view) == ["A note."] and texts(view, owner=BOB) == ["Bob's."]
    assert texts(view, "globex") == ["Elsewhere."] and texts(view, "initech") == []


def test_when_a_stranger_s_event_names_no_note_then_it_is_passed_over() -> None:
    view = MemoryView(10)
    view.fold(kept("a/b"))
    view.fold(kept("a", owner="ada"))
    assert texts(view) == [] == texts(view, owner="ada")


def test_when_there_are_more_than_allowed_then_the_oldest_are_within() -> None:
    view, draw = MemoryView(3), Random(7)
    events = [kept(f"m{at}", at=at) for at in range(6)]
    for event in draw.sample(events, len(events)):
        view.fold(event)
    assert [view.beyond(event) for event in events] == [False] * 3 + [True] * 3
