"""Requests that were taken over already: a repeat gets the first one's receipt, also from a gateway that just started.

What was taken over is a small event on `rag.request.accepted.v1`, which every gateway follows from a day ago on.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from headwater.gateway.problems import problem
from schemas.documents import RequestAccepted
from schemas.envelope import Event
from streams.follow import Follower
from streams.publishing import Published

__all__ = ["REMEMBERED_S", "Repeats"]

REMEMBERED_S: Final = 86_400.0
"""How long a key counts: as long as `rag.request.accepted.v1` keeps it."""

_REMEMBERED: Final = 200_000
_CATCH_UP_S: Final = 5.0


class Repeats:
    """The receipts of keyed requests of the last day. Fold the topic into it; one per gateway.

    >>> repeats = Repeats()
    >>> repeats.find("id", "digest") is None
    True
    """

    def __init__(self, most: int = _REMEMBERED) -> None:
        self._most = most
        self._known: OrderedDict[str, tuple[str, Published]] = OrderedDict()
        self._lock = threading.Lock()
        self._caught_up = False
        self.follower: Follower | None = None

    def require(self) -> None:
        """Waits until what was taken over before this gateway started is known. Raises what catching up raises."""
        if self.follower is not None and not self._caught_up:
            self.follower.catch_up(_CATCH_UP_S)
            self._caught_up = True

    def find(self, event_id: str, digest: str) -> Published | None:
        """The receipt of the same request. Refuses where the key was used for another one."""
        with self._lock:
            known = self._known.get(event_id)
        if known is None:
            return None
        if known[0] != digest:
            detail = "this Idempotency-Key was used for another document or content; use a new key"
            raise problem(422, "idempotency-key-reused", "The key was used before", detail)
        return known[1]

    def fold(self, event: Event) -> None:
        """Takes in what was taken over, here or by another gateway. The first of two counts."""
        if isinstance(event, RequestAccepted):
            self.keep(event.request, event.digest, Published(event.topic, event.partition, event.offset, event.request))

    def keep(self, event_id: str, digest: str, published: Published) -> None:
        """Remembers a receipt."""
        with self._lock:
            self._known.setdefault(event_id, (digest, published))
            if len(self._known) > self._most:
                self._known.popitem(last=False)
