"""`headwater memory`: what a user wants kept beyond a session; listed, taken out, and all of it erased."""

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
from headwater.cli.reaching import Tenant, ToGateway, client_for, codec_for, reach

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headwater.values import Forgotten
    from schemas.documents import DocumentErased

__all__ = ["register"]

User = Annotated[str, typer.Option("--user", "-u", help="Whose notes.")]


def register(app: typer.Typer) -> None:
    """Add the group of commands to an application."""
    group = typer.Typer(help="What users want kept beyond a session.", no_args_is_help=True)
    for command in (_add, _list, _remove, forget_user):
        add(group, command)
    app.add_typer(group, name="memory")


@dataclass(frozen=True, kw_only=True)
class NotesOptions(ToGateway):
    """What `memory list` can be told, and every other command on notes as well."""

    tenant: Tenant
    user: User
    output: OutputOption = "table"


@dataclass(frozen=True, kw_only=True)
class KeepOptions(NotesOptions):
    """What `memory add` can be told."""

    text: Annotated[str, typer.Argument(help="In the user's own words.")]
    name: Annotated[str, typer.Option(help="Its name among the user's, new or to be said anew; else one is made.")] = ""


def _add(context: typer.Context, options: KeepOptions) -> None:
    """Keep a note: questions of this user that ask for their memory find it."""
    _named(options.user)
    with client_for(context, options) as client:
        note = client.remember(options.text, options.user, options.tenant, memory=options.name)
    if options.output == "json":
        emit({"memory": note.memory, "text": note.text})
        return
    print(f"{note.memory}: kept")


_add.__name__ = "add"


def _list(context: typer.Context, options: NotesOptions) -> None:
    """The notes of a user, oldest first."""
    _named(options.user)
    with client_for(context, options) as client:
        notes = client.memories(options.user, options.tenant)
    rows = [{"memory": one.memory, "kept": _moment(one.kept_at), "text": one.text} for one in notes]
    if options.output == "json":
        for row in rows:
            emit(row)
        return
    table(rows, ["memory", "kept", "text"])


_list.__name__ = "list"


@dataclass(frozen=True, kw_only=True)
class ForgetOptions(NotesOptions):
    """What `memory remove` can be told."""

    name: Annotated[str, typer.Argument(help="Its name among the user's.")]


def _remove(context: typer.Context, options: ForgetOptions) -> None:
    """Take a note out, for good."""
    _named(options.user)
    with client_for(context, options) as client:
        receipt = client.forget(options.name, options.user, options.tenant)
    if options.output == "json":
        emit({"memory": options.name, **dataclasses.asdict(receipt)})
        return
    print(f"{options.name}: {receipt.topic}/{receipt.partition}@{receipt.offset}")


_remove.__name__ = "remove"


@dataclass(frozen=True, kw_only=True)
class ForgetUserOptions(NotesOptions):
    """What `memory forget-user` can be told."""

    wait: Annotated[bool, typer.Option("--wait", help="Wait for the receipts and print what each store holds.")] = False
    timeout: Annotated[float, typer.Option(min=1.0, help="How long to wait, seconds.")] = 120.0


def forget_user(context: typer.Context, options: ForgetUserOptions) -> None:
    """Erase everything of a user: every note, and every turn of their sessions; receipts say what is left."""
    _named(options.user)
    if not options.wait:
        _say(_asked(context, options), options)
        return
    forgotten, receipts = _waited(context, options)
    if forgotten is None or len(receipts) < len(forgotten.requests):
        say(f"error: {len(receipts)} receipts within {options.timeout:g} s; the request stands: is a worker running?")
        raise typer.Exit(UNAVAILABLE)
    left = _show(forgotten, receipts, options)
    if left:
        raise typer.Exit(FAILED)


def _asked(context: typer.Context, options: ForgetUserOptions) -> Forgotten:
    with client_for(context, options) as client:
        return client.forget_user(options.user, options.tenant)


def _waited(context: typer.Context, options: ForgetUserOptions) -> tuple[Forgotten | None, list[DocumentErased]]:
    """Asks once the topic of receipts is followed, so that none of them is missed."""
    from adapters.host import SystemClock
    from schemas.documents import DocumentErased
    from streams.reading import Reader
    from topics.ingest import DOCUMENT_ERASED

    settings = reach(context, options)
    stop, asked, found = threading.Event(), list["Forgotten"](), dict[str, DocumentErased]()
    alarm = threading.Timer(options.timeout, stop.set)
    alarm.daemon = True
    alarm.start()
    try:
        with Reader(settings.kafka, codec_for(settings), SystemClock()) as reader:
            told = reader.follow([DOCUMENT_ERASED.name], stop, lambda: asked.append(_asked(context, options)))
            events = (reading.event for reading in told)
            found.update(_gathered((one for one in events if isinstance(one, DocumentErased)), asked))
    finally:
        alarm.cancel()
    return (asked[0] if asked else None), list(found.values())


def _gathered(receipts: Iterable[DocumentErased], asked: list[Forgotten]) -> dict[str, DocumentErased]:
    """The receipts of what was asked for, as many as come."""
    found: dict[str, DocumentErased] = {}
    for receipt in receipts:
        if receipt.request in asked[0].requests:
            found[receipt.request] = receipt
        if len(found) == len(asked[0].requests):
            break
    return found


def _say(forgotten: Forgotten, options: ForgetUserOptions) -> None:
    if options.output == "json":
        emit({"memories": forgotten.memories, "requests": list(forgotten.requests)})
        return
    print(f"{options.user}: {forgotten.memories} notes and all sessions are being erased")


def _show(forgotten: Forgotten, receipts: list[DocumentErased], options: ForgetUserOptions) -> int:
    """Prints what all receipts say together, store by store; returns what is left that should not be."""
    stores: dict[str, list[int]] = {}
    for one in (store for receipt in receipts for store in receipt.stores):
        removed, left = stores.setdefault(one.store, [0, 0])
        stores[one.store] = [removed + one.removed, left + one.left]
    rows: list[dict[str, Any]] = [{"store": name, "removed": r, "left": left} for name, (r, left) in stores.items()]
    if options.output == "json":
        emit({"memories": forgotten.memories, "receipts": len(receipts), "stores": rows})
    else:
        table(rows, ["store", "removed", "left"])
    return sum(int(row["left"]) for row in rows if row["store"] != "dead letters")


def _named(user: str) -> None:
    if not user.strip():
        raise usage("wanted a user, got none")


def _moment(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds") if seconds else ""
