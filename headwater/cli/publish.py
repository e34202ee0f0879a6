"""`headwater publish FILE|-`: one document, from a file or from stdin; or its end."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headwater.cli.exits import usage
from headwater.cli.options import add
from headwater.cli.output import OutputOption, emit
from headwater.cli.reaching import Tenant, ToKafka, codec_for, entrance_for, reach

if TYPE_CHECKING:
    from schemas.documents import DocumentChanged, DocumentDeleted
    from streams.settings import Settings

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    add(app, publish)


@dataclass(frozen=True, kw_only=True)
class PublishOptions(ToKafka):
    """What `publish` can be told."""

    file: Annotated[str, typer.Argument(help="A file, or - for stdin.")]
    tenant: Tenant
    document: Annotated[str, typer.Option(help="Its name within the tenant; else the file's name.")] = ""
    media_type: Annotated[str, typer.Option(help="What it is; else known by the name's ending.")] = ""
    title: Annotated[str, typer.Option(help="Shown in citations; else taken from the content.")] = ""
    access: Annotated[list[str] | None, typer.Option(help="Who may see it: *, group:x, user:y. May repeat.")] = None
    delete: Annotated[bool, typer.Option("--delete", help="Take the document out instead.")] = False
    output: OutputOption = "table"

    @property
    def name(self) -> str:
        """The document's name. Raises a usage error where neither option nor file gives one."""
        if not self.document and self.file == "-":
            raise usage("wanted --document NAME, since stdin has no name of its own")
        return self.document or Path(self.file).name


def publish(context: typer.Context, options: PublishOptions) -> None:
    """Put a document on its topic, straight over Kafka; it is searchable a moment later."""
    from headwater.cli.logs import configure
    from streams.publishing import Publisher
    from topics.ingest import DOCUMENT_CHANGED

    configure(quiet_kafka=True)
    settings = reach(context, options)
    event = _deleted(options) if options.delete else _changed(options, settings)
    with Publisher(settings.kafka, codec_for(settings), entrance_for(settings)) as publisher:
        receipt = publisher.publish(DOCUMENT_CHANGED, event)
    if options.output == "json":
        emit({"tenant": options.tenant, "document": options.name, **dataclasses.asdict(receipt)})
    else:
        print(f"{options.name}: {receipt.topic}/{receipt.partition}@{receipt.offset}")


def _deleted(options: PublishOptions) -> DocumentDeleted:
    from schemas.documents import DocumentDeleted

    return DocumentDeleted(tenant=options.tenant, document=options.name, reason="deleted by command")


def _changed(options: PublishOptions, settings: Settings) -> DocumentChanged:
    from adapters.folder_claims import FolderClaims
    from adapters.folder_source import media_type_of
    from streams.publishing import Upload, document_changed

    upload = Upload(
        tenant=options.tenant,
        document=options.name,
        body=_body(options.file, settings.watch.max_file_bytes),
        media_type=options.media_type or media_type_of(options.name),
        title=options.title,
        access=tuple(options.access or ("*",)),
    )
    return document_changed(upload, FolderClaims(settings.claims_folder))


def _body(file: str, most: int) -> bytes:
    if file == "-":
        body = sys.stdin.buffer.read(most + 1)
    elif Path(file).is_file():
        with Path(file).open("rb") as opened:
            body = opened.read(most + 1)
    else:
        raise usage(f"wanted a file that exists, got {file!r}")
    if len(body) > most:
        raise usage(f"wanted at most {most} bytes (setting watch.max_file_bytes), {file!r} has more")
    return body
