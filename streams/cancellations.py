"""Questions that nobody waits for any more: what this process has heard of them, for as long as it matters.

Whoever asked says so on `rag.query.cancelled.v1` (the gateway when a client leaves, a client that is told to). Every
worker follows that topic by itself, without a group. It is best effort: a cancellation that comes too late changes
nothing, one that is repeated changes nothing more, one that is lost costs an answer that nobody reads.
"""

from __future__ import annotations

import threading
from typing import Final

from processors.ports import Clock
from schemas.envelope import Event
from schemas.queries import QueryCancelled
from topics.answer import HOUR

__all__ = ["LONGEST_S", "Cancelled"]

LONGEST_S: Final = HOUR.total_seconds()
"""No deadline counts for longer than the topic keeps: a worker that starts reads from this long ago."""

# 100 bytes each: a client gone wild may cost some megabytes, never the worker.
MOST: Final = 50_000
_MICROS: Final = 1_000_000


class Cancelled:
    """The view of cancelled questions, each kept until its deadline. Fold the topic into it, from any thread.

    >>> from adapters.memory import ManualClock
    >>> view = Cancelled(ManualClock())
    >>> view.fold(QueryCancelled(tenant="acme", query_id="q1"))
    >>> view.cancelled("acme", "q1"), view.cancelled("other", "q1")
    (True, False)

    Only the tenant that asked can cancel. Above `most` the oldest are forgotten.
    """

    def __init__(self, clock: Clock, most: int = MOST) -> None:
        self._clock = clock
        self._most = most
        self._until: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._until)

    def fold(self, event: Event) -> None:
        """Takes up what the topic says; a repeat says nothing new."""
        if not isinstance(event, QueryCancelled):
            return
        now = self._clock.now()
        longest = (event.occurred_at or now) + int(LONGEST_S * _MICROS)
        until = min(event.deadline_at or longest, longest)
        if until <= now:
            return
        with self._lock:
            self._until.setdefault((event.tenant, event.query_id), until)
            self._forget(now)

    def cancelled(self, tenant: str, query_id: str) -> bool:
        """Whether this question was cancelled and its time is not over, after which it is expired anyway."""
        until = self._until.get((tenant, query_id))
        return until is not None and until > self._clock.now()

    def _forget(self, now: int) -> None:
        """Drops the oldest that are over, and the oldest whatever they are where there are too many."""
        while (oldest := next(iter(self._until), None)) is not None:
            if self._until[oldest] > now and len(self._until) <= self._most:
                return
            del self._until[oldest]
