"""Keeps a worker's index generations as the log says: opens, builds, follows and closes them while everything runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from adapters.errors import AdapterError
from processors.contract import Stop
from streams.errors import StreamsError
from streams.generations import GenerationError, Generations, Held
from streams.parts import Parts
from streams.regeneration import VIEWS, hops_of
from streams.selection import Selected

__all__ = ["Builds", "GenerationKeeper", "Runner"]

_LOG = structlog.get_logger(__name__)

# A promotion wakes it at once; this is for what failed, and for what went away unheard.
_LOOK_AGAIN_S: Final = 1.0
_AFTER_FAILURE_S: Final = 5.0
_JOIN_S: Final = 30.0


class Runner(Protocol):
    """What a worker runs in a thread."""

    name: str
    ready: threading.Event

    def run(self, stop: threading.Event) -> None: ...


@dataclass(frozen=True)
class Builds:
    """Which generations a worker builds, and how one of their hops is run. `only` empty means all there are."""

    runner: Callable[[Selected, Parts], Runner]
    only: frozenset[str] = frozenset()

    def wants(self, name: str) -> bool:
        return not self.only or name in self.only


class _Building:
    """The hops of one generation, each in a thread, stopped together."""

    def __init__(self, held: Held, runners: Sequence[Runner]) -> None:
        self.held = held
        self.failed: BaseException | None = None
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(one,), name=one.name) for one in runners]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Finishes or drops what is in hand."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_JOIN_S)

    def _run(self, runner: Runner) -> None:
        try:
            runner.run(self._stop)
        except SystemExit:
            pass
        except BaseException as error:
            self.failed = error
            self._stop.set()


class GenerationKeeper:
    """One thread of a worker. Without `builds` it only opens what serves; with it, it builds and follows too.

    A generation that can't be opened (its folder is held, its model is missing) is tried again and said in the log:
    the others go on. One whose hop fails ends the worker, as any hop does.
    """

    name = "generations"

    def __init__(self, generations: Generations, builds: Builds | None) -> None:
        self.ready = threading.Event()
        self._generations = generations
        self._builds = builds
        self._building: dict[str, _Building] = {}
        self._own_lived = generations.own_lives

    def run(self, stop: threading.Event) -> None:
        """Works until `stop` is set. Raises GenerationError where the configured generation was retired meanwhile."""
        self.ready.set()
        seen = -1
        try:
            while not stop.is_set():
                if not self._turn():
                    stop.wait(_AFTER_FAILURE_S)
                seen = self._generations.wait(seen, _LOOK_AGAIN_S)
        finally:
            for name in list(self._building):
                self._end(name)

    def _turn(self) -> bool:
        """Whether everything is as the log says."""
        if self._own_lived and not self._generations.own_lives:
            raise GenerationError(
                f"index generation {self._generations.own!r} was retired; started again, this worker parses and "
                "redacts for the others"
            )
        self._end_retired()
        try:
            self._generations.reconcile()
            self._begin_new()
        except (AdapterError, StreamsError, Stop) as error:
            _LOG.warning("generation.not_open", reason=str(error), after_s=_AFTER_FAILURE_S)
            return False
        return True

    def _end_retired(self) -> None:
        living = self._generations.living()
        for name, building in list(self._building.items()):
            if building.failed is not None:
                raise GenerationError(f"building index generation {name!r} failed") from building.failed
            if name not in living:
                self._end(name)

    def _begin_new(self) -> None:
        for name, registered in self._generations.living().items():
            wanted = self._builds is not None and self._builds.wants(name) and registered.built
            if wanted and name not in self._building:
                self._begin(name)

    def _begin(self, name: str) -> None:
        held = self._generations.use(name)
        if held is None or self._builds is None:
            return
        try:
            held.ports.open(set(VIEWS))
            runners = [self._builds.runner(selected, held.ports) for selected in hops_of(name)]
        except BaseException:
            self._generations.release(held)
            raise
        self._building[name] = _Building(held, runners)
        _LOG.info("generation.building", generation=name)

    def _end(self, name: str) -> None:
        building = self._building.pop(name)
        building.end()
        self._generations.release(building.held)
        _LOG.info("generation.left", generation=name)
