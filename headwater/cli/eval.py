"""`headwater eval retrieval`: how well passages are found, through the real steps, on labelled questions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headwater.cli.output import OutputOption, emit

if TYPE_CHECKING:
    from streams.evaluation import Report

__all__ = ["register"]

group = typer.Typer(help="Measure quality on labelled data.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to an application."""
    app.add_typer(group, name="eval")


@group.callback()
def _group() -> None:
    """Measure quality on labelled data."""


@group.command()
def retrieval(
    context: typer.Context,
    passages: Annotated[Path, typer.Option(help="JSON lines {id, text, article?}: each becomes a document.")],
    questions: Annotated[Path, typer.Option(help="JSON lines {id, question, passage}: the passage that answers it.")],
    limit: Annotated[int, typer.Option(help="Only this many questions, evenly spread; 0 is all.", min=0)] = 0,
    output: OutputOption = "table",
) -> None:
    """Ingest passages, ask questions, and report recall@1, recall@5, mrr@10 and ndcg@10.

    Runs the steps of both journeys in memory over a local index of its own: no broker is needed, none is touched.
    """
    from headwater.cli.exits import say
    from streams.evaluation import evaluate_retrieval, read_lines
    from streams.settings import Settings, load

    settings = context.obj if isinstance(context.obj, Settings) else load()
    asked = read_lines(questions, ("id", "question", "passage"))
    if limit and limit < len(asked):
        asked = asked[:: len(asked) // limit][:limit]
    report = evaluate_retrieval(settings, read_lines(passages, ("id", "text")), asked, say)
    _print(report, output)


def _print(report: Report, output: str) -> None:
    if output == "json":
        emit(report)
        return
    for name, value in report.items():
        print(f"{name:<12} {value:.4f}" if isinstance(value, float) else f"{name:<12} {value}")
