"""Weaviate's server, built once from its Go module and kept in the cache folder under the hash of its sources.

`weaviate_server/go.mod` and `go.sum` pin it and all that it needs, so that every machine builds the same.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Final

from headwater.local.errors import DiskFullError, LocalStackError, NotReadyError
from streams.settings import child_environment, user_cache

__all__ = ["GoMissingError", "WeaviateBuildError", "build", "built", "program_path", "weaviate_version"]

_MODULE: Final = Path(__file__).with_name("weaviate_server")
_PACKAGE: Final = "github.com/weaviate/weaviate/cmd/weaviate-server"
_PROGRAM: Final = "weaviate-server"
_VERSION: Final = re.compile(r"github\.com/weaviate/weaviate v(\S+)")

# Four minutes on two free cores; a machine that is busy may take several times as long.
_BUILD_S: Final = 1_800.0
# Module sources, the compiler's own cache and the program.
_LEAST_FREE_BYTES: Final = 4 * 1024**3
_POLL_S: Final = 0.2
_REPORT_EVERY: Final = 200
_TAIL_LINES: Final = 20

Report = Callable[[str], None]
"""Told in one line what is being done now."""


class GoMissingError(LocalStackError):
    """There is no Go tool chain, and no server that was built before."""

    exit_code: ClassVar[int] = 4


class WeaviateBuildError(LocalStackError):
    """The server can't be built; the message ends with what the Go tool said."""

    exit_code: ClassVar[int] = 4


def weaviate_version() -> str:
    """The version that is pinned.

    >>> weaviate_version()
    '1.38.9'
    """
    found = _VERSION.search((_MODULE / "go.mod").read_text(encoding="utf-8"))
    if found is None:
        raise WeaviateBuildError(f"wanted a pinned Weaviate in {_MODULE / 'go.mod'}, found none; restore the file")
    return found.group(1)


def program_path(cache_folder: Path) -> Path:
    """Where the program of these very sources belongs; other pins have another folder."""
    sums = hashlib.sha256(b"".join((_MODULE / name).read_bytes() for name in ("go.mod", "go.sum"))).hexdigest()
    return cache_folder / "weaviate" / sums[:16] / _PROGRAM


def built(cache_folder: Path) -> Path | None:
    """The program, None where it was not built yet."""
    program = program_path(cache_folder)
    return program if program.is_file() else None


def build(cache_folder: Path, report: Report | None = None, deadline_s: float = _BUILD_S, go: str = "go") -> Path:
    """Make sure that the program is in the cache, and return its path. Use it before each start; mostly it only looks.

        >>> build(Path.home() / ".cache" / "headwater")  # doctest: +SKIP
        PosixPath('/home/ada/.cache/headwater/weaviate/5261bd2ff0f39fe9/weaviate-server')

    Two that meet build once: the second waits for the first. Raises GoMissingError, DiskFullError, WeaviateBuildError,
    and NotReadyError where it takes longer than `deadline_s`.
    """
    program = program_path(cache_folder)
    if program.is_file():
        return program
    compiler = shutil.which(go)
    if compiler is None:
        raise GoMissingError(
            f"wanted Weaviate {weaviate_version()} for this machine: it is built from its Go module, but there is no "
            "Go tool chain on the PATH; install Go 1.26 or newer (https://go.dev/doc/install), or use the local index "
            "(index.kind=local)"
        )
    program.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with _alone(program.parent / "build.lock", deadline_s):
        if not program.is_file():
            _require_room(program.parent)
            _compile(compiler, program, report or (lambda _: None), deadline_s - (time.monotonic() - began))
    return program


def main() -> int:
    """Builds it for this user: `python -m headwater.local.weaviate_build`, before tests that would not wait so long."""
    try:
        print(build(user_cache(), print))
    except LocalStackError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


@contextmanager
def _alone(path: Path, deadline_s: float) -> Iterator[None]:
    began = time.monotonic()
    with path.open("a") as lock:
        while not _taken(lock.fileno()):
            if time.monotonic() - began > deadline_s:
                raise NotReadyError(
                    f"another process has been building Weaviate for {deadline_s:g} s; wait for its end"
                )
            time.sleep(_POLL_S)
        yield


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _require_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < _LEAST_FREE_BYTES:
        raise DiskFullError(
            f"building Weaviate in {str(folder)!r}: wanted {_LEAST_FREE_BYTES >> 20} MB free, there are "
            f"{free >> 20} MB; make room, or set local.cache_folder to a folder on another disk"
        )


def _compile(compiler: str, program: Path, report: Report, deadline_s: float) -> None:
    """Builds beside the program's place and moves it there whole, so that a build that was stopped leaves none."""
    partial = program.with_name(f".{_PROGRAM}.building")
    command = [compiler, "build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", str(partial)]
    report(f"building Weaviate {weaviate_version()} from its Go module: some minutes, once")
    with subprocess.Popen(
        [*command, _PACKAGE],
        cwd=_MODULE,
        env=child_environment(GOWORK="off", GOFLAGS="-mod=readonly"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        overdue = threading.Event()

        def end() -> None:
            overdue.set()
            process.kill()

        timer = threading.Timer(max(0.0, deadline_s), end)
        timer.start()
        try:
            tail = _followed(process, report)
        finally:
            timer.cancel()
            process.kill()
    _judge(process.returncode, overdue.is_set(), deadline_s, tail)
    partial.replace(program)


def _followed(process: subprocess.Popen[str], report: Report) -> str:
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    assert process.stderr is not None
    for number, line in enumerate(process.stderr, start=1):
        tail.append(line.rstrip())
        if number % _REPORT_EVERY == 0:
            report(f"building Weaviate: {number} packages, {tail[-1]}")
    process.wait()
    return "\n".join(tail)


def _judge(status: int, overdue: bool, deadline_s: float, tail: str) -> None:
    if overdue:
        raise NotReadyError(f"building Weaviate had not ended after {deadline_s:.0f} s; run it again, it goes on there")
    if status != 0:
        raise WeaviateBuildError(
            f"building Weaviate {weaviate_version()}: the Go tool ended with exit status {status}; it needs Go 1.26 or "
            f"newer and, the first time, the network for its modules. The last it said:\n{tail}"
        )


if __name__ == "__main__":
    sys.exit(main())
