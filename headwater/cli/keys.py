"""Single keys from the terminal while a command redraws its screen, and the terminal as it was when it ends."""

from __future__ import annotations

import contextlib
import select
import signal
import sys
import termios
import time
import tty
from types import TracebackType
from typing import Any

__all__ = ["Keys"]


class Keys:
    """Reads keys without Enter and without echo. Use it around a loop; leaving it gives the terminal back.

    >>> with Keys() as keys:  # doctest: +SKIP
    ...     while not keys.pressed("q", within_s=1.0):
    ...         draw()

    SIGTERM ends the loop as Ctrl-C does, so that the screen is left tidily. Where stdin is no terminal, no key comes.
    """

    def __init__(self) -> None:
        self._fd = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
        self._before: Any = None
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Keys:
        if self._fd is not None:
            self._before = termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd)
        # A stopped process would leave its screen to the shell.
        self._handlers = {
            signal.SIGTSTP: signal.signal(signal.SIGTSTP, signal.SIG_IGN),
            signal.SIGTERM: signal.signal(signal.SIGTERM, _interrupt),
        }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self._fd is not None:
            # With a flush: what was typed meanwhile must not reach the shell as a command.
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._fd, termios.TCSAFLUSH, self._before)

    def pressed(self, wanted: str, within_s: float) -> bool:
        """Whether one of the wanted keys comes in time; others are dropped."""
        until = time.monotonic() + within_s
        while (left := until - time.monotonic()) > 0:
            if self._fd is None:
                time.sleep(left)
                return False
            if not select.select([self._fd], [], [], left)[0]:
                return False
            key = sys.stdin.buffer.raw.read(1)  # type: ignore[union-attr]  # a terminal's file always has a raw one
            if not key:  # The terminal is gone.
                raise KeyboardInterrupt
            if key.decode(errors="replace").lower() in wanted:
                return True
        return False


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
