"""`headwater lineage`: from an answer back to its commits, and from a commit to the answers that cited it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headwater.cli.exits import usage
from headwater.cli.output import OutputOption, dim, emit, table
from headwater.cli.reaching import ToKafka, codec_for, reach

if TYPE_CHECKING:
    from schemas.envelope import Version
    from streams.lineage import AnswerLineage, Bounds, Forward
    from streams.reading import Reader

__all__ = ["register"]

group = typer.Typer(help="Follow answers back to their sources, and sources on to answers.", no_args_is_help=True)

Kafka = Annotated[str, typer.Option("--kafka", help="Brokers, host:port; else the settings', or the stack's.")]
Registry = Annotated[str, typer.Option("--registry", help="Schema registry; else the settings', or the stack's.")]
Since = Annotated[str, typer.Option("--since", help="Only answers of so long: 90s, 15m, 6h, 30d; else all.")]
Limit = Annotated[int, typer.Option("--limit", help="Show only so many, the newest.", min=1)]


def register(app: typer.Typer) -> None:
    """Add the commands to an application."""
    app.add_typer(group, name="lineage")


@group.callback()
def _group() -> None:
    """Follow answers back to their sources, and sources on to answers."""


@group.command()
def answer(
    context: typer.Context,
    answer_id: Annotated[str, typer.Argument(help="The id of an answer, which is its question's.")],
    output: OutputOption = "table",
    kafka: Kafka = "",
    registry: Registry = "",
) -> None:
    """Show what an answer cites: chunk, document version, the source's position, and the versions that made it."""
    from streams.lineage import lineage_of_answer

    with _reader(context, kafka, registry) as reader:
        found = lineage_of_answer(reader, answer_id)
    if output == "json":
        emit(_plain(found))
    else:
        _print_answer(found)


@group.command()
def document(
    context: typer.Context,
    tenant: Annotated[str, typer.Argument(help="Whose document.")],
    name: Annotated[str, typer.Argument(metavar="DOCUMENT", help="Its name.")],
    version: Annotated[str, typer.Option(help="Only this version: SOURCE/OFFSET, as citations have it.")] = "",
    since: Since = "",
    limit: Limit = 1_000,
    output: OutputOption = "table",
    kafka: Kafka = "",
    registry: Registry = "",
) -> None:
    """Show the answers that cited a document, in one version or in any."""
    from streams.lineage import answers_citing

    wanted, bounds = _version(version), _bounds(since, limit)
    with _reader(context, kafka, registry) as reader:
        found = answers_citing(reader, (tenant, name), wanted, bounds)
    _print_forward(found, output)


@group.command()
def commit(
    context: typer.Context,
    position: Annotated[str, typer.Argument(help="LSN 0/16B3748, record topic/partition@offset, git sha, file hash.")],
    since: Since = "",
    limit: Limit = 1_000,
    output: OutputOption = "table",
    kafka: Kafka = "",
    registry: Registry = "",
) -> None:
    """Show the answers that cited what a commit at the source made."""
    from streams.lineage import answers_of_commit

    bounds = _bounds(since, limit)
    with _reader(context, kafka, registry) as reader:
        found = answers_of_commit(reader, position, bounds)
    _print_forward(found, output)


@contextmanager
def _reader(context: typer.Context, kafka: str, registry: str) -> Iterator[Reader]:
    from adapters.host import SystemClock
    from headwater.cli.logs import configure
    from streams.reading import Reader

    configure(quiet_kafka=True)
    settings = reach(context, ToKafka(kafka=kafka, registry=registry))
    with Reader(settings.kafka, codec_for(settings), SystemClock()) as reader:
        yield reader


def _bounds(since: str, limit: int) -> Bounds:
    from adapters.host import SystemClock
    from headwater.cli.freshness import moment_before
    from streams.lineage import Bounds

    return Bounds(moment_before(SystemClock().now(), since), limit)


def _version(said: str) -> Version | None:
    from schemas.envelope import Version

    if not said:
        return None
    if not (found := re.fullmatch(r"([0-9]{1,20})/([0-9]{1,20})", said)):
        raise usage(f"wanted --version as SOURCE/OFFSET (0/17), got {said!r}")
    return Version(source=int(found[1]), offset=int(found[2]))


def _plain(found: Any) -> Any:
    from dataclasses import asdict

    import msgspec

    return msgspec.to_builtins(asdict(found))


def _print_answer(found: AnswerLineage) -> None:
    print(f"{found.tenant} asked: {found.question}\nanswer: {found.text}")
    print(dim(_said(found.made_by)))
    for citation, origin in found.citations:
        version = f"{citation.version.source}/{citation.version.offset}"
        print(f"\n[{citation.number}] {citation.document} version {version}, chunk {citation.chunk}")
        print(f"    “{' '.join(citation.quote.split())}”")
        print(f"    source position {origin.position}" + (f", record {origin.record}" if origin.record else ""))
        if origin.properties or origin.body_sha256:
            print(f"    {_said({**origin.properties, 'body_sha256': origin.body_sha256})}")
        if not origin.kept:
            print(dim("    the records of this version are no longer kept"))
        for event, made_by in origin.made_by.items():
            print(dim(f"    {event}: {_said(made_by)}"))


def _print_forward(found: Forward, output: str) -> None:
    if output == "json":
        emit(_plain(found))
        return
    print(f"{found.what}: cited by {found.found} of {found.read} answers that were read")
    rows = [
        {
            "answer": one.answer_id,
            "tenant": one.tenant,
            "cites": ", ".join(sorted({f"{c.document} {c.version.source}/{c.version.offset}" for c in one.citations})),
            "model": one.model,
            "prompt": one.prompt_version,
            "question": one.question,
        }
        for one in found.answers
    ]
    if rows:
        table(rows, ["answer", "tenant", "cites", "model", "prompt", "question"])


def _said(values: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items() if value)
