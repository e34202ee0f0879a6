"""One child process of the stack: started, watched, stopped, and never mistaken for another.

Its pid file holds the moment the process began as the kernel counts it, and which boot that was in: a number that was
given to another process since is recognised, and that process is never signalled.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from headwater.local.errors import ChildDiedError, NotReadyError
from streams.settings import child_environment

__all__ = ["Child", "ChildSpec", "Identity", "write_whole"]

_POLL_S: Final = 0.02
_KILL_WAIT_S: Final = 10.0
_TAIL_BYTES: Final = 64 * 1024
_TETHER: Final = Path(__file__).with_name("tether.py")
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")

# A tethered child is tied to the thread that started it, not to the process: so all are started by one thread that
# lives as long as the process does.
_SPAWNER: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")

# Processes whose exit status nobody has taken yet: a `Child` may be dropped before its process ends, and what no object
# holds any more would stay a zombie. Those that ended are let go at the next start. Touched by the spawner alone.
_UNREAPED: Final[list[subprocess.Popen[bytes]]] = []

# A process of many threads is seen to have ended some moments before its exit status can be had.
_STATUS_WAIT_S: Final = 5.0


@dataclass(frozen=True)
class Identity:
    """A process that can't be confused with a later one of the same number."""

    pid: int
    started_ticks: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The process that has this number now; None where there is none, or only its exit status is left."""
        try:
            # The command's name, in brackets, may hold anything: the fields are counted from the last bracket.
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        if fields[0] in "ZX":
            return None
        return cls(pid, int(fields[19]), _BOOT_ID.read_text(encoding="utf-8").strip())

    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        return Identity.of(self.pid) == self

    def signal(self, number: signal.Signals) -> None:
        """Signal this process, unless it is gone."""
        if self.is_alive():
            os.kill(self.pid, number)


@dataclass(frozen=True)
class ChildSpec:
    """What to run, where its log and pid files go, and whether it outlives its parent."""

    name: str
    command: tuple[str, ...]
    folder: Path
    environment: tuple[tuple[str, str], ...] = ()
    detached: bool = False


class Child:
    """A process named by its spec; a second object of the same spec finds the same process by its pid file.

    >>> import tempfile
    >>> child = Child(ChildSpec("nap", ("sleep", "60"), Path(tempfile.mkdtemp())))
    >>> child.start()
    >>> child.stop(grace_s=2.0)
    >>> child.alive
    False
    """

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self._process: subprocess.Popen[bytes] | None = None
        self._identity: Identity | None = None

    @property
    def log_path(self) -> Path:
        """Where its output goes."""
        return self.spec.folder / f"{self.spec.name}.log"

    @property
    def pid_path(self) -> Path:
        """Where its identity is kept."""
        return self.spec.folder / f"{self.spec.name}.pid"

    @property
    def identity(self) -> Identity | None:
        """The running process, or None; a pid file that speaks of a process that is gone says nothing."""
        if self._identity is not None and self._identity.is_alive():
            return self._identity
        if self._process is not None:
            self._process.poll()
        try:
            written = Identity(**json.loads(self.pid_path.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return written if written.is_alive() else None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.identity is not None

    @property
    def pid(self) -> int | None:
        """Its number while it runs."""
        identity = self.identity
        return None if identity is None else identity.pid

    @property
    def memory_bytes(self) -> int:
        """Its resident memory, 0 when it does not run."""
        identity = self.identity
        if identity is None:
            return 0
        try:
            pages = int(Path(f"/proc/{identity.pid}/statm").read_text(encoding="utf-8").split()[1])
        except (FileNotFoundError, ProcessLookupError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE")

    def start(self) -> None:
        """Start it, unless it runs already. Raises ChildDiedError where the command can't be run at all."""
        if self.alive:
            return
        self.spec.folder.mkdir(parents=True, exist_ok=True)
        self.pid_path.unlink(missing_ok=True)
        self._process = _SPAWNER.submit(self._spawn).result()
        self._identity = Identity.of(self._process.pid)
        if self._identity is not None:
            write_whole(self.pid_path, json.dumps(asdict(self._identity)))

    def _spawn(self) -> subprocess.Popen[bytes]:
        """Start the process in a session of its own, so that a Ctrl-C reaches the parent alone."""
        try:
            if self.log_path.exists():
                # What the run before said is worth keeping once: it may tell why there had to be another.
                self.log_path.replace(self.log_path.with_suffix(".log.1"))
            _UNREAPED[:] = [process for process in _UNREAPED if process.poll() is None]
            with self.log_path.open("wb") as log:
                process = subprocess.Popen(
                    self._full_command(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=child_environment(**dict(self.spec.environment)),
                    start_new_session=True,
                )
            _UNREAPED.append(process)
            return process
        except OSError as error:
            command = self.spec.command[0]
            raise ChildDiedError(f"starting {self.spec.name}: {command!r} does not run: {error}") from error

    def _full_command(self) -> list[str]:
        if self.spec.detached:
            return list(self.spec.command)
        return [sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), *self.spec.command]

    def await_ready(self, ready: Callable[[], bool], deadline_s: float) -> None:
        """Wait until `ready` says so.

        Raises ChildDiedError as soon as the process ends, NotReadyError at the deadline; both show its last output.
        """
        began = time.monotonic()
        while not ready():
            if not self.alive:
                raise ChildDiedError(f"{self.spec.name} ended {self._exit()}{self._last_words()}")
            if time.monotonic() - began > deadline_s:
                raise NotReadyError(
                    f"{self.spec.name} runs (pid {self.pid}) but was not usable after {deadline_s:g} s; "
                    f"its log is {self.log_path}{self._last_words()}"
                )
            time.sleep(_POLL_S)

    def stop(self, grace_s: float) -> None:
        """Ask it to end, and kill it when the grace is over; a process that is not ours is left alone."""
        identity = self.identity
        if identity is not None:
            identity.signal(signal.SIGTERM)
            # One that was paused could not act on the request.
            identity.signal(signal.SIGCONT)
            if not self._ended(identity, grace_s):
                identity.signal(signal.SIGKILL)
                self._ended(identity, _KILL_WAIT_S)
        self.pid_path.unlink(missing_ok=True)

    def kill(self) -> None:
        """Kill it with -9 and wait until it is gone, for tests of what survives."""
        identity = self.identity
        if identity is not None:
            identity.signal(signal.SIGKILL)
            self._ended(identity, _KILL_WAIT_S)

    def pause(self) -> None:
        """Freeze it (SIGSTOP), as a long stall of the machine would."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._signal(signal.SIGCONT)

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of its output."""
        try:
            with self.log_path.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
                text = log.read().decode("utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:]) if lines else ""

    def _signal(self, number: signal.Signals) -> None:
        identity = self.identity
        if identity is None:
            raise ChildDiedError(f"wanted to send {number.name} to {self.spec.name}, which does not run")
        identity.signal(number)

    def _ended(self, identity: Identity, deadline_s: float) -> bool:
        began = time.monotonic()
        while identity.is_alive():
            if time.monotonic() - began > deadline_s:
                return False
            time.sleep(_POLL_S)
        if self._process is not None:
            self._process.wait(timeout=_KILL_WAIT_S)
        return True

    def _exit(self) -> str:
        if self._process is None:
            return "by itself"
        try:
            code = self._process.wait(timeout=_STATUS_WAIT_S)
        except subprocess.TimeoutExpired:
            return "by itself"
        return f"by signal {-code}" if code < 0 else f"with exit status {code}"

    def _last_words(self) -> str:
        tail = self.log_tail()
        return f"; the last it said:\n{tail}" if tail else " without a word"


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees all of it or none."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
