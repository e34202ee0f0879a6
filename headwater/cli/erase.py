"""`headwater erase TENANT DOCUMENT`: everything of a document out of every store, with a receipt."""

from __future__ import annotations

import dataclasses
import datetime
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headwater.cli.exits import FAILED, UNAVAILABLE, say, usage
from headwater.cli.options import add
from headwater.cli.output import OutputOption, emit, table
from headwater.cli.reaching import ToKafka, codec_for, entrance_for, reach

if TYPE_CHECKING:
    from schemas.documents import DocumentErased
    from streams.publishing import Published
    from streams.settings import Settings

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    add(app, erase)


@dataclass(frozen=True, kw_only=True)
class EraseOptions(ToKafka):
    """What `erase` can be told."""

    tenant: Annotated[str, typer.Argument(help="Whose document.")]
    document: Annotated[str, typer.Argument(help="Its name. It stands in receipts for ever; its text does not.")]
    reason: Annotated[str, typer.Option(help="Stands on the receipt.")] = ""
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the receipt and print it.")] = False
    timeout: Annotated[float, typer.Option(min=1.0, help="How long to wait, seconds.")] = 120.0
    output: OutputOption = "table"


def erase(context: typer.Context, options: EraseOptions) -> None:
    """Erase a document from every store, not only from what is found: the receipt says what each of them holds after.

    Remove it at its source first, else the source may publish it again; that is allowed, and a new life.
    """
    from headwater.cli.logs import configure

    configure(quiet_kafka=True)
    if not options.tenant.strip() or "|" in options.tenant or not options.document.strip():
        raise usage(f"wanted a tenant and a document, got {options.tenant!r} and {options.document!r}")
    settings = reach(context, options)
    if not options.wait:
        published = _request(settings, options)
        _say_requested(options, published)
        return
    receipt = _waited(settings, options)
    if receipt is None:
        say(f"error: no receipt within {options.timeout:g} s; the request stands: is a worker running?")
        raise typer.Exit(UNAVAILABLE)
    _show(receipt, options)
    if any(store.left for store in receipt.stores if store.store != "dead letters"):
        raise typer.Exit(FAILED)


def _request(settings: Settings, options: EraseOptions) -> Published:
    from schemas.documents import ErasureRequested
    from streams.publishing import Publisher
    from topics.ingest import ERASURE_REQUESTED

    event = ErasureRequested(tenant=options.tenant, document=options.document, reason=options.reason)
    with Publisher(settings.kafka, codec_for(settings), entrance_for(settings)) as publisher:
        return publisher.publish(ERASURE_REQUESTED, event)


def _waited(settings: Settings, options: EraseOptions) -> DocumentErased | None:
    from adapters.host import SystemClock
    from schemas.documents import DocumentErased
    from streams.reading import Reader
    from topics.ingest import DOCUMENT_ERASED

    stop, asked = threading.Event(), list[str]()
    alarm = threading.Timer(options.timeout, stop.set)
    alarm.daemon = True
    alarm.start()
    try:
        with Reader(settings.kafka, codec_for(settings), SystemClock()) as reader:
            told = reader.follow(
                [DOCUMENT_ERASED.name], stop, lambda: asked.append(_request(settings, options).event_id)
            )
            receipts = (reading.event for reading in told if isinstance(reading.event, DocumentErased))
            return next((receipt for receipt in receipts if receipt.request in asked), None)
    finally:
        alarm.cancel()


def _say_requested(options: EraseOptions, published: Published) -> None:
    if options.output == "json":
        emit({"tenant": options.tenant, "document": options.document, **dataclasses.asdict(published)})
        return
    print(f"{options.document}: erasure requested, {published.topic}/{published.partition}@{published.offset}")


def _show(receipt: DocumentErased, options: EraseOptions) -> None:
    stores = [{"store": one.store, "removed": one.removed, "left": one.left} for one in receipt.stores]
    if options.output == "json":
        told: dict[str, Any] = {"tenant": receipt.tenant, "document": receipt.document, "request": receipt.request}
        emit({**told, "stores": stores, "forgotten_by": _moment(receipt.forgotten_by), "note": receipt.note})
        return
    table(stores, ["store", "removed", "left"])
    print(f"forgotten by {_moment(receipt.forgotten_by) or 'no bound'}")
    if receipt.note:
        print(receipt.note)


def _moment(micros: int) -> str:
    """A moment as people read it; empty for none."""
    if not micros:
        return ""
    return datetime.datetime.fromtimestamp(micros / 1_000_000, datetime.UTC).isoformat(timespec="seconds")
