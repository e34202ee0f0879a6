"""`headwater topics ls|ensure|describe`: the declared topics, and what of them the cluster has."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headwater.cli.exits import say, usage
from headwater.cli.options import add
from headwater.cli.output import OutputOption, emit, table
from headwater.cli.reaching import ToKafka, codec_for, reach

if TYPE_CHECKING:
    from streams.hop import AnyTopic
    from streams.settings import Settings

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the group of commands to an application."""
    group = typer.Typer(help="The declared topics, and what of them the cluster has.", no_args_is_help=True)
    add(group, ls)
    add(group, ensure)
    add(group, describe)
    app.add_typer(group, name="topics")


@dataclass(frozen=True, kw_only=True)
class ListOptions:
    """What `topics ls` can be told."""

    output: OutputOption = "table"


def ls(_: typer.Context, options: ListOptions) -> None:
    """List the declared topics in the order of the journeys; asks no cluster."""
    from streams.ensure import DECLARED

    rows = [_described(topic) for topic in DECLARED]
    if options.output == "json":
        emit(rows)
        return
    table(rows, ["topic", "events", "cleanup", "retention"])


@dataclass(frozen=True, kw_only=True)
class EnsureOptions(ToKafka):
    """What `topics ensure` can be told."""

    dry_run: Annotated[bool, typer.Option("--dry-run", help="Create nothing, only say what differs.")] = False
    schemas: Annotated[bool, typer.Option(help="Register this release's schemas too.")] = True
    output: OutputOption = "table"


def ensure(context: typer.Context, options: EnsureOptions) -> None:
    """Create the topics that are missing, register the schemas, and print what differs; nothing is ever removed."""
    from headwater.cli.logs import configure
    from streams.ensure import ensure as ensure_topics

    configure(quiet_kafka=True)
    settings = reach(context, options)
    differences = ensure_topics(settings, options.dry_run)
    registered = _register(settings) if options.schemas and not options.dry_run else 0
    if options.output == "json":
        emit({"differences": [dataclasses.asdict(each) for each in differences], "schemas": registered})
        return
    for difference in differences:
        print(difference)
    say(f"{len(differences)} differences, {registered} schemas registered")


@dataclass(frozen=True, kw_only=True)
class DescribeOptions(ToKafka):
    """What `topics describe` can be told."""

    topic: Annotated[str, typer.Argument(help="Its name.")]
    output: OutputOption = "table"


def describe(context: typer.Context, options: DescribeOptions) -> None:
    """Show one topic: what it carries, how it is declared, and how many records each partition holds."""
    from adapters.host import SystemClock
    from headwater.cli.logs import configure
    from streams.reading import Reader, topic_named

    configure(quiet_kafka=True)
    topic = topic_named(options.topic)
    if topic is None:
        raise usage(f"wanted a declared topic, got {options.topic!r}; `headwater topics ls` lists them")
    settings = reach(context, options)
    with Reader(settings.kafka, codec_for(settings), SystemClock()) as reader:
        bounds = reader.bounds(options.topic)
    rows = [{"partition": p, "first": low, "next": high, "span": high - low} for p, (low, high) in bounds.items()]
    described = {**_described(topic), "topic": options.topic, "partitions": rows}
    if options.output == "json":
        emit(described)
        return
    for name in ("topic", "events", "cleanup", "retention", "restricted"):
        print(f"{name:<10} {described[name]}")
    table(rows, ["partition", "first", "next", "span"])


def _described(topic: AnyTopic) -> dict[str, Any]:
    kept = str(topic.retention) if topic.retention else "for ever"
    return {
        "topic": topic.name,
        "events": ", ".join(event.__name__ for event in topic.events),
        "cleanup": topic.cleanup,
        "retention": "newest per key" if topic.cleanup == "compact" else kept,
        "restricted": topic.restricted,
    }


def _register(settings: Settings) -> int:
    """The schemas of this release, whatever the setting for services says: this is the command that registers."""
    from streams.ensure import DECLARED

    allowed = settings.model_copy(update={"registry": settings.registry.model_copy(update={"auto_register": True})})
    codec = codec_for(allowed)
    return len([codec.register(topic.subject, topic.events) for topic in DECLARED])
