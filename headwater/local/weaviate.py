"""Weaviate as a part of the local stack: one node as a child process, on loopback, with a folder of its own."""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final

import httpx

from headwater.local.child import Child, ChildSpec, write_whole
from headwater.local.errors import NotReadyError, PortTakenError
from headwater.local.ports import HOST, choose_port, is_free, is_open
from headwater.local.weaviate_build import Report, build

__all__ = ["KEY_FILE", "WeaviateServer"]

KEY_FILE: Final = "weaviate.key"
"""Where its folder keeps what clients must show."""


_GRACE_S: Final = 30.0
_READY_S: Final = 60.0
_ANSWER_S: Final = 2.0
_PORTS: Final = ("Weaviate", "gRPC of Weaviate", "Weaviate's gossip", "Weaviate's data", "Weaviate's raft")
_TRIES: Final = 50


class WeaviateServer:
    """A Weaviate with a folder of its own. Its folder keeps its data and its ports.

    >>> server = WeaviateServer(Path("weaviate"), Path("cache"))
    >>> server.begin()  # doctest: +SKIP
    >>> server.await_ready(60.0)  # doctest: +SKIP
    >>> server.stop()

    The first `begin` on a machine builds the program, which takes minutes (`weaviate_build.py`). `memory_mb` is what Go
    tries to stay below. As a context it runs inside. Not detached (the default), it dies with this process.

    HTTP listens on loopback only. Its gRPC and its cluster port can't be told to: this server listens with them on
    every address of the machine. So both want a key that only this folder holds (`api_key`).
    """

    def __init__(
        self,
        folder: Path,
        cache_folder: Path,
        detached: bool = False,
        memory_mb: int = 1024,
        report: Report | None = None,
    ) -> None:
        self._folder, self._cache_folder, self._memory_mb, self._report = folder, cache_folder, memory_mb, report
        self.child = Child(ChildSpec("weaviate", (), folder, detached=detached))
        self._ports = _read_ports(self._ports_path)

    @property
    def name(self) -> str:
        """Its name in status, logs and messages."""
        return self.child.spec.name

    @property
    def port(self) -> int:
        """The port of its HTTP; 0 before its first start."""
        return self._ports[0]

    @property
    def grpc_port(self) -> int:
        """The port of its gRPC, which searches and writes use."""
        return self._ports[1]

    @property
    def url(self) -> str:
        """Where it is reached, as the setting `index.url` wants it."""
        return f"http://{HOST}:{self.port}"

    @property
    def api_key(self) -> str:
        """What clients must show, as the setting `index.api_key` wants it; made at the first question for it."""
        path = self._folder / KEY_FILE
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(32), encoding="utf-8")
        return path.read_text(encoding="utf-8")

    @property
    def data_folder(self) -> Path:
        """Where it keeps what it holds."""
        return self._folder / "data"

    def begin(self, port: int = 0, environment: tuple[tuple[str, str], ...] = (), program: Path | None = None) -> None:
        """Start it without waiting, unless it runs; builds the program where it is absent and none is given.

        A port of 0 is the one used last time, or any free one. Raises GoMissingError, WeaviateBuildError.
        """
        if self.child.alive:
            return
        built = program or build(self._cache_folder, self._report)
        self.data_folder.mkdir(parents=True, exist_ok=True)
        self._ports = _chosen_ports(port, self._ports)
        write_whole(self._ports_path, json.dumps(self._ports))
        command = (str(built), "--host", HOST, "--port", str(self.port), "--scheme", "http")
        self.child.spec = replace(
            self.child.spec, command=command, environment=(*self._environment().items(), *environment)
        )
        self.child.start()

    def is_ready(self) -> bool:
        """Whether it answers over both doors now."""
        if not self.port or not is_open(self.port) or not is_open(self.grpc_port):
            return False
        try:
            # Never through a proxy: it is on loopback, whatever the environment says of proxies.
            answer = httpx.get(f"{self.url}/v1/.well-known/ready", timeout=_ANSWER_S, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.status_code == httpx.codes.OK

    def await_ready(self, deadline_s: float = _READY_S) -> None:
        """Wait until it answers. Raises ChildDiedError or NotReadyError with its last output."""
        if not self.port:
            raise NotReadyError("wanted a Weaviate that was begun, this one was not; call begin first")
        self.child.await_ready(self.is_ready, deadline_s)

    def stop(self) -> None:
        """Stop it, by force when its grace is over."""
        self.child.stop(_GRACE_S)

    def __enter__(self) -> WeaviateServer:
        try:
            self.begin()
            self.await_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _ports_path(self) -> Path:
        return self._folder / "weaviate-ports.json"

    def _environment(self) -> dict[str, str]:
        _, grpc, gossip, data, raft = self._ports
        return {
            "PERSISTENCE_DATA_PATH": str(self.data_folder.absolute()),
            "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "false",
            "AUTHENTICATION_APIKEY_ENABLED": "true",
            "AUTHENTICATION_APIKEY_ALLOWED_KEYS": self.api_key,
            "AUTHENTICATION_APIKEY_USERS": "headwater",
            "CLUSTER_BASIC_AUTH_USERNAME": "headwater",
            "CLUSTER_BASIC_AUTH_PASSWORD": self.api_key,
            "DEFAULT_VECTORIZER_MODULE": "none",
            "AUTOSCHEMA_ENABLED": "false",
            # Written means searchable: with it, vectors would wait in a queue of their own.
            "ASYNC_INDEXING": "false",
            "DISABLE_TELEMETRY": "true",
            "GRPC_PORT": str(grpc),
            "CLUSTER_HOSTNAME": "node1",
            "CLUSTER_IN_LOCALHOST": "true",
            "CLUSTER_ADVERTISE_ADDR": HOST,
            "CLUSTER_GOSSIP_BIND_PORT": str(gossip),
            "CLUSTER_DATA_BIND_PORT": str(data),
            "RAFT_PORT": str(raft),
            "RAFT_INTERNAL_RPC_PORT": str(raft + 1),
            "RAFT_BOOTSTRAP_EXPECT": "1",
            "GOMEMLIMIT": f"{self._memory_mb}MiB",
        }


def _chosen_ports(port: int, kept: tuple[int, ...]) -> tuple[int, ...]:
    """Raft on loopback calls itself at the port after its own, so that one must be free too."""
    first = tuple(map(choose_port, _PORTS, (port, 0, 0, 0), kept))
    for remembered in (kept[-1], *([0] * _TRIES)):
        raft = choose_port(_PORTS[-1], 0, remembered)
        if is_free(raft + 1) and not {raft, raft + 1} & set(first):
            return (*first, raft)
    raise PortTakenError(f"looking for two free ports in a row for Weaviate's raft: found none in {_TRIES} tries")


def _read_ports(path: Path) -> tuple[int, ...]:
    try:
        ports = tuple(int(port) for port in json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return (0,) * len(_PORTS)
    return ports if len(ports) == len(_PORTS) else (0,) * len(_PORTS)
