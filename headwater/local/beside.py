"""The parts of the full profile that are other people's servers.

A new one is one line in `beside`: anything with this surface fits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from headwater.local.child import Child
from headwater.local.connect import ConnectSpec, KafkaConnect
from headwater.local.downloads import Progress
from headwater.local.postgres import PostgresServer, PostgresSpec
from headwater.local.redis_server import RedisServer
from headwater.local.spec import StackSpec, remembered_ports
from headwater.local.weaviate import WeaviateServer

__all__ = ["Server", "addresses_beside", "beside", "client_settings", "is_asked_at_start"]


class Server(Protocol):
    """A server as a child process: begun without waiting, awaited, asked, stopped."""

    @property
    def name(self) -> str: ...

    @property
    def child(self) -> Child: ...

    @property
    def port(self) -> int: ...

    def begin(self) -> None: ...

    def await_ready(self) -> None: ...

    def is_ready(self) -> bool: ...

    def stop(self) -> None: ...


def beside(spec: StackSpec, bootstrap: Callable[[], str], progress: Progress | None = None) -> tuple[Server, ...]:
    """The servers that a profile has beside Kafka and our own parts; `bootstrap` is asked after the broker began."""
    if spec.profile != "full":
        return ()
    connect = ConnectSpec(
        spec.state_folder / "connect",
        spec.cache_folder,
        bootstrap,
        java=spec.java,
        detached=spec.detached,
        quick=spec.quick,
        ready_timeout_s=spec.ready_timeout_s,
    )
    return (
        RedisServer(
            spec.state_folder / "redis", remembered_ports(spec.state_folder).get("redis", 0), detached=spec.detached
        ),
        WeaviateServer(
            spec.state_folder / "weaviate", spec.cache_folder, detached=spec.detached, memory_mb=spec.weaviate_mb
        ),
        PostgresServer(PostgresSpec(spec.state_folder / "postgres", detached=spec.detached)),
        KafkaConnect(connect, progress),
    )


def is_asked_at_start(server: Server) -> bool:
    """Whether a worker asks it before it serves: then it has to be there first."""
    return isinstance(server, RedisServer | WeaviateServer)


def addresses_beside(servers: Iterable[Server]) -> dict[str, Any]:
    """Where they are reached, as the stack's folder remembers it; no secret is among it."""
    found: dict[str, Any] = {}
    for server in servers:
        if isinstance(server, RedisServer):
            found["redis_url"] = server.url
        if isinstance(server, WeaviateServer):
            found |= {"weaviate_url": server.url, "weaviate_grpc_port": server.grpc_port}
        if isinstance(server, PostgresServer):
            found["postgres_port"] = server.port
        if isinstance(server, KafkaConnect):
            found["connect_url"] = server.url
    return found


def client_settings(servers: Iterable[Server]) -> tuple[tuple[str, str], ...]:
    """What workers and gateways are told of them; known once they began."""
    told: list[tuple[str, str]] = []
    for server in servers:
        if isinstance(server, RedisServer):
            told += [("HEADWATER_HEADS__KIND", "redis"), ("HEADWATER_HEADS__URL", server.url)]
        if isinstance(server, WeaviateServer):
            told += [
                ("HEADWATER_INDEX__KIND", "weaviate"),
                ("HEADWATER_INDEX__URL", server.url),
                ("HEADWATER_INDEX__GRPC_PORT", str(server.grpc_port)),
                ("HEADWATER_INDEX__API_KEY", server.api_key),
            ]
    return tuple(told)
