"""Redis as a part of the local stack: the system's own `redis-server` as a child process, on loopback."""

from __future__ import annotations

import shutil
import socket
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final

from headwater.local.child import Child, ChildSpec
from headwater.local.errors import LocalStackError
from headwater.local.ports import HOST, choose_port

__all__ = ["RedisMissingError", "RedisServer"]

_PROGRAM: Final = "redis-server"
_GRACE_S: Final = 10.0
_READY_S: Final = 15.0
_PING_S: Final = 1.0


class RedisMissingError(LocalStackError):
    """No `redis-server` was found on this machine."""

    exit_code: ClassVar[int] = 4


class RedisServer:
    """A Redis with a folder of its own, for the view of heads.

    >>> server = RedisServer(Path("redis"))
    >>> server.begin(24100)  # doctest: +SKIP
    >>> server.await_ready(15.0)  # doctest: +SKIP
    >>> server.stop()

    It writes a log of what it holds once a second, so that a restart goes on where it was, and refuses writes when its
    memory is full rather than drop anything. As a context it runs inside, on a free port.
    """

    def __init__(self, folder: Path, port: int = 0, detached: bool = False) -> None:
        self.port = port
        self.child = Child(ChildSpec("redis", (), folder, detached=detached))

    @property
    def name(self) -> str:
        """Its name in status, logs and messages."""
        return self.child.spec.name

    @property
    def url(self) -> str:
        """Where it is reached, as the setting `heads.url` wants it."""
        return f"redis://{HOST}:{self.port}/0"

    @property
    def data_folder(self) -> Path:
        """Where it keeps what it holds."""
        return self.child.spec.folder / "data"

    def begin(
        self, port: int = 0, environment: tuple[tuple[str, str], ...] = (), program: tuple[str, ...] = ()
    ) -> None:
        """Start it without waiting, unless it runs. Raises RedisMissingError; `program` stands in for the system's.

        A port of 0 is the one used last time, or any free one.
        """
        if self.child.alive:
            return
        self.port = choose_port("Redis", port, self.port)
        self.data_folder.mkdir(parents=True, exist_ok=True)
        command = (*(program or (_found(),)), *self._options())
        self.child.spec = replace(self.child.spec, command=command, environment=environment)
        self.child.start()

    def is_ready(self) -> bool:
        """Whether it answers now: while it reads its own log at a start it refuses."""
        try:
            with socket.create_connection((HOST, self.port), timeout=_PING_S) as asked:
                asked.settimeout(_PING_S)
                asked.sendall(b"PING\r\n")
                return asked.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    def await_ready(self, deadline_s: float = _READY_S) -> None:
        """Wait until it answers. Raises ChildDiedError or NotReadyError with its last output."""
        self.child.await_ready(self.is_ready, deadline_s)

    def stop(self) -> None:
        """Stop it, by force when its grace is over."""
        self.child.stop(_GRACE_S)

    def __enter__(self) -> RedisServer:
        self.begin()
        self.await_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _options(self) -> tuple[str, ...]:
        options = {
            "port": str(self.port),
            "bind": HOST,
            "dir": str(self.data_folder.absolute()),
            "daemonize": "no",
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
        }
        return tuple(word for name, value in options.items() for word in (f"--{name}", value))


def _found() -> str:
    path = shutil.which(_PROGRAM)
    if path is None:
        raise RedisMissingError(
            f"wanted {_PROGRAM!r} (7.0 or newer) on this machine, found none; install it (apt install {_PROGRAM}), "
            "or set heads.kind to memory"
        )
    return path
