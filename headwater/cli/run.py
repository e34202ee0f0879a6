"""`headwater run STEP…`: one worker process with the hops that are named. How production runs them."""

from __future__ import annotations

from typing import Annotated

import typer

_BUILDING = "ingest.generation"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(run)


def run(
    context: typer.Context,
    steps: Annotated[
        list[str],
        typer.Argument(help="`all`, a journey (ingest, answer, measure), or journey.step, steps to fuse joined by +."),
    ],
    sources: Annotated[
        bool, typer.Option(help="Also read other systems' topics (cdc.*) with `all` or `ingest`.")
    ] = False,
    generation: Annotated[
        list[str] | None,
        typer.Option(help="With `ingest.generation`: which to build and follow; may be repeated."),
    ] = None,
) -> None:
    """Run hops until stopped: `headwater run ingest.parse+redact+chunk`.

    A worker that runs `ingest` builds and follows every index generation there is. `headwater run ingest.generation
    --generation NAME` does only that, in a process of its own; an index in a folder has room for one process.

    Adding a worker is starting one more: give each its own HEADWATER_WORKER__SLOT.
    """
    from headwater.cli.exits import usage
    from headwater.cli.logs import configure
    from headwater.cli.reaching import reach
    from streams.hop import JourneyError
    from streams.selection import select
    from streams.worker import Worker

    configure()
    settings = reach(context)
    try:
        selected = select(tuple(step for step in steps if step != _BUILDING), sources=sources)
    except JourneyError as error:
        raise usage(str(error)) from error
    if (_BUILDING in steps) != bool(generation):
        raise usage(f"wanted {_BUILDING} together with --generation NAME, got one without the other")
    raise typer.Exit(Worker(settings, selected, only=generation or ()).run_as_process())
