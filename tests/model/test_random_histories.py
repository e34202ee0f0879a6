"""The real steps, driven through random histories: no reader ever sees what is stale, mixed or deleted."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.local_index import LocalIndex
from tests.model.world import BrittleIndex, World

DOCUMENTS = st.sampled_from(["d1", "d2"])
LETTERS = st.lists(st.sampled_from("ABCDE"), min_size=1, max_size=4, unique=True).map("".join)
FEW = st.integers(1, 12)


def a_move(name: str, *arguments: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[str, tuple[object, ...]]]:
    return st.tuples(st.just(name), st.tuples(*arguments))


MOVES = st.one_of(
    a_move("write", DOCUMENTS, LETTERS),
    a_move("write", DOCUMENTS, LETTERS),
    a_move("write_and_grant", DOCUMENTS, LETTERS, st.sampled_from(["*", "user:ann"])),
    a_move("delete", DOCUMENTS),
    a_move("grant", DOCUMENTS, st.sampled_from(["*", "user:ann"])),
    a_move("repeat", st.integers(0, 20)),
    a_move("work", FEW),
    a_move("work", FEW),
    a_move("begin", FEW),
    a_move("commit"),
    a_move("crash", FEW, st.integers(0, 5)),
    a_move("become_zombie"),
    a_move("zombie_works", FEW, FEW),
    a_move("apply"),
    a_move("settle", st.integers(1, 4)),
    a_move("settle_again", st.integers(1, 4)),
    a_move("flush"),
    a_move("compact"),
    a_move("zombie_folds", FEW),
    a_move("mark"),
    a_move("prove_late", FEW),
)


@given(st.lists(MOVES, min_size=15, max_size=50))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_when_anything_happens_in_any_order_then_readers_see_one_version_at_a_time(
    moves: list[tuple[str, tuple[object, ...]]],
) -> None:
    world = World()
    for name, arguments in moves:
        getattr(world, name)(*arguments)
        world.check()
    world.check_end()


@given(st.lists(MOVES, min_size=8, max_size=25))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_when_the_index_is_on_disk_then_readers_see_one_version_at_a_time_too(
    moves: list[tuple[str, tuple[object, ...]]],
) -> None:
    with TemporaryDirectory() as folder, LocalIndex(Path(folder)) as local:
        world = World(store=BrittleIndex(local))
        for name, arguments in moves:
            getattr(world, name)(*arguments)
            world.check()
        world.check_end()


def test_when_a_zombie_writes_after_its_version_was_superseded_then_nobody_sees_it() -> None:
    world = World()
    world.write("d1", "AB")
    world.become_zombie()
    world.work(10)
    world.write("d1", "B")
    world.work(10)
    world.settle(10)
    world.zombie_works(10, back=10)
    world.check()
    world.check_end()


@pytest.mark.parametrize("after", [0, 1, 2])
def test_when_a_worker_dies_while_it_writes_then_the_next_one_does_it_again(after: int) -> None:
    world = World()
    world.write("d1", "ABC")
    world.crash(10, after)
    world.check()
    world.work(10)
    assert [head.version.offset for head in world.topic] == [1]
    world.check_end()


def test_when_the_view_is_flushed_then_it_answers_the_same_once_it_is_open() -> None:
    world = World()
    world.write("d1", "AB")
    world.write("d2", "C")
    world.work(20)
    before = {head.document: head for head in world.view.walk()}
    world.flush()
    world.apply()
    assert not world.view.is_open
    world.settle(5)
    assert {head.document: head for head in world.view.walk()} == before


def test_when_a_chunk_comes_back_while_its_old_object_is_being_removed_then_it_is_still_there() -> None:
    """With an id that does not hold its version the worker would find the old object, and settle would take it away."""
    world = World()
    for letters in ("AB", "B"):
        world.write("d1", letters)
        world.work(10)
    world.write("d1", "AB")
    world.begin(10)
    world.settle(2)
    world.commit()
    world.check_end()


def test_when_access_changes_between_chunks_and_manifest_then_the_hints_agree_with_the_head() -> None:
    world = World()
    world.write("d1", "A")
    world.grant("d1", "user:ann")
    world.work(10)
    world.write_and_grant("d1", "AB", "user:bob")
    world.work(3)
    world.settle(10)
    world.check_end()
