"""`headwater publish FILE|-`: one document, from a file or from stdin; or its end."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import typer

from headwater.cli.exits import usage
from headwater.cli.output import OutputOption, emit
from headwater.cli.reaching import KafkaOption, RegistryOption, TenantOption, codec_for, entrance_for, reach

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command()(publish)


def publish(
    context: typer.Context,
    file: Annotated[str, typer.Argument(help="A file, or - for stdin.")],
    tenant: TenantOption,
    document: Annotated[str, typer.Option(help="Its name within the tenant; else the file's name.")] = "",
    media_type: Annotated[str, typer.Option(help="What it is; else known by the name's ending.")] = "",
    title: Annotated[str, typer.Option(help="Shown in citations; else taken from the content.")] = "",
    access: Annotated[list[str] | None, typer.Option(help="Who may see it: *, group:x, user:y. May repeat.")] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Take the document out instead.")] = False,
    kafka: KafkaOption = "",
    registry: RegistryOption = "",
    output: OutputOption = "table",
) -> None:
    """Put a document on its topic, straight over Kafka; it is searchable a moment later."""
    from adapters.folder_claims import FolderClaims
    from adapters.folder_source import media_type_of
    from headwater.cli.logs import configure
    from schemas.documents import DocumentDeleted
    from streams.publishing import Publisher, Upload, document_changed
    from topics.ingest import DOCUMENT_CHANGED

    configure(quiet_kafka=True)
    name = document or _name_of(file)
    settings = reach(context, kafka, registry)
    with Publisher(settings.kafka, codec_for(settings), entrance_for(settings)) as publisher:
        if delete:
            receipt = publisher.publish(
                DOCUMENT_CHANGED, DocumentDeleted(tenant=tenant, document=name, reason="deleted by command")
            )
        else:
            upload = Upload(
                tenant=tenant,
                document=name,
                body=_body_of(file, settings.watch.max_file_bytes),
                media_type=media_type or media_type_of(name),
                title=title,
                access=tuple(access or ("*",)),
            )
            receipt = publisher.publish(
                DOCUMENT_CHANGED, document_changed(upload, FolderClaims(settings.claims_folder))
            )
    if output == "json":
        emit({"tenant": tenant, "document": name, **dataclasses.asdict(receipt)})
    else:
        print(f"{name}: {receipt.topic}/{receipt.partition}@{receipt.offset}")


def _name_of(file: str) -> str:
    if file == "-":
        raise usage("wanted --document NAME, since stdin has no name of its own")
    return Path(file).name


def _body_of(file: str, most: int) -> bytes:
    if file == "-":
        body = sys.stdin.buffer.read(most + 1)
    else:
        path = Path(file)
        if not path.is_file():
            raise usage(f"wanted a file that exists, got {file!r}")
        body = path.read_bytes() if path.stat().st_size <= most else b"\0" * (most + 1)
    if len(body) > most:
        raise usage(f"wanted at most {most} bytes (setting watch.max_file_bytes), {file!r} has more")
    return body
