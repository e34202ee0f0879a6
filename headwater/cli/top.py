"""`headwater top`: every hop live, one line each: how far behind, how fast, how slow, and whether all is well."""

from __future__ import annotations

import dataclasses
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from headwater.cli.exits import DONE, UNAVAILABLE, usage
from headwater.cli.options import add
from headwater.cli.output import OutputOption, emit

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

    from headwater.cli.hop_rates import HopRow, Watched
    from headwater.cli.keys import Keys
    from headwater.cli.worker_page import WorkerPage

__all__ = ["register"]

# A page takes a few milliseconds; a worker that needs longer than this between two of its bytes is as good as away,
# and so is one that takes longer for all of them.
_ANSWER_S: Final = 2.0
_LOOK_S: Final = 3.0
_WIDE: Final = 200
_KEYS: Final = "q quits"
# How soon a key is felt while workers are asked.
_TICK_S: Final = 0.05


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    add(app, top)


@dataclass(frozen=True, kw_only=True)
class TopOptions:
    """What `top` can be told."""

    url: Annotated[
        list[str] | None,
        typer.Option(help="Where a worker serves /metrics. May repeat. Else the stack's worker."),
    ] = None
    interval: Annotated[float, typer.Option(min=0.1, max=60.0, help="Seconds between two looks.")] = 1.0
    once: Annotated[bool, typer.Option("--once", help="Look twice, print one table, and end.")] = False
    output: OutputOption = "table"


def top(context: typer.Context, options: TopOptions) -> None:
    """Show every hop live: lag, rates, step times, and what should be rare. q or Ctrl-C ends it.

    Reads the /metrics of the workers. Counts of what should be rare are those since the worker began, with +N for what
    came while you watched. In a pipe it prints a table after the other; with --output json, one line per look.
    Exit 4 where --once found no worker.
    """
    looks = _Looks([_as_url(url) for url in options.url or _workers(context)])
    if options.once:
        _wait(looks, options.interval)
        _print(looks, options.output)
        raise typer.Exit(DONE if looks.any_there else UNAVAILABLE)
    console = _console()
    try:
        if options.output == "json" or not console.is_terminal or console.is_dumb_terminal:
            _stream(looks, options)
        else:
            _live(looks, options.interval, console)
    except KeyboardInterrupt:
        # The usual way to end it: no error.
        return


class _Looks:
    """The workers and what was seen of them; each look asks all of them at once."""

    def __init__(self, urls: Sequence[str]) -> None:
        from headwater.cli.hop_rates import Watched

        self.workers = [Watched(url) for url in dict.fromkeys(urls)]
        self._order: tuple[str, ...] | None = None

    @property
    def any_there(self) -> bool:
        return any(worker.away_since is None for worker in self.workers)

    def look(self) -> None:
        """Asks every worker at once; one that does not answer in time holds up nobody for longer."""
        at = time.monotonic()
        asked = [_Asked(worker.url, at) for worker in self.workers]
        for worker, answer in zip(self.workers, asked, strict=True):
            answer.join(max(0.0, at + _LOOK_S - time.monotonic()))
            if answer.page is not None:
                worker.saw(answer.page)
            else:
                worker.missed(answer.problem, at)

    def rows(self) -> list[HopRow]:
        from headwater.cli.hop_rates import rows

        if self._order is None:
            self._order = _order()
        return rows(self.workers, self._order)


class _Asked(threading.Thread):
    """One request under way: its page, or why there is none."""

    def __init__(self, url: str, at: float) -> None:
        super().__init__(daemon=True)
        self.page: WorkerPage | None = None
        self.problem = "no answer in time"
        self._url = url
        self._at = at
        self.start()

    def run(self) -> None:
        from headwater.cli.worker_page import PageError, fetch_page

        try:
            self.page = fetch_page(self._url, self._at, _ANSWER_S)
        except PageError as error:
            self.problem = str(error)


def _wait(looks: _Looks, interval: float) -> None:
    looks.look()
    time.sleep(interval)
    looks.look()


def _print(looks: _Looks, output: str) -> None:
    rows = looks.rows()
    if output == "json":
        emit(_as_json(rows, looks.workers))
        return
    from headwater.cli.hop_table import picture

    console = _console()
    console.print(picture(rows, looks.workers, console.width, time.monotonic()))


def _stream(looks: _Looks, options: TopOptions) -> None:
    """For a pipe: a table, or a line of JSON, after the other."""
    looks.look()
    while True:
        time.sleep(options.interval)
        looks.look()
        _print(looks, options.output)
        if options.output != "json":
            print(flush=True)


def _live(looks: _Looks, interval: float, console: Console) -> None:
    from rich.live import Live

    from headwater.cli.keys import Keys

    with Keys() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        while not _turn(looks, interval, live, keys):
            pass


def _turn(looks: _Looks, interval: float, live: Live, keys: Keys) -> bool:
    """One look, drawn, and the wait for the next; whether it was the last."""
    due = time.monotonic() + interval
    looking = threading.Thread(target=looks.look, daemon=True)
    looking.start()
    while looking.is_alive():
        if keys.pressed("q", _TICK_S):
            return True
    live.update(_screen(looks, live.console), refresh=True)
    return keys.pressed("q", due - time.monotonic())


def _screen(looks: _Looks, console: Console) -> Any:
    from rich.console import Group
    from rich.text import Text

    from headwater.cli.hop_table import fitting, picture

    rows = looks.rows()
    away = sum(worker.away_since is not None for worker in looks.workers)
    shown = fitting(rows, console.height - away)
    left_out = len(rows) - len(shown)
    whole = picture(shown, looks.workers, console.width, time.monotonic(), left_out)
    return Group(whole, Text(f"{time.strftime('%H:%M:%S')}  {_KEYS}", style="dim"))


def _as_json(rows: Sequence[HopRow], workers: Sequence[Watched]) -> dict[str, Any]:
    now = time.monotonic()
    return {
        "at": time.time(),
        "workers": [
            {
                "url": worker.url,
                "there": worker.away_since is None,
                "away_s": 0.0 if worker.away_since is None else round(now - worker.away_since, 1),
                "reason": worker.reason,
            }
            for worker in workers
        ],
        "hops": [dataclasses.asdict(row) for row in rows],
    }


def _console() -> Console:
    """A console that colours nothing where nobody sees it or NO_COLOR asks for that; a pipe gets every column."""
    import os

    from rich.console import Console

    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    plain = bool(os.environ.get("NO_COLOR"))
    return Console(highlight=False, color_system=None if plain else "auto", width=_WIDE if piped else None)


def _workers(context: typer.Context) -> list[str]:
    """The running stack's worker, as `status` knows it, else the one that the settings give a port."""
    from headwater.cli.reaching import reach
    from headwater.local.spec import Addresses

    settings = reach(context)
    stack = Addresses.read(settings.local.state_folder)
    if stack is not None:
        return [stack.worker_url]
    if settings.worker.ops_port:
        return [f"http://{settings.worker.ops_host}:{settings.worker.ops_port}"]
    raise usage(
        "wanted a worker that serves /metrics: no stack was ever started from this folder, and worker.ops_port is 0; "
        "run `headwater up`, or give --url http://HOST:PORT"
    )


def _as_url(given: str) -> str:
    return given if "://" in given else f"http://{given}"


def _order() -> tuple[str, ...]:
    """The hops in the order of the journeys."""
    from streams.selection import JOURNEYS

    return tuple(f"{name}.{step}" for name, journey in JOURNEYS.items() for step in journey.steps)
