"""`headwater standing`: questions that are asked again when documents change their answer."""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headwater.cli.exits import usage
from headwater.cli.options import add
from headwater.cli.output import Output, OutputOption, dim, emit, table
from headwater.cli.reaching import Tenant, ToKafka, codec_for, entrance_for, reach

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas.queries import AnswerChanged, QuestionStanding
    from streams.publishing import Published
    from streams.reading import Reader, Reading
    from streams.settings import Settings

__all__ = ["register"]

_CHARS = 60


def register(app: typer.Typer) -> None:
    """Add the group of commands to an application."""
    group = typer.Typer(help="Questions that are asked again when documents change their answer.", no_args_is_help=True)
    for command in (_add, _list, remove, watch):
        add(group, command)
    app.add_typer(group, name="standing")


@dataclass(frozen=True, kw_only=True)
class AddOptions(ToKafka):
    """What `standing add` can be told."""

    question: Annotated[str, typer.Argument(help="In your own words.")]
    tenant: Tenant
    name: Annotated[str, typer.Option(help="Its name within the tenant, new or to be changed; else one is made.")] = ""
    group: Annotated[list[str] | None, typer.Option(help="Ask as a member of: group:x. May be given again.")] = None
    user: Annotated[str, typer.Option(help="Ask as this user.")] = ""
    output: OutputOption = "table"


def _add(context: typer.Context, options: AddOptions) -> None:
    """Subscribe to a question: its answer is told, and from then on every other one."""
    from processors.answer.fence import not_principals
    from schemas.queries import Query, QuestionStanding

    groups = tuple(options.group or ())
    if wrong := not_principals(groups):
        raise usage(f"wanted group:NAME, got {wrong[0]!r}")
    if not options.question.strip():
        raise usage("wanted a question, got an empty one")
    settings = _reached(context, options)
    name = options.name or entrance_for(settings).ids.new()
    query = Query(query_id="", question=options.question, user=options.user, groups=groups)
    event = QuestionStanding(tenant=options.tenant, question_id=name, query=query)
    _say(name, _published(settings, event), options.output)


_add.__name__ = "add"


@dataclass(frozen=True, kw_only=True)
class RemoveOptions(ToKafka):
    """What `standing remove` can be told."""

    name: Annotated[str, typer.Argument(help="Its name within the tenant.")]
    tenant: Tenant
    output: OutputOption = "table"


def remove(context: typer.Context, options: RemoveOptions) -> None:
    """End a subscription; one that is not there is no error."""
    from schemas.queries import Query, QuestionStanding

    event = QuestionStanding(
        tenant=options.tenant, question_id=options.name, query=Query(query_id="", question=""), active=False
    )
    _say(options.name, _published(_reached(context, options), event), options.output)


@dataclass(frozen=True, kw_only=True)
class ListOptions(ToKafka):
    """What `standing list` can be told."""

    tenant: Annotated[str, typer.Option("--tenant", "-t", help="Whose questions; else everybody's.")] = ""
    output: OutputOption = "table"


def _list(context: typer.Context, options: ListOptions) -> None:
    """The questions that stand, with what each was answered last."""
    from schemas.queries import QuestionAnswered, QuestionStanding
    from streams.standing_views import AnsweredView, StandingView
    from topics.answer import QUESTION_ANSWERED, QUESTION_STANDING

    settings = _reached(context, options)
    questions, answered = StandingView(settings.standing.per_tenant), AnsweredView()
    with _reader(settings) as reader:
        for reading in reader.read(QUESTION_STANDING.name):
            if isinstance(reading.event, QuestionStanding):
                questions.fold(reading.event)
            else:
                questions.drop(reading.key)
        for reading in reader.read(QUESTION_ANSWERED.name):
            if isinstance(reading.event, QuestionAnswered):
                answered.fold(reading.event)
            else:
                answered.drop(reading.key)
    watched = questions.watched()
    rows = [
        _row(question, answered, key in watched)
        for key, question in sorted(questions.all().items())
        if options.tenant in ("", question.tenant)
    ]
    if options.output == "json":
        for row in rows:
            emit(row)
        return
    table([{**row, "answer": _short(row["answer"])} for row in rows], ["tenant", "name", "state", "question", "answer"])


_list.__name__ = "list"


@dataclass(frozen=True, kw_only=True)
class WatchOptions(ToKafka):
    """What `standing watch` can be told."""

    tenant: Tenant
    name: Annotated[list[str] | None, typer.Option(help="Only of this question. May be given again.")] = None
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Changes to begin with.")] = 0
    output: OutputOption = "table"


def watch(context: typer.Context, options: WatchOptions) -> None:
    """Print changed answers as they are told, until interrupted."""
    from streams.reading import Slice
    from topics.answer import ANSWER_CHANGED

    with _reader(_reached(context, options)) as reader:
        newest = list(reader.read(ANSWER_CHANGED.name, Slice(last=options.lines))) if options.lines else []
        _show(sorted(newest, key=lambda reading: reading.at), options)
        _show(reader.follow([ANSWER_CHANGED.name], threading.Event()), options)


def _show(readings: Iterable[Reading], options: WatchOptions) -> None:
    from schemas.queries import AnswerChanged

    for reading in readings:
        event = reading.event
        if not isinstance(event, AnswerChanged) or event.tenant != options.tenant:
            continue
        if not options.name or event.question_id in options.name:
            _print(event, options.output)


def _print(event: AnswerChanged, output: Output) -> None:
    if output == "json":
        import msgspec

        emit(msgspec.to_builtins(event))
        return
    causes = ", ".join(f"{cause.document} {cause.reason}" for cause in event.causes) or event.reason
    print(f"{event.question_id}: {event.question} {dim(f'({causes})')}")
    for sign, text in (("-", event.before), ("+", event.after)):
        if text:
            print(f"  {sign} {text}", flush=True)


def _row(question: QuestionStanding, answered: Any, watched: bool) -> dict[str, str]:
    last = answered.get(question.tenant, question.question_id)
    state = ("answered" if last else "waiting") if watched else "beyond the bound"
    return {
        "tenant": question.tenant,
        "name": question.question_id,
        "state": state,
        "question": question.query.question,
        "answer": last.answer.text if last else "",
    }


def _published(settings: Settings, event: QuestionStanding) -> Published:
    from streams.publishing import Publisher
    from topics.answer import QUESTION_STANDING

    with Publisher(settings.kafka, codec_for(settings), entrance_for(settings)) as publisher:
        return publisher.publish(QUESTION_STANDING, event)


def _reached(context: typer.Context, options: ToKafka) -> Settings:
    from headwater.cli.logs import configure

    configure(quiet_kafka=True)
    return reach(context, options)


def _reader(settings: Settings) -> Reader:
    from adapters.host import SystemClock
    from streams.reading import Reader

    return Reader(settings.kafka, codec_for(settings), SystemClock())


def _say(name: str, receipt: Published, output: Output) -> None:
    if output == "json":
        emit({"name": name, **dataclasses.asdict(receipt)})
    else:
        print(f"{name}: {receipt.topic}/{receipt.partition}@{receipt.offset}")


def _short(text: str) -> str:
    return text if len(text) <= _CHARS else text[:_CHARS] + " …"
