"""What a local stack is, where it is reached and how it does: the values that the stack and its commands share."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headwater.local.errors import LocalStackError
from headwater.local.parts import HEADWATER
from streams.settings import Settings, user_cache

__all__ = [
    "Addresses",
    "PartStatus",
    "StackSpec",
    "notes",
    "remembered_ports",
    "remembered_profile",
    "require_profile",
    "stack_spec",
]

PROFILES: Final = ("embedded", "full")


@dataclass(frozen=True)
class StackSpec:
    """Where a stack lives and how it runs; a port of 0 means the one used last time, or any free one.

    `quick` starts the broker with half the work, at less throughput: for demos and tests. `weaviate_mb` is what
    Weaviate tries to stay below; beyond it, it refuses writes.
    """

    state_folder: Path
    cache_folder: Path
    java: str | None = None
    heap_mb: int = 512
    kafka_port: int = 0
    registry_port: int = 0
    gateway_port: int = 0
    worker_port: int = 0
    detached: bool = True
    quick: bool = False
    environment: tuple[tuple[str, str], ...] = ()
    program: tuple[str, ...] = HEADWATER
    ready_timeout_s: float = 90.0
    profile: str = "embedded"
    weaviate_mb: int = 1_024


@dataclass(frozen=True)
class Addresses:
    """Where a stack is reached, as its folder remembers it."""

    bootstrap: str
    registry_url: str
    gateway_url: str
    worker_url: str
    connect_url: str = ""
    postgres_port: int = 0
    redis_url: str = ""
    weaviate_url: str = ""
    weaviate_grpc_port: int = 0

    @classmethod
    def read(cls, state_folder: Path) -> Addresses | None:
        """The addresses of the stack in this folder; None where none was ever started."""
        try:
            kept = json.loads(notes(state_folder).read_text(encoding="utf-8"))
            return cls(**kept["addresses"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None


@dataclass(frozen=True)
class PartStatus:
    """One part of a stack as it is now."""

    name: str
    pid: int | None
    port: int
    ready: bool
    memory_mb: int
    log: str


def stack_spec(settings: Settings, detached: bool = True, profile: str = "") -> StackSpec:
    """The stack that the settings describe. Use it in commands; tests write a spec of their own.

    Without a profile it is the one that was started last in its folder.
    """
    local = settings.local
    return StackSpec(
        state_folder=local.state_folder.absolute(),
        cache_folder=local.cache_folder or user_cache(),
        java=local.java or None,
        heap_mb=local.heap_mb,
        kafka_port=local.kafka_port,
        registry_port=local.registry_port,
        gateway_port=local.gateway_port,
        weaviate_mb=local.weaviate_mb,
        worker_port=settings.worker.ops_port,
        detached=detached,
        quick=not detached,
        profile=profile or remembered_profile(local.state_folder),
    )


def require_profile(profile: str) -> None:
    """Refuse a profile that there is none of, before anything is started or stopped."""
    if profile not in PROFILES:
        raise LocalStackError(f"wanted a profile 'embedded' or 'full', got {profile!r}")


def notes(state_folder: Path) -> Path:
    """The file that remembers where a stack is reached, and by which its folder is known."""
    return state_folder / "stack.json"


def remembered_ports(state_folder: Path) -> dict[str, int]:
    """The ports that a stack in this folder used last."""
    try:
        kept = json.loads(notes(state_folder).read_text(encoding="utf-8"))
        return {str(name): int(port) for name, port in kept["ports"].items()}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def remembered_profile(state_folder: Path) -> str:
    """The profile that was started last in this folder."""
    try:
        kept = json.loads(notes(state_folder).read_text(encoding="utf-8")).get("profile")
    except (FileNotFoundError, ValueError, AttributeError):
        return PROFILES[0]
    return str(kept) if kept in PROFILES else PROFILES[0]
