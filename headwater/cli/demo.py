"""`headwater demo`: the whole platform for a minute, on documents that ship with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headwater.cli.exits import say, usage
from headwater.cli.local import settings_of

if TYPE_CHECKING:
    from headwater.demo import Entry, Timed
    from headwater.local.stack import Stack
    from streams.settings import Settings

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command()(demo)


def demo(
    context: typer.Context,
    corpus: Annotated[Path, typer.Option(help="A folder of documents, with a questions.json beside it.")] = Path(
        "examples/corpus"
    ),
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running afterwards.")] = False,
) -> None:
    """Start a real Kafka, ingest documents, ask, edit, delete, ask again. Leaves nothing running."""
    from headwater.demo import script_of
    from headwater.local.spec import stack_spec
    from headwater.local.stack import Stack

    if not corpus.is_dir() or not script_of(corpus).is_file():
        raise usage(
            f"wanted a folder {str(corpus)!r} and a questions.json beside it; run it in a checkout, or give --corpus"
        )
    settings = settings_of(context)
    began = time.monotonic()

    def report(line: str) -> None:
        say(f"{time.monotonic() - began:6.1f} s  {line}")

    stack = Stack(stack_spec(settings, detached=keep), report)
    try:
        stack.up()
        _show(settings, stack, corpus, report)
        print(f"\nDone in {time.monotonic() - began:.1f} s.")
    finally:
        if keep:
            say("still running: headwater status, headwater ask, headwater down")
        else:
            stack.down()


def _show(settings: Settings, stack: Stack, corpus: Path, report: Callable[[str], None]) -> None:
    from headwater.cli.logs import configure
    from headwater.demo import Demo

    configure(quiet_kafka=True)
    entry = _entry(settings, stack)
    demo = Demo(entry, corpus, settings.local.state_folder.absolute() / "demo", stack.addresses.gateway_url, report)
    try:
        report(f"documents in: {demo.ingest()} published, each with its receipt")
        _heading("Five questions")
        first = [_print(question, timed) for question, timed in demo.ask_all()]
        _heading("One document edited")
        _print(*demo.edit(), doing="edit to new answer")
        _heading("One document deleted")
        _print(*demo.delete(), doing="delete to an answer without it")
        _heading("The way of the first answer")
        _trace(entry, first[0].answer.answer_id)
    finally:
        demo.close()


def _entry(settings: Settings, stack: Stack) -> Entry:
    from headwater.cli.reaching import codec_for, entrance_for
    from headwater.demo import Entry

    addresses = stack.addresses
    there = settings.model_copy(
        update={
            "kafka": settings.kafka.model_copy(update={"bootstrap": addresses.bootstrap}),
            "registry": settings.registry.model_copy(update={"url": addresses.registry_url}),
            "claims_folder": stack.spec.state_folder / "claims",
        }
    )
    return Entry(there, codec_for(there), entrance_for(there))


def _heading(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}")


def _print(question: str, timed: Timed, doing: str = "question to answer") -> Timed:
    from headwater.cli.ask import print_answer

    print(f"\n> {question}")
    print_answer(timed.answer)
    print(f"{doing}: {timed.ms:.0f} ms")
    return timed


def _trace(entry: Entry, answer_id: str) -> None:
    from headwater.cli.trace import print_answer_trace
    from streams.reading import Reader
    from streams.tracing import AnswerTrace, trace

    with Reader(entry.settings.kafka, entry.codec, entry.entrance.clock) as reader:
        found = trace(reader, answer_id, "")
    if isinstance(found, AnswerTrace):
        print_answer_trace(found)
