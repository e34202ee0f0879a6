"""`headwater eval`: how well passages are found and questions answered, by the real steps, on labelled questions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headwater.cli.local import settings_of
from headwater.cli.output import OutputOption, emit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


__all__ = ["register"]

group = typer.Typer(help="Measure quality on labelled data.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to an application."""
    app.add_typer(group, name="eval")


@group.callback()
def _group() -> None:
    """Measure quality on labelled data."""


_Passages = Annotated[Path, typer.Option(help="JSON lines {id, text, article?}: each becomes a document.")]
_Limit = Annotated[int, typer.Option(help="Only this many questions, evenly spread; 0 is all.", min=0)]


@group.command()
def retrieval(
    context: typer.Context,
    passages: _Passages,
    questions: Annotated[
        Path,
        typer.Option(help="JSON lines {id, question}, and the `passage` that answers it or `relevant`, {id: grade}."),
    ],
    limit: _Limit = 0,
    output: OutputOption = "table",
) -> None:
    """Ingest passages, ask questions, and report recall@1, recall@5, mrr@10 and ndcg@10.

    Runs the steps of both journeys in memory over a local index of its own: no broker is needed, none is touched.
    """
    from headwater.cli.exits import say
    from streams.evaluation import evaluate_retrieval
    from streams.trial import read_lines

    asked = _some(read_lines(questions, ("id", "question")), limit)
    _print(evaluate_retrieval(settings_of(context), read_lines(passages, ("id", "text")), asked, say), output)


@group.command()
def answers(
    context: typer.Context,
    passages: _Passages,
    questions: Annotated[
        Path, typer.Option(help="JSON lines {id, question, answers}: the golden ones; none where there is no answer.")
    ],
    limit: _Limit = 0,
    output: OutputOption = "table",
) -> None:
    """Ingest passages, ask questions, and report how many are answered right, and rightly declined.

    The whole journey runs in memory: what is cited is checked against the passages, and the confidence is measured by
    the AUC of answerable against unanswerable questions and by a risk-coverage curve.
    """
    from headwater.cli.exits import say
    from streams.answer_evaluation import evaluate_answers
    from streams.trial import read_lines

    asked = _some(read_lines(questions, ("id", "question", "answers")), limit)
    _print(evaluate_answers(settings_of(context), read_lines(passages, ("id", "text")), asked, say), output)


def _some(lines: Sequence[dict[str, Any]], limit: int) -> Sequence[dict[str, Any]]:
    """As many lines, evenly spread."""
    return lines[:: len(lines) // limit][:limit] if 0 < limit < len(lines) else lines


def _print(report: Mapping[str, Any], output: str) -> None:
    if output == "json":
        emit(report)
        return
    for name, value in report.items():
        if isinstance(value, list):
            for row in value:
                print(f"{name:<18} {_row(row)}")
        elif isinstance(value, dict):
            print(f"{name:<18} {_row(value)}")
        else:
            print(f"{name:<18} {value:.4f}" if isinstance(value, float) else f"{name:<18} {value}")


def _row(numbers: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {number:.4f}" for name, number in numbers.items())
