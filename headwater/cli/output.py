"""What a command prints on stdout: JSON for programs, a table for people."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import typer

__all__ = ["Output", "OutputOption", "dim", "emit", "table"]

Output = Literal["table", "json"]
OutputOption = Annotated[Output, typer.Option("--output", help="What to print: for people, or JSON for programs.")]


def emit(value: Any) -> None:
    """One JSON value on stdout, in one line: programs read line by line."""
    print(json.dumps(value, ensure_ascii=False, default=str), flush=True)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Rows under a heading, as wide as what stands in them; the last column takes what it needs.

    >>> table([{"topic": "a", "partitions": 4}], ["topic", "partitions"])
    topic  partitions
    a      4
    """
    cells = [[str(row.get(column, "")) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in [list(columns), *cells]) for i in range(len(columns))]
    for line in [list(columns), *cells]:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def dim(text: str) -> str:
    """Less important text, where a terminal shows it and nobody asked for none of that (NO_COLOR)."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\033[2m{text}\033[0m"
