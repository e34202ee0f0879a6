"""`headwater compat [pin]`: whether answers are still made with what was pinned."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from headwater.cli.exits import GATE, say
from headwater.cli.local import settings_of
from headwater.cli.options import add
from headwater.cli.output import Output, OutputOption, emit, table

if TYPE_CHECKING:
    from streams.compat import Comparison, Difference

__all__ = ["register"]

_FILE: Final = Path("headwater.pins.yaml")
_NONE: Final = "-"


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    add(app, compat)


@dataclass(frozen=True, kw_only=True)
class CompatOptions:
    """What `compat` can be told."""

    action: Annotated[
        Literal["check", "pin"], typer.Argument(help="check: compare with the file; pin: write the file anew.")
    ] = "check"
    file: Annotated[Path, typer.Option(help="The file of pins; commit it.")] = _FILE
    output: OutputOption = "table"
    as_json: Annotated[bool, typer.Option("--json", help="The same as --output json.")] = False


def compat(context: typer.Context, options: CompatOptions) -> None:
    """Compare what answers are made with here (prompts, models, chunking, settings, schemas) with what was pinned.

    For CI: exit 0 where nothing differs, 3 where something does, 2 where there are no pins. Says of each difference
    what it means and what to do. Nothing is loaded and no server is asked.
    """
    from streams.compat import compared, read, write
    from streams.pins import pins_of

    here = pins_of(settings_of(context))
    if options.action == "pin":
        write(options.file, here)
        say(f"pinned {here.pipeline} in {options.file}")
        return
    found = compared(read(options.file), here)
    _print(found, here.pipeline, options.file, "json" if options.as_json else options.output)
    if found.differences:
        raise typer.Exit(GATE)


def _print(found: Comparison, pipeline: str, file: Path, output: Output) -> None:
    if output == "json":
        rows = [{**dataclasses.asdict(one), **dataclasses.asdict(one.meaning)} for one in found.differences]
        told = {"compatible": not rows, "pipeline": pipeline, "differences": rows, "not_compared": found.not_compared}
        emit(told)
        return
    for name in found.not_compared:
        say(f"not compared: {name} (can't be told here, or could not where it was pinned)")
    if not found.differences:
        print(f"nothing differs from {file}: {pipeline}")
        return
    for section, differences in groupby(found.differences, key=lambda one: one.section):
        _print_section(section, list(differences))
    count = len(found.differences)
    print(f"{count} {'thing differs' if count == 1 else 'things differ'} from {file}")


def _print_section(section: str, differences: list[Difference]) -> None:
    meaning = differences[0].meaning
    print(f"{section}: {meaning.means}")
    rows = [{"": "  ", "name": one.name, "pinned": _cell(one.pinned), "here": _cell(one.here)} for one in differences]
    table(rows, ["", "name", "pinned", "here"])
    print(f"  do: {meaning.do}\n")


def _cell(value: object) -> str:
    return _NONE if value is None else str(value)
