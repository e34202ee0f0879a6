"""The index generations that this process holds open, and which of them serves whom.

How a promotion becomes an answer:
1. The follower of `rag.index.generation.v1` folds the event; the table says who is served by what.
2. Where everything that serves is open, the choice counts from the next question on; else the old choice stays until
   what is missing was opened in the background. No question waits, none sees two generations.
3. A question leases its generation; what is retired is closed once its last question has left.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from adapters.errors import GenerationClosedError
from processors.ingest.generations import Choice, GenerationTable
from processors.ports import Embedder, Heads, Index, Served
from schemas.documents import GenerationRegistered
from schemas.envelope import Event
from streams.errors import StreamsError

if TYPE_CHECKING:
    from streams.parts import Parts

__all__ = ["GenerationError", "Generations", "Held"]

_LOG = structlog.get_logger(__name__)

Opens = Callable[[GenerationRegistered], "Parts"]


class GenerationError(StreamsError):
    """An index generation is not there, or must not be used as it was asked for."""


class Held:
    """A generation that is open here, and how many questions and builders use it now."""

    def __init__(self, generation: str, ports: Parts) -> None:
        self.generation = generation
        self.ports = ports
        self.users = 0

    @property
    def embedder(self) -> Embedder:
        embedder: Embedder = self.ports.port("embedder")
        return embedder

    @property
    def store(self) -> Index:
        store: Index = self.ports.port("store")
        return store

    @property
    def heads(self) -> Heads:
        heads: Heads = self.ports.port("heads")
        return heads


class Generations:
    """The Serving port over the log. `fold` takes its events, `reconcile` opens and closes; threads may share it.

    At most `index.open_generations` are open at a time, what serves first. Until something was promoted the configured
    generation serves everybody.
    """

    def __init__(self, own: Parts, opens: Opens) -> None:
        index = own.settings.index
        self.own = index.generation
        self.table = GenerationTable(index.corpus)
        self._most = index.open_generations
        self._opens = opens
        self._held = {self.own: Held(self.own, own)}
        self._choice = Choice(self.own)
        self._changed = threading.Condition(threading.RLock())
        self._opening = threading.Lock()
        self._version = 0
        self._looked = False
        self._leases = 0

    @property
    def leases(self) -> int:
        """How many questions were served here so far, from any generation."""
        return self._leases

    @property
    def own_lives(self) -> bool:
        """Whether the configured generation is not retired."""
        with self._changed:
            return not self.table.retired(self.own)

    def fold(self, event: Event) -> None:
        """Takes an event of the log."""
        with self._changed:
            self.table.fold(event)
            self._choose()
            self._version += 1
            self._changed.notify_all()

    def wait(self, seen: int, timeout_s: float) -> int:
        """Waits until something changed after `seen`, or for a while; returns what to pass next time."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != seen, timeout_s)
            return self._version

    @contextmanager
    def lease(self, tenant: str) -> Iterator[Served]:
        """The generation that serves a tenant now. Raises GenerationClosedError."""
        with self._changed:
            held = self._held.get(self._choice.of(tenant))
            if held is None:
                raise GenerationClosedError(
                    f"wanted index generation {self._choice.of(tenant)!r}, which is not open here yet; "
                    "try again shortly"
                )
            held.users += 1
            self._leases += 1
        try:
            yield held
        finally:
            self.release(held)

    def use(self, name: str) -> Held | None:
        """Keeps a generation open for a builder until `release`; None where it is not open."""
        with self._changed:
            held = self._held.get(name)
            if held is not None:
                held.users += 1
            return held

    def release(self, held: Held) -> None:
        with self._changed:
            held.users -= 1
            self._version += held.users == 0 and not self._lives(held.generation)
            self._changed.notify_all()

    @contextmanager
    def at_hand(self) -> Iterator[list[Held]]:
        """All that are open here and not retired, by name, kept open inside. Raises GenerationClosedError before every
        one was tried: what is left out then is out of reach, not late."""
        with self._changed:
            if not self._looked:
                raise GenerationClosedError("wanted every index generation, not all were opened yet; try again shortly")
            held = [one for name, one in sorted(self._held.items()) if not self.table.retired(name)]
            for one in held:
                one.users += 1
        try:
            yield held
        finally:
            for one in held:
                self.release(one)

    def unreached(self) -> tuple[str, ...]:
        """Those that live and are not open here: another process holds them, or as many as may be are open."""
        with self._changed:
            return tuple(sorted(self.table.living().keys() - self._held.keys()))

    def living(self) -> dict[str, GenerationRegistered]:
        """The generations that are not retired."""
        with self._changed:
            return self.table.living()

    def open(self) -> None:
        """Opens what serves, and waits for it: before a worker says that it is ready. Raises what opening raises."""
        self._open_those(lambda name: self.table.choice is not None and name in self.table.choice.serving)

    def reconcile(self) -> None:
        """Opens what the log says is alive, what serves first; closes what was retired. Raises what opening raises."""
        try:
            self.open()
            self._open_those(lambda _: True)
        finally:
            self._looked = True
        for held in self._leaving():
            held.ports.close()
            _LOG.info("generation.closed", generation=held.generation)

    def close(self) -> None:
        """Closes every generation but the configured one, whose parts are their owner's."""
        with self._changed:
            others = [self._held.pop(name) for name in list(self._held) if name != self.own]
        for held in others:
            held.ports.close()

    def _open_those(self, wanted: Callable[[str], bool]) -> None:
        with self._opening:
            for name, registered in sorted(self.living().items()):
                with self._changed:
                    needed = wanted(name) and name not in self._held and len(self._held) < self._most
                if needed:
                    self._open_one(registered)

    def _open_one(self, registered: GenerationRegistered) -> None:
        ports = self._opens(registered)
        try:
            ports.open({"heads"})
        except BaseException:
            ports.close()
            raise
        with self._changed:
            self._held[registered.generation] = Held(registered.generation, ports)
            self._choose()
            self._version += 1
            self._changed.notify_all()
        _LOG.info("generation.opened", generation=registered.generation)

    def _leaving(self) -> list[Held]:
        with self._changed:
            names = [name for name, held in self._held.items() if not held.users and not self._lives(name)]
            return [self._held.pop(name) for name in names if name != self.own]

    def _lives(self, name: str) -> bool:
        return not self.table.retired(name) or name in self._choice.serving

    def _choose(self) -> None:
        """The newest choice counts here once all that serves by it is open."""
        if self.table.choice is not None and self.table.choice.serving <= self._held.keys():
            self._choice = self.table.choice
