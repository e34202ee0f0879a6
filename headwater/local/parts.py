"""The parts of the stack that are Headwater's own: commands as child processes, asked over HTTP whether they serve."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import httpx

from headwater.local.child import Child, ChildSpec
from headwater.local.errors import ChildDiedError, NotReadyError
from headwater.local.ports import HOST, is_open
from streams.settings import child_environment

__all__ = ["GATEWAY", "HEADWATER", "REGISTRY", "WORKER", "OwnPart", "PartKind", "run_command"]

_ANSWER_TIMEOUT_S: Final = 2.0

Environment = tuple[tuple[str, str], ...]

# The console script's own entry, under this interpreter, with no folder of the user's on the import path.
HEADWATER: Final = (sys.executable, "-P", "-m", "headwater.cli.main")


@dataclass(frozen=True)
class PartKind:
    """One of Headwater's long-running commands: what starts it, what says that it serves, how long its end may take."""

    name: str
    arguments: tuple[str, ...]
    port_option: str
    port_setting: str
    ready_path: str
    grace_s: float


# The registry has read its log once it lists subjects; the worker and the gateway know best themselves.
REGISTRY: Final = PartKind("registry", ("registry",), "--port", "", "/subjects", 10.0)
WORKER: Final = PartKind("worker", ("run", "all"), "", "HEADWATER_WORKER__OPS_PORT", "/readyz", 30.0)
GATEWAY: Final = PartKind("gateway", ("gateway",), "", "HEADWATER_GATEWAY__PORT", "/readyz", 10.0)


class OwnPart:
    """A registry, worker or gateway as a child process.

    >>> part = OwnPart(REGISTRY, Path("run"))
    >>> part.begin(24001, (("HEADWATER_KAFKA__BOOTSTRAP", "127.0.0.1:19092"),))  # doctest: +SKIP
    >>> part.await_ready(deadline_s=30.0)  # doctest: +SKIP
    >>> part.stop()
    """

    def __init__(self, kind: PartKind, folder: Path, port: int = 0, detached: bool = False) -> None:
        self.kind = kind
        self.port = port
        self.child = Child(ChildSpec(kind.name, (), folder, detached=detached))

    @property
    def name(self) -> str:
        """Its name in status, logs and messages."""
        return self.kind.name

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"http://{HOST}:{self.port}"

    def begin(self, port: int, environment: Environment, program: tuple[str, ...] = HEADWATER) -> None:
        """Start it without waiting, unless it runs; `program` is what understands Headwater's commands."""
        if self.child.alive:
            return
        self.port = port
        asked = (self.kind.port_option, str(port)) if self.kind.port_option else ()
        told = ((self.kind.port_setting, str(port)),) if self.kind.port_setting else ()
        self.child.spec = replace(
            self.child.spec,
            command=(*program, *self.kind.arguments, *asked),
            environment=(*_path_of_checkout(), *environment, *told),
        )
        self.child.start()

    def is_ready(self) -> bool:
        """Whether it serves now."""
        if not self.port or not is_open(self.port):
            return False
        try:
            # Never through a proxy: it is on loopback, whatever the environment says of proxies.
            answer = httpx.get(f"{self.url}{self.kind.ready_path}", timeout=_ANSWER_TIMEOUT_S, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.status_code == httpx.codes.OK

    def await_ready(self, deadline_s: float) -> None:
        """Wait until it serves. Raises ChildDiedError or NotReadyError with its last output."""
        self.child.await_ready(self.is_ready, deadline_s)

    def stop(self) -> None:
        """Stop it, by force when its grace is over."""
        self.child.stop(self.kind.grace_s)


def run_command(
    arguments: tuple[str, ...], environment: Environment, deadline_s: float, program: tuple[str, ...] = HEADWATER
) -> str:
    """Run one of Headwater's commands to its end and return what it printed.

    Raises ChildDiedError with its output where it failed, NotReadyError where it took longer than `deadline_s`.
    """
    shown = " ".join(("headwater", *arguments))
    try:
        done = subprocess.run(
            [*program, *arguments],
            env=child_environment(**dict((*_path_of_checkout(), *environment))),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=deadline_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NotReadyError(f"running {shown!r}: it had not ended after {deadline_s:g} s") from error
    if done.returncode != 0:
        raise ChildDiedError(f"running {shown!r}: exit status {done.returncode}; it said:\n{done.stdout}{done.stderr}")
    return done.stdout


def _path_of_checkout() -> Environment:
    """What a bare checkout needs in addition: an installed Headwater is found without."""
    try:
        importlib.metadata.version("headwater")
    except importlib.metadata.PackageNotFoundError:
        return (("PYTHONPATH", str(Path(__file__).parents[2])),)
    return ()
