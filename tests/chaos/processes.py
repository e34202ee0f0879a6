"""The workers of a run as processes: killed, frozen, stopped, and started again when they die, as anywhere."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from headwater.local.child import Child, ChildSpec
from tests.chaos.copier import CopierSpec
from tests.chaos.history import History, Operation, merged

LOOK_S: Final = 0.02
# A transaction lasts about ten milliseconds: whoever aims at one has to look more often.
AIM_S: Final = 0.002
# One that has just begun has written nothing yet.
LATE_S: Final = 0.04
TAIL_BYTES: Final = 2_048
# A machine with no time to spare starts a worker in half a minute; nobody waits longer than it takes.
READY_S: Final = 90.0
GRACE_S: Final = 10.0


class WorkersUnreadyError(Exception):
    """A worker did not come up in time; the message has its last lines."""


class Fleet:
    """The workers of a run and their supervisor. Use it as a context; every fault goes into the fault timeline.

    >>> with Fleet(CopierSpec(...), folder) as fleet:  # doctest: +SKIP
    ...     fleet.start("a"); fleet.start("b"); fleet.await_ready()
    ...     fleet.kill("a")  # it is started again at once
    ...     fleet.stop("b")  # SIGTERM, and it stays away until `start`

    `restarts` counts per slot what the supervisor started again; more than the kills is a worker that failed by itself.
    """

    def __init__(self, spec: CopierSpec, folder: Path) -> None:
        self.spec = spec
        self.folder = folder
        self.restarts: Counter[str] = Counter()
        self.kills = 0
        self.history = History(folder / "faults.jsonl", "faults")
        self._children: dict[str, Child] = {}
        self._wanted: set[str] = set()
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)

    def __enter__(self) -> Fleet:
        self._supervisor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_all()
        self._over.set()
        self._supervisor.join(GRACE_S)
        self.history.close()

    @property
    def slots(self) -> list[str]:
        """The slots that should be running now, sorted."""
        with self._lock:
            return sorted(self._wanted)

    def start(self, *slots: str, **changes: object) -> None:
        """Starts workers in these slots; `changes` replace fields of the specification for them."""
        for slot in slots:
            with self._lock:
                spec = replace(self.spec, slot=slot, folder=str(self.folder), **changes)  # type: ignore[arg-type]  # fields by name
                command = (sys.executable, "-m", "tests.chaos.copier", spec.text())
                self._children[slot] = Child(ChildSpec(f"start-{slot}", command, self.folder))
                self._children[slot].start()
                self._wanted.add(slot)
            self.fault("start", slot)

    def await_ready(self, within_s: float = READY_S) -> None:
        """Waits until every wanted worker is in its group. Raises WorkersUnreadyError."""
        until = time.monotonic() + within_s
        while missing := [slot for slot in self.slots if not self.ready(slot)]:
            if time.monotonic() > until:
                raise WorkersUnreadyError(f"not ready after {within_s:g} s: {missing}\n{self.log(missing[0])}")
            time.sleep(LOOK_S)

    def ready(self, slot: str) -> bool:
        """Whether the worker that lives in a slot now is in its group."""
        path = self.folder / f"{slot}.ready"
        return path.exists() and path.read_text(encoding="utf-8") == str(self._children[slot].pid)

    def pid(self, slot: str) -> int:
        """The number of the process in a slot, 0 where there is none."""
        with self._lock:
            return self._children[slot].pid or 0

    def kill(self, slot: str) -> None:
        """kill -9; the supervisor starts it again at once."""
        with self._lock:
            self.fault("kill", slot)
            self.kills += 1
            # On a machine with no time to spare the dead take more than ten seconds to be gone.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._children[slot].kill()

    def busy(self, within_s: float, chance: random.Random) -> str | None:
        """The first worker that has a transaction open, and still has a moment later; None where none has in time."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            for slot in filter(self.in_transaction, self.slots):
                time.sleep(chance.uniform(0.0, LATE_S))
                if self.in_transaction(slot):
                    return slot
            time.sleep(AIM_S)
        return None

    def in_transaction(self, slot: str) -> bool:
        """Whether the last thing that the worker in a slot noted is that it began a transaction."""
        path = self.folder / f"worker-{slot}.jsonl"
        if not path.exists():
            return False
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            last = file.read().rstrip(b"\n").rpartition(b"\n")[2]
        return b'"op": "begin"' in last and f'"pid": {self.pid(slot)},'.encode() in last

    def pause(self, slot: str) -> None:
        """SIGSTOP: a machine that stalls, a zombie to be."""
        self.fault("pause", slot)
        self._children[slot].pause()

    def resume(self, slot: str) -> None:
        """SIGCONT."""
        self.fault("resume", slot)
        self._children[slot].resume()

    def stop(self, slot: str, grace_s: float = GRACE_S) -> float:
        """SIGTERM, and -9 after the grace; it stays away. Returns the seconds it took to end."""
        with self._lock:
            self._wanted.discard(slot)
        self.fault("stop", slot)
        began = time.monotonic()
        self._children[slot].stop(grace_s)
        return time.monotonic() - began

    def stop_all(self) -> None:
        """Stops every worker cleanly."""
        for slot in self.slots:
            self.stop(slot)

    def fault(self, what: str, slot: str, **more: Any) -> None:
        """Notes a fault in the timeline; scenarios note theirs (a broker, a proxy) with it too."""
        pid = self.pid(slot) if slot in self._children else 0
        self.history.add("fault", what=what, target=slot, pid=pid, **more)

    def log(self, slot: str, lines: int = 30) -> str:
        """The last lines of a worker's log."""
        path = self.folder / f"{slot}.log"
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        return "\n".join(text.splitlines()[-lines:]) or self._children[slot].log_tail(lines)

    def operations(self, *more: Path) -> list[Operation]:
        """What the workers did and what was done to them, by time."""
        paths: Iterable[Path] = (*self.folder.glob("worker-*.jsonl"), self.folder / "faults.jsonl", *more)
        return merged(paths)

    def _supervise(self) -> None:
        while not self._over.wait(LOOK_S):
            for slot in self.slots:
                self._revive(slot)

    def _revive(self, slot: str) -> None:
        with self._lock:
            child = self._children[slot]
            if slot not in self._wanted or child.alive:
                return
            child.start()
            self.restarts[slot] += 1
        self.fault("restart", slot)
