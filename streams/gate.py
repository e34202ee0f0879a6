"""The gate of a process: one hop may have it to itself, so that a death has one cause (`suspects.py`)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final


class Gate:
    """Lets one hop of a process have it to itself. Use one per process; handlers of batches go through it.

    >>> gate = Gate()
    >>> gate.examine("a"), gate.examine("b"), gate.release("a"), gate.examine("b")
    (True, False, None, True)
    >>> with gate.alone(): "nobody else handles anything"
    'nobody else handles anything'
    """

    def __init__(self) -> None:
        self._moved = threading.Condition()
        self._inside = 0
        self._alone = 0
        self._examiner: object = None

    def examine(self, who: object) -> bool:
        """Whether this hop may watch or handle a suspect now; it may until it says `release`."""
        with self._moved:
            self._examiner = self._examiner or who
            return self._examiner == who

    def release(self, who: object) -> None:
        with self._moved:
            if self._examiner == who:
                self._examiner = None

    @contextmanager
    def among_others(self) -> Iterator[None]:
        """For an ordinary batch: waits while another hop has the process to itself, or is about to."""
        with self._moved:
            self._moved.wait_for(lambda: not self._alone)
            self._inside += 1
        try:
            yield
        finally:
            with self._moved:
                self._inside -= 1
                self._moved.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """For suspects: waits until nobody else handles anything, and keeps others out meanwhile."""
        with self._moved:
            self._alone += 1
            self._moved.wait_for(lambda: not self._inside)
        try:
            yield
        finally:
            with self._moved:
                self._alone -= 1
                self._moved.notify_all()


PROCESS: Final = Gate()
"""The gate of this process."""
