from __future__ import annotations

from adapters.weaviate_seals import Seals


def test_when_a_call_runs_then_it_is_not_sealed_and_when_it_is_done_then_it_is() -> None:
    seals = Seals("w")
    first = seals.begin("acme")
    assert not seals.covers("acme", "w.0", first.call)
    seals.done(first)
    assert seals.covers("acme", "w.0", first.call)
    assert not seals.covers("acme", "w.0", seals.begin("acme").call)


def test_when_a_call_failed_then_it_is_never_sealed_and_the_next_have_another_writer() -> None:
    seals = Seals("w")
    whole = seals.begin("acme")
    seals.done(whole)
    broken = seals.begin("acme")
    seals.failed(broken)
    after = seals.begin("acme")
    assert after.writer != broken.writer
    seals.done(after)
    assert seals.covers("acme", whole.writer, whole.call)
    assert not seals.covers("acme", broken.writer, broken.call)
    assert seals.covers("acme", after.writer, after.call)


def test_when_tenants_share_a_process_then_their_calls_are_apart() -> None:
    seals = Seals("w")
    seals.done(seals.begin("acme"))
    assert seals.covers("acme", "w.0", 1)
    assert not seals.covers("zeta", "w.0", 1)
    assert seals.alone("acme") is seals.alone("acme") is not seals.alone("zeta")


def test_when_a_seal_was_read_then_it_covers_and_an_older_one_takes_nothing_back() -> None:
    seals = Seals("w")
    seals.read("acme", "other.0", 7)
    seals.read("acme", "other.0", 3)
    assert seals.covers("acme", "other.0", 7)
    assert not seals.covers("acme", "other.0", 8)
