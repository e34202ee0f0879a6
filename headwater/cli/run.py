"""`headwater run STEP…`: one worker process with the hops that are named. How production runs them."""

from __future__ import annotations

from typing import Annotated

import typer


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
) -> None:
    """Run hops until stopped: `headwater run ingest.parse+redact+chunk`.

    Adding a worker is starting one more: give each its own HEADWATER_WORKER__SLOT.
    """
    from headwater.cli.exits import usage
    from headwater.cli.local import settings_of
    from headwater.cli.logs import configure
    from streams.hop import JourneyError
    from streams.selection import select
    from streams.worker import Worker

    configure()
    settings = settings_of(context)
    try:
        selected = select(tuple(steps), sources=sources)
    except JourneyError as error:
        raise usage(str(error)) from error
    raise typer.Exit(Worker(settings, selected).run_as_process())
