"""`headwater access set`: who may see a document, changed without touching its content."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated

import typer

from headwater.cli.exits import usage
from headwater.cli.options import add
from headwater.cli.output import OutputOption, emit
from headwater.cli.reaching import ToKafka, codec_for, entrance_for, reach

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the group of commands to an application."""
    group = typer.Typer(help="Who may see a document.", no_args_is_help=True)
    # A group of one command would take its place.
    group.callback()(lambda: None)
    add(group, set)
    app.add_typer(group, name="access")


@dataclass(frozen=True, kw_only=True)
class SetOptions(ToKafka):
    """What `access set` can be told."""

    tenant: Annotated[str, typer.Argument(help="Whose document.")]
    document: Annotated[str, typer.Argument(help="Its name within the tenant.")]
    access: Annotated[list[str] | None, typer.Argument(help="Everyone who may see it: *, group:x, user:y.")] = None
    nobody: Annotated[bool, typer.Option("--nobody", help="Nobody may see it.")] = False
    output: OutputOption = "table"


def set(context: typer.Context, options: SetOptions) -> None:
    """Set who may see a document, in place of whoever could: a revocation holds at the next question."""
    from headwater.cli.logs import configure
    from processors.answer.fence import not_principals
    from schemas.documents import AccessChanged
    from streams.publishing import Publisher
    from topics.ingest import ACCESS_CHANGED

    if bool(options.access) == options.nobody:
        raise usage("wanted who may see the document (*, group:x, user:y), or --nobody")
    access = tuple(options.access or ())
    if wrong := not_principals(access):
        raise usage(f"wanted *, group:NAME or user:NAME, got {wrong[0]!r}")
    configure(quiet_kafka=True)
    settings = reach(context, options)
    event = AccessChanged(tenant=options.tenant, document=options.document, access=access)
    with Publisher(settings.kafka, codec_for(settings), entrance_for(settings)) as publisher:
        receipt = publisher.publish(ACCESS_CHANGED, event)
    if options.output == "json":
        emit({"tenant": options.tenant, "document": options.document, "access": access, **dataclasses.asdict(receipt)})
    else:
        print(f"{options.document}: {receipt.topic}/{receipt.partition}@{receipt.offset}")
