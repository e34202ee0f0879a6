"""`headwater up`, `down`, `status`, `logs` and `registry`: the stack on this machine."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from headwater.cli.exits import say
from headwater.cli.output import Output, OutputOption, emit, table

if TYPE_CHECKING:
    from headwater.local.spec import PartStatus
    from streams.settings import Settings

__all__ = ["register", "settings_of"]

_FOLLOW_S: Final = 0.2


def register(app: typer.Typer) -> None:
    """Add the commands of the local stack to an application."""
    app.command()(up)
    app.command()(down)
    app.command()(status)
    app.command()(logs)
    app.command()(registry)


def up(
    context: typer.Context,
    profile: Annotated[str, typer.Option(help="embedded, or full (with Connect and Postgres beside it).")] = "embedded",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Return when everything can be used.")] = True,
) -> None:
    """Start Kafka, the registry, a worker and the gateway; what runs already is left running."""
    from headwater.local.spec import require_profile, stack_spec
    from headwater.local.stack import Stack

    require_profile(profile)
    stack = Stack(stack_spec(settings_of(context), profile=profile), say, _progress)
    stack.up(wait=wait)
    _print_status(stack.status(), "table")
    say(f"ask at {stack.addresses.gateway_url}, Kafka is {stack.addresses.bootstrap}; stop with: headwater down")


def down(
    context: typer.Context,
    remove: Annotated[bool, typer.Option("--remove", help="Delete the state folder too: topics, index, logs.")] = False,
) -> None:
    """Stop everything that `up` started, workers before Kafka."""
    from headwater.local.spec import stack_spec
    from headwater.local.stack import Stack

    stack = Stack(stack_spec(settings_of(context)), say)
    stopped = stack.down()
    left = stack.remove() if remove else []
    say(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")
    if remove:
        say(f"removed what it kept; left in its folder: {', '.join(left)}" if left else "removed what it kept")


def status(context: typer.Context, output: OutputOption = "table") -> None:
    """Show each part: process, port, whether it can be used now, memory. Exit 4 where one of them can't."""
    from headwater.local.spec import stack_spec
    from headwater.local.stack import Stack

    parts = Stack(stack_spec(settings_of(context))).status()
    _print_status(parts, output)
    if not all(part.ready for part in parts):
        raise typer.Exit(4)


def logs(
    context: typer.Context,
    part: Annotated[str, typer.Argument(help="A part as `status` names it; all of them if left out.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing what is added.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Lines of each log to begin with.")] = 40,
) -> None:
    """Print what the parts of the stack have said."""
    from headwater.local.spec import stack_spec
    from headwater.local.stack import Stack

    children = {one.name: one.child for one in Stack(stack_spec(settings_of(context))).parts}
    if part and part not in children:
        raise typer.BadParameter(f"wanted one of {', '.join(children)}; got {part!r}")
    chosen = {name: child for name, child in children.items() if part in ("", name)}
    for name, child in chosen.items():
        _print_lines(name if not part else "", child.log_tail(lines))
    if follow:
        _follow({name if not part else "": child.log_path for name, child in chosen.items()})


def registry(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 18081,
    host: Annotated[str, typer.Option(help="Address to listen on; a container says 0.0.0.0.")] = "127.0.0.1",
) -> None:
    """Run the schema registry, with its state in Kafka, until it is told to stop."""
    from headwater.local.registry import serve_registry

    serve_registry(settings_of(context).kafka.bootstrap, port, host)


def settings_of(context: typer.Context) -> Settings:
    """The settings that the application put into the context, or those of the environment."""
    from streams.settings import Settings, load

    return context.obj if isinstance(context.obj, Settings) else load()


def _progress(done: int, total: int, name: str) -> None:
    end = "\n" if done == total else ""
    if sys.stderr.isatty():
        print(f"\r\033[Kfetching Kafka: {done} of {total}, {name}", end=end, file=sys.stderr, flush=True)
    elif done % 20 == 0 or done == total:
        say(f"fetching Kafka: {done} of {total}")


def _print_status(parts: list[PartStatus], output: Output) -> None:
    if output == "json":
        emit([asdict(part) for part in parts])
        return
    rows = [
        {
            "part": part.name,
            "state": "ready" if part.ready else "starting" if part.pid else "down",
            "pid": part.pid or "-",
            "port": part.port or "-",
            "MB": part.memory_mb or "-",
            "log": part.log,
        }
        for part in parts
    ]
    table(rows, list(rows[0]))


def _print_lines(name: str, text: str) -> None:
    for line in text.splitlines():
        print(f"{name:<9}| {line}" if name else line, flush=True)


def _follow(paths: dict[str, Path]) -> None:
    """Print what is added to the logs until Ctrl-C."""
    positions = {name: _size(path) for name, path in paths.items()}
    while True:
        for name, path in paths.items():
            text, positions[name] = _added(path, positions[name])
            _print_lines(name, text)
        time.sleep(_FOLLOW_S)


def _added(path: Path, position: int) -> tuple[str, int]:
    """The whole lines behind a position, and the position after them; a log that was begun anew is read from 0."""
    size = _size(path)
    begin = 0 if size < position else position
    if size == begin:
        return "", begin
    with path.open("rb") as log:
        log.seek(begin)
        text = log.read(size - begin)
    whole = text[: text.rfind(b"\n") + 1]
    return whole.decode("utf-8", errors="replace"), begin + len(whole)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
