"""`headwater source add|ls|status|pause|resume|renew|reconcile|remove`: databases whose rows are documents."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from headwater.cli.exits import GATE, say, usage
from headwater.cli.options import add as add_command
from headwater.cli.output import Output, OutputOption, emit, table
from headwater.cli.reaching import ToKafka, codec_for, entrance_for, reach

if TYPE_CHECKING:
    from headwater.database_sources import DatabaseSources, SourceStatus
    from streams.settings import Settings

__all__ = ["register"]

Name = Annotated[str, typer.Argument(help="The source's name.")]


def register(app: typer.Typer) -> None:
    """Add the group of commands to an application."""
    group = typer.Typer(help="Databases whose rows are documents, by Debezium on Kafka Connect.", no_args_is_help=True)
    for command in (add, ls, status, pause, resume, renew, reconcile, remove):
        add_command(group, command)
    app.add_typer(group, name="source")


@dataclass(frozen=True, kw_only=True)
class ToConnect(ToKafka):
    """The options of a command that works on sources."""

    connect: Annotated[str, typer.Option(help="Kafka Connect; else the settings', or the running stack's.")] = ""
    output: OutputOption = "table"


@dataclass(frozen=True, kw_only=True)
class OneSource(ToConnect):
    """The options of a command that works on one source."""

    name: Name


@dataclass(frozen=True, kw_only=True)
class AddOptions(ToConnect):
    """What `source add` can be told."""

    kind: Annotated[Literal["postgres"], typer.Argument(help="What kind of database.")]
    name: Name
    tables: Annotated[
        list[str], typer.Option("--table", help="A table, schema.name; may repeat. sources.tables says its columns.")
    ]
    host: Annotated[str, typer.Option(help="Where the database is; else the running stack's.")] = ""
    port: Annotated[int, typer.Option(help="Its port.")] = 5432
    database: Annotated[str, typer.Option(help="Its name.")] = "postgres"
    user: Annotated[str, typer.Option(help="As whom; the password is the setting sources.password.")] = "headwater"


@dataclass(frozen=True, kw_only=True)
class RemoveOptions(OneSource):
    """What `source remove` can be told."""

    drop: Annotated[
        bool, typer.Option("--drop", help="Its slot, publication and joined tables in the database too.")
    ] = False


def add(context: typer.Context, options: AddOptions) -> None:
    """Follow tables of a database: headwater source add postgres handbook --table public.pages.

    Refuses what can't work, and says what to do. The password is never an option: set HEADWATER_SOURCES__PASSWORD, here
    and where Kafka Connect runs.
    """
    settings = _settings(context, options)
    with _sources(settings) as sources:
        config = sources.add(options.name, _address(options, settings), options.tables)
    if options.output == "json":
        emit({"name": options.name, "tables": options.tables, "config": config})
        return
    say(f"following {', '.join(options.tables)}; `headwater source status {options.name}` says how it does")


def ls(context: typer.Context, options: ToConnect) -> None:
    """List the sources, and whether each runs."""
    with _sources(_settings(context, options)) as sources:
        _show(sources.statuses(), options.output)


def status(context: typer.Context, options: OneSource) -> None:
    """Show one source, and what to do where something is wrong. Exit 3 where something is."""
    with _sources(_settings(context, options)) as sources:
        found = sources.status(options.name)
    _show([found], options.output)
    if not found.healthy:
        raise typer.Exit(GATE)


def pause(context: typer.Context, options: OneSource) -> None:
    """Send nothing until `resume`; the database keeps its log meanwhile."""
    with _sources(_settings(context, options)) as sources:
        sources.pause(options.name)


def resume(context: typer.Context, options: OneSource) -> None:
    """Go on after `pause`, or after a failure."""
    with _sources(_settings(context, options)) as sources:
        sources.resume(options.name)


def renew(context: typer.Context, options: OneSource) -> None:
    """Begin again where the slot was lost: new slot, new snapshot; then `reconcile` deletes what vanished meanwhile."""
    with _sources(_settings(context, options)) as sources:
        sources.renew(options.name)
    say(f"a new snapshot is on its way; when it is through: headwater source reconcile {options.name}")


def reconcile(context: typer.Context, options: OneSource) -> None:
    """Delete the documents whose rows are gone in the database; run it at any time, and again."""
    settings = _settings(context, options)
    with _sources(settings) as sources:
        gone = sources.reconcile(options.name, codec_for(settings), entrance_for(settings))
    if options.output == "json":
        emit([{"tenant": event.tenant, "document": event.document} for event in gone])
        return
    for event in gone:
        print(event.document)
    say(f"{len(gone)} documents deleted")


def remove(context: typer.Context, options: RemoveOptions) -> None:
    """Stop following; documents stay. With --drop the database forgets the source too."""
    with _sources(_settings(context, options)) as sources:
        sources.remove(options.name, options.drop)
    if not options.drop:
        say(f"its slot is still there and keeps the database's log; drop it, or add {options.name} under another name")


@contextmanager
def _sources(settings: Settings) -> Iterator[DatabaseSources]:
    from adapters.connect_rest import ConnectApi
    from headwater.cli.logs import configure
    from headwater.database_sources import DatabaseSources

    configure(quiet_kafka=True)
    with ConnectApi(settings.sources.connect) as connect:
        yield DatabaseSources(settings, connect)


def _settings(context: typer.Context, options: ToConnect) -> Settings:
    """The settings, with Connect where the command line, or else the running stack, says that it is."""
    settings = reach(context, options)
    told = {"connect": options.connect} if options.connect else {}
    return settings.model_copy(update={"sources": settings.sources.model_copy(update=told)})


def _address(options: AddOptions, settings: Settings) -> Any:
    from adapters.postgres_source import PostgresAddress
    from headwater.local.spec import Addresses

    host, port = options.host, options.port
    if not host:
        stack = Addresses.read(settings.local.state_folder)
        if stack is None or not stack.postgres_port:
            raise usage("wanted --host: no stack of the full profile was started here")
        host, port = "127.0.0.1", stack.postgres_port
    return PostgresAddress(host, port, options.database, options.user, settings.sources.password)


def _show(found: list[SourceStatus], output: Output) -> None:
    if output == "json":
        emit([{**dataclasses.asdict(one), "healthy": one.healthy} for one in found])
        return
    if not found:
        say("no source was added: headwater source add postgres NAME --table SCHEMA.TABLE")
        return
    rows = [{**dataclasses.asdict(one), "tables": ", ".join(one.tables), "todo": one.todo or "-"} for one in found]
    table(rows, ["name", "state", "tables", "slot", "behind_bytes", "todo"])
