from __future__ import annotations

from adapters.weaviate_seals import Seals, Ticket


def test_when_a_call_runs_then_neither_it_nor_later_ones_are_sealed() -> None:
    seals = Seals("w")
    first, second = seals.begin("acme"), seals.begin("acme")
    seals.done(second)
    assert not seals.covers("acme", "w.0", second.call)
    assert seals.begin("acme").sealed == 0
    seals.done(first)
    assert seals.covers("acme", "w.0", second.call)
    assert not seals.covers("acme", "w.0", 3)


def test_when_a_call_failed_then_it_is_never_sealed_and_the_next_have_another_writer() -> None:
    seals = Seals("w")
    whole, broken = seals.begin("acme"), seals.begin("acme")
    seals.done(whole)
    seals.failed(broken)
    after = seals.begin("acme")
    assert after.writer != broken.writer
    assert after.sealed == 0
    assert seals.covers("acme", whole.writer, whole.call)
    assert not seals.covers("acme", broken.writer, broken.call)
    seals.done(after)
    assert seals.covers("acme", after.writer, after.call)


def test_when_a_call_of_a_given_up_writer_ends_then_nothing_of_it_is_sealed() -> None:
    seals = Seals("w")
    broken, beside = seals.begin("acme"), seals.begin("acme")
    seals.failed(broken)
    seals.done(beside)
    assert not seals.covers("acme", beside.writer, beside.call)


def test_when_tenants_share_a_process_then_their_calls_are_apart() -> None:
    seals = Seals("w")
    seals.done(seals.begin("acme"))
    assert seals.covers("acme", "w.0", 1)
    assert not seals.covers("zeta", "w.0", 1)


def test_when_a_seal_was_read_then_it_covers_and_an_older_one_takes_nothing_back() -> None:
    seals = Seals("w")
    seals.read("acme", "other.0", 7)
    seals.read("acme", "other.0", 3)
    assert seals.covers("acme", "other.0", 7)
    assert not seals.covers("acme", "other.0", 8)
    assert seals.open_ends() == []


def test_when_an_object_was_proven_then_it_stays_so_until_it_is_removed_or_torn() -> None:
    seals = Seals("w")
    seals.prove("acme", ["a", "b"])
    assert seals.unproven("acme", ["a", "b", "c"]) == ["c"]
    assert seals.unproven("zeta", ["a"]) == ["a"]
    seals.unprove("acme", ["a", "c"])
    assert seals.unproven("acme", ["a", "b"]) == ["a"]


def test_when_all_is_acknowledged_then_the_open_ends_seal_it() -> None:
    seals = Seals("w")
    seals.done(seals.begin("acme"))
    assert seals.open_ends() == [Ticket("acme", "w.0", 1, 1)]
