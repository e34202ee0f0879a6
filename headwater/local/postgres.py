"""A real PostgreSQL as a child process: initialised once, ready for logical decoding, reachable on loopback only."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final

from headwater.local.child import Child, ChildSpec
from headwater.local.errors import ChildDiedError, LocalStackError, ServerMissingError
from headwater.local.ports import HOST, choose_port

__all__ = ["PostgresServer", "PostgresSpec"]

# Logical decoding of pgoutput with row filters and column lists needs 15.
LOWEST_POSTGRES: Final = 15
_INIT_TIMEOUT_S: Final = 60.0
_ASK_TIMEOUT_S: Final = 5.0
_STOP_GRACE_S: Final = 10.0
_POLL_S: Final = 0.02

# Who runs the server where we are root, which it refuses to be: the package's own user, else one without any rights.
_STAND_INS: Final = ("postgres", "nobody")

_SETTINGS: Final = {
    "wal_level": "logical",
    "max_wal_senders": "8",
    "max_replication_slots": "8",
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    # A connector that never comes back must not fill the disk; `source status` says when its slot was given up.
    "max_slot_wal_keep_size": "4GB",
}


@dataclass(frozen=True)
class PostgresSpec:
    """Where a server lives; a port of 0 means the one used last time, or any free one. `settings` override its own."""

    folder: Path
    port: int = 0
    user: str = "headwater"
    database: str = "postgres"
    detached: bool = False
    ready_timeout_s: float = 30.0
    settings: tuple[tuple[str, str], ...] = ()


class PostgresServer:
    """One PostgreSQL: start it, use `dsn`, stop it. Its folder keeps its data and its port.

    >>> with PostgresServer(PostgresSpec(Path("state/postgres"))) as server:  # doctest: +SKIP
    ...     server.dsn
    'host=127.0.0.1 port=24811 user=headwater dbname=postgres'

    Whoever reaches loopback is let in: it is for development and tests. Not detached, it dies with this process.
    """

    def __init__(self, spec: PostgresSpec) -> None:
        self.spec = spec
        self.child = Child(ChildSpec(self.name, (), spec.folder, detached=spec.detached))
        self.port = _read_port(self._port_path)

    @property
    def name(self) -> str:
        """Its name in status, logs and messages."""
        return "postgres"

    @property
    def dsn(self) -> str:
        """How clients reach it (libpq's words); known from `begin` on."""
        return f"host={HOST} port={self.port} user={self.spec.user} dbname={self.spec.database}"

    @property
    def data_folder(self) -> Path:
        """The cluster's own folder."""
        return self.spec.folder / "data"

    def start(self) -> None:
        """Start and wait until it can be used."""
        self.begin()
        self.await_ready()

    def begin(self) -> None:
        """Start without waiting: initialise once, choose a port, start. A server that runs is left running."""
        if self.child.alive:
            return
        programs = find_postgres()
        self.spec.folder.mkdir(parents=True, exist_ok=True)
        self._initialise(programs)
        self.port = choose_port("PostgreSQL", self.spec.port, self.port)
        self._port_path.write_text(str(self.port), encoding="utf-8")
        options = {**_SETTINGS, "port": str(self.port), **dict(self.spec.settings)}
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        command = (*_as_other_user(), str(programs / "postgres"), "-D", str(self.data_folder.absolute()), *words)
        self.child.spec = replace(self.child.spec, command=command)
        self.child.start()

    def await_ready(self) -> None:
        """Wait until it takes connections. Raises ChildDiedError or NotReadyError with its last output."""
        self.child.await_ready(self.is_ready, self.spec.ready_timeout_s)

    def is_ready(self) -> bool:
        """Whether it takes connections now."""
        if not self.port:
            return False
        asked = (str(find_postgres() / "pg_isready"), "-q", "-h", HOST, "-p", str(self.port))
        return subprocess.run(asked, timeout=_ASK_TIMEOUT_S, check=False).returncode == 0

    def stop(self) -> None:
        """Stop it at once but cleanly (its fast shutdown), by force after a grace."""
        identity = self.child.identity
        if identity is not None:
            # SIGTERM would wait for its clients to leave first.
            identity.signal(signal.SIGINT)
            until = time.monotonic() + _STOP_GRACE_S
            while identity.is_alive() and time.monotonic() < until:
                time.sleep(_POLL_S)
        self.child.stop(_STOP_GRACE_S)

    def __enter__(self) -> PostgresServer:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _port_path(self) -> Path:
        return self.spec.folder / "port"

    def _initialise(self, programs: Path) -> None:
        if (self.data_folder / "PG_VERSION").exists():
            return
        shutil.rmtree(self.data_folder, ignore_errors=True)
        self.data_folder.mkdir(mode=0o700)
        if (stand_in := _stand_in()) is not None:
            _require_way(self.data_folder.absolute(), stand_in)
            os.chown(self.data_folder, stand_in.pw_uid, stand_in.pw_gid)
        words = ("--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-U", self.spec.user)
        command = (*_as_other_user(), str(programs / "initdb"), "-D", str(self.data_folder.absolute()), *words)
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INIT_TIMEOUT_S, check=False)
        if done.returncode != 0:
            shutil.rmtree(self.data_folder, ignore_errors=True)
            raise ChildDiedError(
                f"initialising PostgreSQL in {str(self.data_folder)!r} failed:\n{done.stdout}{done.stderr}"
            )


def find_postgres() -> Path:
    """The folder of PostgreSQL's programs, of the newest version. Raises ServerMissingError."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb") if path.parts[4].isdigit()]
    fit = [path for path in found if int(path.parts[4]) >= LOWEST_POSTGRES]
    if fit:
        return max(fit, key=lambda path: int(path.parts[4]))
    if on_path := shutil.which("initdb"):
        return Path(on_path).resolve().parent
    raise ServerMissingError(
        f"wanted the programs of PostgreSQL {LOWEST_POSTGRES} or newer, found none; install them (apt: postgresql)"
    )


def _stand_in() -> pwd.struct_passwd | None:
    """The user that the server runs as: None where we are not root."""
    if os.geteuid() != 0:
        return None
    for name in _STAND_INS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ServerMissingError(f"PostgreSQL does not run as root: wanted one of the users {', '.join(_STAND_INS)}")


def _as_other_user() -> tuple[str, ...]:
    """What makes a command run as the stand-in, still bound to the death of its parent."""
    user = _stand_in()
    if user is None:
        return ()
    ids = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    return ("setpriv", *ids, "--pdeathsig=keep")


def _require_way(folder: Path, user: pwd.struct_passwd) -> None:
    """A server that runs as another user must be able to walk to its folder."""
    closed = [
        parent
        for parent in folder.parents
        if not (parent.stat().st_mode & 0o001 or parent.stat().st_uid == user.pw_uid)
    ]
    if closed:
        folder.rmdir()
        raise LocalStackError(
            f"starting PostgreSQL in {str(folder)!r}: as root it runs as the user {user.pw_name!r}, who may not enter "
            f"{str(closed[-1])!r}; set local.state_folder to a folder whose parents others may enter, or do not be root"
        )


def _read_port(path: Path) -> int:
    try:
        return int(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return 0
