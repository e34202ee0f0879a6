"""The notes of users as this gateway knows them: the whole topic of notes, once somebody asks for it."""

from __future__ import annotations

import threading
from typing import Final

from processors.contract import Stop
from streams.errors import ClusterUnavailableError
from streams.follow import Follower
from streams.memory_view import MemoryView

__all__ = ["Notes"]

# A gateway that has just begun to follow reads the topic from its beginning.
_WAIT_S: Final = 20.0


class Notes:
    """A view that holds every note written before it was asked. It is followed from the first question on."""

    def __init__(self, per_user: int = 200, follower: Follower | None = None) -> None:
        self.view = MemoryView(per_user)
        self.follower = follower
        self._began = False
        self._lock = threading.Lock()

    def current(self) -> MemoryView:
        """The view, holding all that was written until now. Raises ClusterUnavailableError where nobody can say."""
        with self._lock:
            begins, self._began = not self._began, True
            if self.follower is None:
                return self.view
            if begins:
                self.follower.dropped = self.view.drop
                self.follower.start()
            try:
                self.follower.catch_up(_WAIT_S)
            except Stop as stop:
                raise ClusterUnavailableError(str(stop)) from stop
        return self.view

    def close(self) -> None:
        """Ends following."""
        if self._began and self.follower is not None:
            self.follower.stop()
