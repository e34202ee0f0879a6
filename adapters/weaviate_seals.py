"""Which writes to Weaviate are known to be whole.

A server that is killed in the middle of a write can keep an object without its words or its vector: they stand in files
of their own. To write it again does not mend it, since the server finds the same object there and skips the rest. So
each object says which call of which writer wrote it, and each call ends with its writer's seal: a small object with the
number of the last call that was acknowledged whole. What is above the seal counts as not held, and is removed before it
is written anew. A head never lists such an object, since heads follow calls that have ended.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

__all__ = ["Seals", "Ticket"]


@dataclass(frozen=True)
class Ticket:
    """One call of a writer. Calls of one tenant follow each other."""

    tenant: str
    writer: str
    call: int


@dataclass
class _Writer:
    name: str
    sealed: int = 0


class Seals:
    """The calls of one process, tenant by tenant, and the seals of others as far as they were read.

    >>> seals = Seals("w")
    >>> first = seals.begin("acme")
    >>> seals.covers("acme", first.writer, first.call)
    False
    >>> seals.done(first)
    >>> seals.covers("acme", first.writer, first.call), seals.begin("acme").call
    (True, 2)

    Safe for threads, as long as `alone` is held from `begin` to `done` or `failed`.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._writers: dict[str, _Writer] = {}
        self._turns: dict[str, threading.Lock] = {}
        self._read: dict[tuple[str, str], int] = {}
        self._failures = 0

    def alone(self, tenant: str) -> threading.Lock:
        """To be held during a call, so that numbers are sealed in their order."""
        with self._lock:
            return self._turns.setdefault(tenant, threading.Lock())

    def begin(self, tenant: str) -> Ticket:
        """The next call."""
        with self._lock:
            writer = self._writers.setdefault(tenant, _Writer(f"{self._name}.{self._failures}"))
            return Ticket(tenant, writer.name, writer.sealed + 1)

    def done(self, ticket: Ticket) -> None:
        """The server has acknowledged all of it, and its seal."""
        with self._lock:
            self._writers[ticket.tenant].sealed = ticket.call

    def failed(self, ticket: Ticket) -> None:
        """It may be there in part: its number is never sealed, and what follows is written under another name."""
        with self._lock:
            self._read[(ticket.tenant, ticket.writer)] = self._writers.pop(ticket.tenant).sealed
            self._failures += 1

    def read(self, tenant: str, writer: str, sealed: int) -> None:
        """Takes over a seal that was read from the server."""
        with self._lock:
            self._read[(tenant, writer)] = max(sealed, self._read.get((tenant, writer), 0))

    def covers(self, tenant: str, writer: str, call: int) -> bool:
        """Whether that call is known to be whole."""
        with self._lock:
            own = self._writers.get(tenant)
            if own is not None and own.name == writer:
                return call <= own.sealed
            return call <= self._read.get((tenant, writer), 0)
