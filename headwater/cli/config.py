"""`headwater config show`: every setting with its value, and who had the last word on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from headwater.cli.local import settings_of
from headwater.cli.options import add
from headwater.cli.output import OutputOption, emit, table

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the group of commands to an application."""
    group = typer.Typer(help="The settings that commands and workers would use here.", no_args_is_help=True)
    # A second command beside it keeps `show` a word of its own.
    group.callback()(lambda: None)
    add(group, show)
    app.add_typer(group, name="config")


@dataclass(frozen=True, kw_only=True)
class ShowOptions:
    """What `config show` can be told."""

    origin: Annotated[bool, typer.Option("--origin", help="Say where each value comes from.")] = False
    output: OutputOption = "table"


def show(context: typer.Context, options: ShowOptions) -> None:
    """Print every setting; secrets are masked. Names are those of the environment, with `__` for a dot."""
    from streams.origins import origins

    settings = settings_of(context)
    columns = ["name", "value", "place"] if options.origin else ["name", "value"]
    rows = [{"name": each.name, "value": each.value, "place": each.place} for each in origins(settings)]
    chosen = [{column: row[column] for column in columns} for row in rows]
    if options.output == "json":
        emit(chosen)
    else:
        table(chosen, columns)
