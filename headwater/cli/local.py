"""`headwater up`, `down`, `status`, `logs` and `registry`: the stack on this machine."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from headwater.local.errors import LocalStackError
from streams.settings import Settings, SettingsError, load

if TYPE_CHECKING:
    from headwater.local.spec import PartStatus

__all__ = ["register", "reported", "settings_of"]

_FOLLOW_S: Final = 0.2

Output = Literal["table", "json"]
OutputOption = Annotated[Output, typer.Option("--output", help="What to print: a table, or JSON for programs.")]


def register(app: typer.Typer) -> None:
    """Add the commands of the local stack to an application."""
    app.command()(up)
    app.command()(down)
    app.command()(status)
    app.command()(logs)
    app.command()(registry)


def up(
    context: typer.Context,
    profile: Annotated[
        str, typer.Option(help="embedded, or full (with Connect, Weaviate, Redis, Postgres).")
    ] = "embedded",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Return when everything can be used.")] = True,
) -> None:
    """Start Kafka, the registry, a worker and the gateway; what runs already is left running."""
    from headwater.local.spec import require_profile, stack_spec
    from headwater.local.stack import Stack

    with reported():
        require_profile(profile)
        stack = Stack(stack_spec(settings_of(context)), _say, _progress)
        stack.up(wait=wait)
        _print_status(stack.status(), "table")
    _say(f"ask at {stack.addresses.gateway_url}, Kafka is {stack.addresses.bootstrap}; stop with: headwater down")


def down(
    context: typer.Context,
    remove: Annotated[bool, typer.Option("--remove", help="Delete the state folder too: topics, index, logs.")] = False,
) -> None:
    """Stop everything that `up` started, workers before Kafka."""
    from headwater.local.spec import stack_spec
    from headwater.local.stack import Stack

    with reported():
        stack = Stack(stack_spec(settings_of(context)), _say)
        stopped = stack.down()
        left = stack.remove() if remove else []
    _say(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")
    if remove:
        _say(f"removed what it kept; left in its folder: {', '.join(left)}" if left else "removed what it kept")


def status(context: typer.Context, output: OutputOption = "table") -> None:
    """Show each part: process, port, whether it can be used now, memory. Exit 4 where one of them can't."""
    from headwater.local.spec import stack_spec
    from headwater.local.stack import Stack

    with reported():
        parts = Stack(stack_spec(settings_of(context))).status()
        _print_status(parts, output)
    if not all(part.ready for part in parts):
        raise typer.Exit(4)


def logs(
    context: typer.Context,
    part: Annotated[str, typer.Argument(help="kafka, registry, worker or gateway; all of them if left out.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing what is added.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Lines of each log to begin with.")] = 40,
) -> None:
    """Print what the parts of the stack have said."""
    from headwater.local.spec import stack_spec
    from headwater.local.stack import Stack

    with reported():
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
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1 to listen on.")] = 18081,
) -> None:
    """Run the schema registry, with its state in Kafka, until it is told to stop."""
    from headwater.local.registry import serve_registry

    with reported():
        serve_registry(settings_of(context).kafka.bootstrap, port)


@contextmanager
def reported() -> Iterator[None]:
    """Turn an error of the stack or of the settings into its message on stderr and its exit code."""
    try:
        yield
    except LocalStackError as error:
        _say(f"error: {error}")
        raise typer.Exit(error.exit_code) from error
    except SettingsError as error:
        _say(f"error: {error}")
        raise typer.Exit(2) from error


def settings_of(context: typer.Context) -> Settings:
    """The settings that the application put into the context, or those of the environment."""
    return context.obj if isinstance(context.obj, Settings) else load()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _progress(done: int, total: int, name: str) -> None:
    end = "\n" if done == total else ""
    if sys.stderr.isatty():
        print(f"\r\033[Kfetching Kafka: {done} of {total}, {name}", end=end, file=sys.stderr, flush=True)
    elif done % 20 == 0 or done == total:
        _say(f"fetching Kafka: {done} of {total}")


def _print_status(parts: list[PartStatus], output: Output) -> None:
    if output == "json":
        print(json.dumps([asdict(part) for part in parts], indent=2))
        return
    print(f"{'part':<10}{'state':<10}{'pid':>8}{'port':>8}{'MB':>7}  log")
    for part in parts:
        state = "ready" if part.ready else "starting" if part.pid else "down"
        print(
            f"{part.name:<10}{state:<10}{part.pid or '-':>8}{part.port or '-':>8}{part.memory_mb or '-':>7}  {part.log}"
        )


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
