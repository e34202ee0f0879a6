"""Which writes to Weaviate are known to be whole.

A server that is killed in the middle of a write can keep an object without its words or its vector: they stand in files
of their own. To write it again does not mend it, since the server finds the same object there and skips the rest. So
each object says which call of which writer wrote it, and with every call travels its writer's seal: the number up to
which the calls before were acknowledged. An object above the seal is doubtful: it is proven before it counts as held,
and removed before it is written anew.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Seals", "Ticket"]

_MOST_PROVEN: Final = 100_000


@dataclass(frozen=True)
class Ticket:
    """One call: `sealed` is the number up to which this writer's calls are acknowledged as it begins."""

    tenant: str
    writer: str
    call: int
    sealed: int


@dataclass
class _Writer:
    name: str
    last: int = 0
    running: set[int] = field(default_factory=set)

    @property
    def sealed(self) -> int:
        return min(self.running) - 1 if self.running else self.last


class Seals:
    """The calls of one process, tenant by tenant, and the seals of others as far as they were read.

    >>> seals = Seals("w")
    >>> first = seals.begin("acme")
    >>> seals.covers("acme", first.writer, first.call)
    False
    >>> seals.done(first)
    >>> seals.covers("acme", first.writer, first.call), seals.begin("acme").sealed
    (True, 1)

    Safe for threads.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._writers: dict[str, _Writer] = {}
        self._read: dict[tuple[str, str], int] = {}
        self._failures = 0
        self._proven: set[tuple[str, str]] = set()

    def begin(self, tenant: str) -> Ticket:
        """The next call."""
        with self._lock:
            writer = self._writers.setdefault(tenant, _Writer(f"{self._name}.{self._failures}"))
            sealed = writer.sealed
            writer.last += 1
            writer.running.add(writer.last)
            return Ticket(tenant, writer.name, writer.last, sealed)

    def done(self, ticket: Ticket) -> None:
        """The server has acknowledged all of it."""
        with self._lock:
            writer = self._writers.get(ticket.tenant)
            if writer is not None and writer.name == ticket.writer:
                writer.running.discard(ticket.call)

    def failed(self, ticket: Ticket) -> None:
        """It may be there in part: its number is never sealed, and what follows is written under another name."""
        with self._lock:
            writer = self._writers.get(ticket.tenant)
            if writer is not None and writer.name == ticket.writer:
                self._read[(ticket.tenant, ticket.writer)] = writer.sealed
                self._failures += 1
                del self._writers[ticket.tenant]

    def read(self, tenant: str, writer: str, sealed: int) -> None:
        """Takes over a seal that was read from the server."""
        with self._lock:
            known = self._read.get((tenant, writer), 0)
            self._read[(tenant, writer)] = max(known, sealed)

    def covers(self, tenant: str, writer: str, call: int) -> bool:
        """Whether that call is known to be whole."""
        with self._lock:
            own = self._writers.get(tenant)
            if own is not None and own.name == writer:
                return call <= own.sealed
            return call <= self._read.get((tenant, writer), 0)

    def prove(self, tenant: str, uuids: Iterable[str]) -> None:
        """Remembers objects that were looked at and found whole; past the bound they are looked at again."""
        with self._lock:
            if len(self._proven) > _MOST_PROVEN:
                self._proven.clear()
            self._proven.update((tenant, uuid) for uuid in uuids)

    def unprove(self, tenant: str, uuids: Iterable[str]) -> None:
        """They were removed, or written in part."""
        with self._lock:
            self._proven.difference_update((tenant, uuid) for uuid in uuids)

    def unproven(self, tenant: str, uuids: Iterable[str]) -> list[str]:
        """Those that were not found whole yet."""
        with self._lock:
            return [uuid for uuid in uuids if (tenant, uuid) not in self._proven]

    def open_ends(self) -> list[Ticket]:
        """What is acknowledged but not sealed on the server yet, a ticket of its own for each tenant."""
        with self._lock:
            return [Ticket(tenant, own.name, own.last, own.sealed) for tenant, own in self._writers.items()]
