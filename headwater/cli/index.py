"""`headwater index ls|build|compare|promote|rollback|retire`: index generations beside the one that serves."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headwater.cli.exits import say, usage
from headwater.cli.options import add
from headwater.cli.output import OutputOption, emit, table
from headwater.cli.reaching import ToKafka, codec_for, entrance_for, reach

if TYPE_CHECKING:
    from processors.measure.comparing import Comparison
    from streams.promotion import Operator
    from streams.settings import Settings

__all__ = ["register"]

Name = Annotated[str, typer.Argument(help="The generation's name: lower case letters, digits, underscores.")]
Golden = Annotated[Path | None, typer.Option(help="JSON lines {id, question, passage | relevant, tenant?}.")]
GoldenTenant = Annotated[str, typer.Option("--tenant", "-t", help="Whose the golden questions are, if they don't say.")]
Reason = Annotated[str, typer.Option(help="Why; kept in the log.")]


def register(app: typer.Typer) -> None:
    """Add the group of commands to an application."""
    group = typer.Typer(help="Index generations beside the one that serves.", no_args_is_help=True)
    for command in (ls, build, compare, promote, rollback, retire):
        add(group, command)
    app.add_typer(group, name="index")


@dataclass(frozen=True, kw_only=True)
class ListOptions(ToKafka):
    """What `index ls` can be told."""

    output: OutputOption = "table"


def ls(context: typer.Context, options: ListOptions) -> None:
    """List the generations: what each is made by and holds, whom it serves, how many documents it is behind."""
    rows = [dataclasses.asdict(one) for one in _operator(reach(context, options)).listed()]
    if options.output == "json":
        emit(rows)
        return
    table(rows, ["name", "state", "serves", "model", "dimension", "documents", "chunks", "behind", "fingerprint"])


@dataclass(frozen=True, kw_only=True)
class BuildOptions(ToKafka):
    """What `index build` can be told."""

    name: Name
    chunking: Annotated[list[str] | None, typer.Option(help="Chunking, KEY=VALUE; may be repeated.")] = None
    model: Annotated[str, typer.Option(help="Another embedding model: minilm or hashing.")] = ""
    dimension: Annotated[int, typer.Option(help="Width of the vectors of `hashing`.", min=0)] = 0
    wait: Annotated[float, typer.Option(help="Seconds to wait until it has caught up; 0 returns at once.", min=0)] = 0.0


def build(context: typer.Context, options: BuildOptions) -> None:
    """Register a generation; every worker that runs `ingest` then builds it beside the one that serves."""
    from streams.generation_log import choice_of
    from streams.promotion import GateError

    settings = reach(context, options)
    operator = _operator(settings)
    try:
        registered = operator.register(_changed(settings, options), options.name)
    except ValueError as error:
        raise usage(f"settings of the new generation can't be used: {error}") from error
    say(f"{registered.generation}: {registered.model}, {registered.dimension} wide, {registered.fingerprint}")
    if options.wait:
        serving = choice_of(operator.table(), settings).generation
        if late := operator.late(serving, options.name, options.wait):
            raise GateError(f"{late} documents are still behind after {options.wait:g} s; is a worker running?")
        say(f"{options.name} has caught up with {serving}")


@dataclass(frozen=True, kw_only=True)
class CompareOptions(ToKafka):
    """What `index compare` can be told."""

    name: Name
    against: Annotated[str, typer.Option(help="Another generation; else the one that serves.")] = ""
    golden: Golden = None
    tenant: Annotated[
        str, typer.Option("--tenant", "-t", help="Whose the golden questions are, if they don't say.")
    ] = ""
    recent: Annotated[int, typer.Option(help="Questions asked last to replay too.", min=0)] = 100
    output: OutputOption = "table"


def compare(context: typer.Context, options: CompareOptions) -> None:
    """Ask two generations the golden questions and those asked last; print quality and agreement."""
    found = _compared(reach(context, options), options)
    if options.output == "json":
        emit(dataclasses.asdict(found))
        return
    measures = ("recall_at_1", "recall_at_5", "mrr_at_10", "ndcg_at_10")
    if found.old is not None and found.new is not None:
        pairs = [(name, getattr(found.old, name), getattr(found.new, name)) for name in measures]
        rows = [{"measure": n, "old": f"{a:.4f}", "new": f"{b:.4f}", "change": f"{b - a:+.4f}"} for n, a, b in pairs]
        table(rows, ["measure", "old", "new", "change"])
    print(f"overlap@5 {found.overlap_at_5:.4f}, same first {found.same_first:.4f}, of {found.questions} questions")


@dataclass(frozen=True, kw_only=True)
class PromoteOptions(ToKafka):
    """What `index promote` can be told."""

    name: Name
    tenants: Annotated[str, typer.Option(help="Only these, comma separated: a canary.")] = ""
    golden: Golden = None
    tenant: Annotated[
        str, typer.Option("--tenant", "-t", help="Whose the golden questions are, if they don't say.")
    ] = ""
    wait: Annotated[float, typer.Option(help="Seconds to wait for documents that are behind.", min=0)] = 10.0
    force: Annotated[bool, typer.Option("--force", help="Promote whatever the gate says; that is recorded.")] = False
    reason: Reason = ""

    @property
    def against(self) -> str:
        return ""

    @property
    def recent(self) -> int:
        return 0


def promote(context: typer.Context, options: PromoteOptions) -> None:
    """Let a generation serve, by one event. Exit 3 where recall, lag or what it was made from speak against it."""
    from streams.generation_log import choice_of, require_living
    from streams.promotion import GateError, gate

    settings = reach(context, options)
    operator = _operator(settings)
    known = operator.table()
    registered = require_living(known, options.name)
    serving = choice_of(known, settings).generation
    comparison = _compared(settings, options) if options.golden else None
    behind = operator.late(serving, options.name, options.wait)
    reasons = gate(registered, behind, operator.strangers(registered), comparison, settings.index.recall_gate)
    if reasons and not options.force:
        raise GateError(f"{options.name} is not promoted: {'; '.join(reasons)}; --force promotes it all the same")
    forced = f"forced over: {'; '.join(reasons)}" if reasons else ""
    tenants = [one.strip() for one in options.tenants.split(",") if one.strip()]
    event, _ = operator.promote(options.name, tenants, "; ".join(word for word in (options.reason, forced) if word))
    say(_said(event))


@dataclass(frozen=True, kw_only=True)
class RollbackOptions(ToKafka):
    """What `index rollback` can be told."""

    reason: Reason = ""


def rollback(context: typer.Context, options: RollbackOptions) -> None:
    """Take back the last promotion, by one event: the one before followed all the time, so it is not stale."""
    event, _ = _operator(reach(context, options)).rollback(options.reason)
    say(_said(event))


@dataclass(frozen=True, kw_only=True)
class RetireOptions(ToKafka):
    """What `index retire` can be told."""

    name: Name
    reason: Reason = ""
    wait: Annotated[float, typer.Option(help="Seconds to wait for workers to let go of it.", min=0)] = 60.0


def retire(context: typer.Context, options: RetireOptions) -> None:
    """End a generation that serves nobody: delete its index, bury its heads. Exit 3 where it serves somebody."""
    buried = _operator(reach(context, options)).retire(options.name, options.reason, options.wait)
    say(f"{options.name} is retired: its index is deleted, {buried} heads are buried")


def _operator(settings: Settings) -> Operator:
    from headwater.cli.logs import configure
    from streams.promotion import Operator

    configure(quiet_kafka=True)
    return Operator(settings, codec_for(settings), entrance_for(settings))


def _changed(settings: Settings, options: BuildOptions) -> Settings:
    """The settings with what the command line says about the new generation."""
    from pydantic import ValidationError

    from streams.settings import Chunking, Embed

    pairs = [one.partition("=") for one in options.chunking or ()]
    embed: dict[str, Any] = {"model": options.model, "dimension": options.dimension}
    try:
        cut = {**settings.chunking.model_dump(), **{key: value for key, _, value in pairs}}
        chosen = {**settings.embed.model_dump(), **{key: value for key, value in embed.items() if value}}
        changed = {"chunking": Chunking.model_validate(cut), "embed": Embed.model_validate(chosen)}
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise usage(f"settings of the new generation can't be used: {problems}") from error
    return settings.model_copy(update=changed)


def _compared(settings: Settings, options: CompareOptions | PromoteOptions) -> Comparison:
    from adapters.host import SystemClock
    from streams.comparing import asked_lately, compare_generations, golden
    from streams.generation_log import choice_of, read_table, require_living
    from streams.trial import read_lines

    codec, clock = codec_for(settings), SystemClock()
    known = read_table(settings, codec, clock)
    against = options.against or choice_of(known, settings).generation
    pair = [require_living(known, against), require_living(known, options.name)]
    questions = golden(read_lines(options.golden, ("id", "question")), options.tenant) if options.golden else []
    recent = asked_lately(settings, codec, clock, options.recent) if options.recent else []
    return compare_generations(settings, codec, pair, [*questions, *recent])


def _said(event: Any) -> str:
    canary = ", ".join(f"{tenant} by {name}" for tenant, name in sorted(event.tenants.items()))
    return f"{event.generation} serves" + (f", {canary}" if canary else " everybody")
