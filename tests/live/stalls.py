"""How long the machine itself stood still: what no program on it can be blamed for."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

# A process of its own, so that what holds up this one (a lock, a loop) is not taken for the machine.
_SLEEPER: Final = """
import sys, threading, time
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
longest = 0.0
while not over.is_set():
    began = time.monotonic()
    time.sleep(0.02)
    longest = max(longest, time.monotonic() - began - 0.02)
print(longest)
"""


class Stalls:
    """Watches while it is open; `longest_s` says afterwards for how long at most a sleeper was woken too late."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    def __enter__(self) -> Stalls:
        self._sleeper = subprocess.Popen(
            [sys.executable, "-c", _SLEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._sleeper.returncode is None:
            said, _err = self._sleeper.communicate(timeout=30)
            self.longest_s = float(said)
