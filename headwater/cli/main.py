"""The `headwater` command: every module beside this one adds its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from headwater.cli import (
    access,
    ask,
    audit,
    compat,
    config,
    demo,
    dlq,
    doctor,
    erase,
    eval,
    freshness,
    gateway,
    index,
    lineage,
    local,
    memory,
    publish,
    render,
    run,
    source,
    standing,
    tail,
    top,
    topics,
    trace,
    watch,
)
from headwater.cli.exits import INTERRUPTED, code_of, say

__all__ = ["app", "main"]

# In the order in which a newcomer needs them.
PARTS: Final = (
    demo,
    local,
    ask,
    publish,
    access,
    erase,
    watch,
    source,
    standing,
    memory,
    tail,
    trace,
    lineage,
    freshness,
    top,
    topics,
    dlq,
    index,
    run,
    gateway,
    config,
    doctor,
    audit,
    eval,
    compat,
    render,
)

app = typer.Typer(
    name="headwater",
    no_args_is_help=True,
    # Plain help: the library that would draw boxes takes longer to import than everything else together.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for part in PARTS:
    part.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        print(metadata.version("headwater"))
        raise typer.Exit


@app.callback()
def headwater(
    context: typer.Context,
    settings: Annotated[Path | None, typer.Option("--config", help="Settings file; else headwater.yaml here.")] = None,
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Retrieval-augmented generation as a stream: every step an event on a Kafka topic."""
    if settings is not None:
        from streams.settings import load

        context.obj = load(settings)


def main() -> None:
    """The console script. Exit codes: 0 done, 1 failed, 2 usage, 3 gate not passed, 4 dependency unavailable."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has seen enough; a second error at exit would only confuse.
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        code = code_of(error)
        if code is None:
            raise
        say(f"error: {error}")
        sys.exit(code)


if __name__ == "__main__":
    main()
