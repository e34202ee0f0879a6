"""`headwater ask "…"`: a question, and its answer with numbered citations."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from headwater.cli.exits import FAILED
from headwater.cli.options import add
from headwater.cli.output import Output, OutputOption, dim, emit
from headwater.cli.reaching import Tenant, ToGateway, client_for

if TYPE_CHECKING:
    from headwater.values import Answer, Citation

__all__ = ["print_answer", "register"]

_QUOTE_CHARS = 160


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    add(app, ask)


@dataclass(frozen=True, kw_only=True)
class AskOptions(ToGateway):
    """What `ask` can be told."""

    question: Annotated[str, typer.Argument(help="In your own words.")]
    tenant: Tenant
    group: Annotated[list[str] | None, typer.Option(help="A group you are in: group:x. May be given again.")] = None
    user: Annotated[str, typer.Option(help="Ask as this user.")] = ""
    memory: Annotated[bool, typer.Option("--memory", help="Look at this user's notes as well.")] = False
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.", min=0.1)] = 20.0
    output: OutputOption = "table"


def ask(context: typer.Context, options: AskOptions) -> None:
    """Ask a question; exit 1 where the documents don't answer it, 4 where nobody can be asked."""
    with client_for(context, options) as client:
        groups = tuple(options.group or ())
        who = {"groups": groups, "user": options.user, "memory": options.memory}
        answer = client.ask(options.question, options.tenant, timeout_s=options.timeout, **who)
    _print(answer, options.output)
    if not answer.answered:
        raise typer.Exit(FAILED)


def _print(answer: Answer, output: Output) -> None:
    if output == "json":
        emit({**dataclasses.asdict(answer), "answered": answer.answered})
        return
    print_answer(answer)


def print_answer(answer: Answer) -> None:
    """An answer for people: its text, then where each number stands."""
    print(answer.text)
    if answer.citations:
        print()
    for citation in answer.citations:
        print(_cited(citation))
    print(dim(f"answer {answer.answer_id}; its way: headwater trace {answer.answer_id}"))


def _cited(citation: Citation) -> str:
    quote = " ".join(citation.quote.split())
    quote = quote if len(quote) <= _QUOTE_CHARS else quote[:_QUOTE_CHARS].rsplit(" ", 1)[0] + " …"
    page = f", page {citation.page}" if citation.page is not None else ""
    if citation.memory:
        return f"[{citation.number}] your own note ({citation.memory}) “{quote}”"
    return f"[{citation.number}] {citation.title or citation.document} ({citation.document}{page}) “{quote}”"
