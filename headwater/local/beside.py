"""The parts of the full profile that are other people's servers.

A new one is one line in `beside`: anything with this surface fits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from headwater.local.child import Child
from headwater.local.connect import ConnectSpec, KafkaConnect
from headwater.local.downloads import Progress
from headwater.local.postgres import PostgresServer, PostgresSpec
from headwater.local.spec import StackSpec

__all__ = ["Server", "beside"]


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
        PostgresServer(PostgresSpec(spec.state_folder / "postgres", detached=spec.detached)),
        KafkaConnect(connect, progress),
    )
