"""The keeper: builds what the log says is alive, lets go of what was retired, and ends the worker where it must."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from streams.generation_keeper import Builds, GenerationKeeper
from streams.generations import GenerationError, Generations
from streams.parts import Parts
from streams.selection import Selected
from tests.streams.memory_generations import memory_generations, registered


class Hop:
    """A hop that runs until it is told to stop, or fails at once."""

    def __init__(self, name: str, running: set[str], failing: bool) -> None:
        self.name = name
        self.ready = threading.Event()
        self._running = running
        self._failing = failing

    def run(self, stop: threading.Event) -> None:
        if self._failing:
            raise ZeroDivisionError(self.name)
        self._running.add(self.name)
        stop.wait(20.0)
        self._running.discard(self.name)


class Kept:
    """A keeper in a thread, and which hops run."""

    def __init__(self, generations: Generations, only: frozenset[str] = frozenset(), failing: bool = False) -> None:
        self.running: set[str] = set()
        self.failed: list[BaseException] = []
        self.stop = threading.Event()

        def runner(selected: Selected, _: Parts) -> Hop:
            return Hop(selected.hops[0].name, self.running, failing)

        self.keeper = GenerationKeeper(generations, Builds(runner, only))
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self.keeper.run(self.stop)
        except BaseException as error:
            self.failed.append(error)


@contextmanager
def kept(generations: Generations, only: frozenset[str] = frozenset(), failing: bool = False) -> Iterator[Kept]:
    one = Kept(generations, only, failing)
    one.thread.start()
    yield one
    one.stop.set()
    one.thread.join(20.0)
    assert not one.thread.is_alive()


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20.0
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


BOTH = {"regenerate.g2", "settle.g2"}


def test_when_one_is_registered_and_retired_then_its_hops_begin_and_end() -> None:
    generations, made = memory_generations()
    with kept(generations) as keeper:
        generations.fold(registered("g2"))
        until(lambda: keeper.running == BOTH)
        generations.fold(registered("g2", "retired"))
        until(lambda: not keeper.running and made["g2"].closed == 1)
    assert not keeper.failed


def test_when_the_worker_stops_then_every_hop_has_ended() -> None:
    generations, _ = memory_generations()
    generations.fold(registered("g2"))
    with kept(generations) as keeper:
        until(lambda: keeper.running == BOTH)
    assert (keeper.running, keeper.failed) == (set(), [])


def test_when_it_builds_only_some_then_the_others_are_left_alone() -> None:
    generations, _ = memory_generations()
    for name in ("g2", "g3"):
        generations.fold(registered(name))
    with kept(generations, frozenset({"g2"})) as keeper:
        until(lambda: keeper.running == BOTH)
        time.sleep(0.1)
        assert keeper.running == BOTH


def test_when_ordinary_ingest_writes_it_then_no_second_writer_begins() -> None:
    generations, _ = memory_generations()
    generations.fold(registered("g1", built=False))
    generations.fold(registered("g2"))
    with kept(generations) as keeper:
        until(lambda: keeper.running >= BOTH)
        assert (keeper.running, keeper.failed) == (BOTH, [])


def test_when_a_hop_fails_then_the_worker_ends_as_it_would_by_any_other() -> None:
    generations, _ = memory_generations()
    generations.fold(registered("g2"))
    with kept(generations, failing=True) as keeper:
        until(lambda: bool(keeper.failed))
    assert isinstance(keeper.failed[0], GenerationError)
    assert isinstance(keeper.failed[0].__cause__, ZeroDivisionError)


def test_when_the_configured_one_is_retired_while_it_runs_then_the_worker_ends_and_says_why() -> None:
    generations, _ = memory_generations()
    with kept(generations) as keeper:
        generations.fold(registered("g1", "retired", built=False))
        until(lambda: bool(keeper.failed))
    assert "was retired; started again" in str(keeper.failed[0])


def test_when_one_cant_be_opened_then_the_keeper_goes_on() -> None:
    generations, _ = memory_generations(failing=frozenset({"g2"}))
    generations.fold(registered("g2"))
    with kept(generations) as keeper:
        time.sleep(0.2)
        assert not keeper.failed
    with generations.lease("acme") as served:
        assert served.generation == "g1"


@pytest.mark.parametrize(
    ("only", "wanted"), [(frozenset[str](), True), (frozenset({"g2"}), True), (frozenset({"x"}), False)]
)
def test_when_asked_whether_it_builds_then_none_named_means_all(only: frozenset[str], wanted: bool) -> None:
    assert Builds(lambda *_: Hop("h", set(), False), only).wants("g2") is wanted
