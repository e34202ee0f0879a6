"""Become a command that dies with its parent. A script, run by path: `python tether.py PARENT COMMAND…`.

The kernel is asked before the command takes this process over, so nothing is left running whatever ends the parent,
kill -9 included. It needs a process of its own: in a parent with threads, nothing safe can run between fork and exec.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Tie this process to its parent, then replace it by the command."""
    parent, command = int(arguments[0]), arguments[1:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # The parent ended before the kernel was asked, so its death will not be told any more.
        sys.exit(1)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
