"""The newest changed answers, kept for those who listen at this gateway."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

from schemas.envelope import Event
from schemas.queries import AnswerChanged
from streams.follow import Follower

__all__ = ["KEPT_S", "Changes"]

KEPT_S: Final = 3_600.0
"""For so long a client may have been away and still hear what it missed; the topic itself keeps a year."""

_KEPT_MOST: Final = 2_000


class Changes:
    """The newest changed answers that this gateway has heard of, for all who listen here. It listens once somebody
    does."""

    def __init__(self, follower: Follower | None = None) -> None:
        self.follower = follower
        self._kept: deque[AnswerChanged] = deque(maxlen=_KEPT_MOST)
        self._count = 0
        self._lock = threading.Lock()
        self._began = False

    def fold(self, event: Event) -> None:
        """Takes up what the topic says."""
        if isinstance(event, AnswerChanged):
            with self._lock:
                self._kept.append(event)
                self._count += 1

    def listen(self) -> None:
        """Begins to follow the topic, where nobody listened yet."""
        with self._lock:
            begins, self._began = not self._began, True
        if begins and self.follower is not None:
            self.follower.start()

    def close(self) -> None:
        """Ends following."""
        if self._began and self.follower is not None:
            self.follower.stop()

    def after(self, count: int) -> tuple[int, list[AnswerChanged]]:
        """What came after the first `count`, as far as it is kept, and how many there are then."""
        with self._lock:
            new = min(self._count - count, len(self._kept))
            return self._count, list(self._kept)[len(self._kept) - new :] if new else []
