"""`headwater dlq ls|show|replay`: the records that were given up, why, and the way back for them.

What a dead letter holds was written by anybody: it is shown as data, bounded, with control characters escaped.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from headwater.cli.exits import say, usage
from headwater.cli.options import add
from headwater.cli.output import OutputOption, dim, table
from headwater.cli.reaching import ToKafka, codec_for, reach
from headwater.cli.untrusted import plain, preview, shown, text_of

if TYPE_CHECKING:
    from schemas.codec import Codec
    from streams.letters import Letter, LetterReader, Pile, Spot
    from streams.replaying import Choice, Planned
    from streams.settings import Settings

__all__ = ["register"]

_MOST_CHARS: Final = 4_000
_COLUMNS: Final = ("count", "step", "exception", "reason")
_PLACE: Final = re.compile(r"(\d{1,9})@(\d{1,18})")

TopicArgument = Annotated[str, typer.Argument(help="A topic, its dead letters (….dlq), or its constant.")]


def register(app: typer.Typer) -> None:
    """Add the group of commands to an application."""
    group = typer.Typer(help="Dead letters: what was given up, why, and the way back.", no_args_is_help=True)
    add(group, ls)
    add(group, show)
    add(group, replay)
    app.add_typer(group, name="dlq")


@dataclass(frozen=True, kw_only=True)
class ListOptions(ToKafka):
    """What `dlq ls` can be told."""

    topic: Annotated[str, typer.Option(help="Only the dead letters of this topic.")] = ""
    output: OutputOption = "table"


def ls(context: typer.Context, options: ListOptions) -> None:
    """Count what waits on every dead-letter topic, with the reasons; what was replayed no longer waits."""
    settings = _settings(context, options)
    with _reader(settings) as reader:
        topics = [_letters_of(options.topic)] if options.topic else reader.topics()
        piles = [pile for pile in reader.piles(topics) if pile.letters]
    if options.output == "json":
        _emit([_pile(pile) for pile in piles])
        return
    for pile in piles:
        print(f"{plain(pile.topic)}  {pile.letters} waiting, newest {_when(pile.newest)}, {pile.replayed} replayed")
        table([{name: plain(str(said)) for name, said in kind.items()} for kind in _kinds(pile)], _COLUMNS)
    say(f"{sum(pile.letters for pile in piles)} dead letters wait on {len(piles)} topics")


@dataclass(frozen=True, kw_only=True)
class ShowOptions(ToKafka):
    """What `dlq show` can be told."""

    topic: TopicArgument
    what: Annotated[str, typer.Argument(metavar="PARTITION@OFFSET|EVENT_ID", help="Its place, or its event's id.")]
    output: OutputOption = "table"


def show(context: typer.Context, options: ShowOptions) -> None:
    """Show one dead letter: why it is there, its original headers, and the event, or the first bytes of what it is."""
    settings, topic = _settings(context, options), _letters_of(options.topic)
    place = _PLACE.fullmatch(options.what)
    with _reader(settings, codec_for(settings)) as reader:
        letter = reader.at(topic, _spot(options.what)) if place else reader.of_event(topic, options.what)
        fields = _letter(reader, letter)
    if options.output == "json":
        _emit(fields)
        return
    headers, event, value = fields.pop("headers"), fields.pop("event"), fields.pop("value")
    fields["at"] = _when(fields["at"])
    for name, said in fields.items():
        print(f"{name:<10} {_bounded(str(said)) if said is not None else '-'}")
    for name, said in headers:
        print(f"{'header':<10} {plain(name)}: {plain(said) if said is not None else 'null'}")
    if event is not None:
        print(f"{'event':<10} {_bounded(json.dumps(event, ensure_ascii=False, default=str))}")
    else:
        print(f"{'value':<10} {shown(value)}")


@dataclass(frozen=True, kw_only=True)
class ReplayOptions(ToKafka):
    """What `dlq replay` can be told."""

    topic: TopicArgument
    offset: Annotated[list[str] | None, typer.Option(metavar="PARTITION@OFFSET", help="Only this. May repeat.")] = None
    reason: Annotated[str, typer.Option(help="Only letters whose reason contains this.")] = ""
    to: Annotated[str, typer.Option(help="Another topic than the one they came from.")] = ""
    superseded: Annotated[bool, typer.Option("--superseded", help="Also those a newer record replaced.")] = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing, only say what would be put back.")] = False
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False
    output: OutputOption = "table"


def replay(context: typer.Context, options: ReplayOptions) -> None:
    """Put dead letters back on the topic they came from, byte for byte, each of them once."""
    from adapters.host import SystemClock
    from streams.replaying import Replay, plan

    settings, topic, choice = _settings(context, options), _letters_of(options.topic), _choice(options)
    with _reader(settings) as reader:
        if not options.dry_run and not options.yes:
            _ask(sum(not planned.problem for planned in plan(reader, topic, choice)), topic)
        if options.dry_run:
            _tell(plan(reader, topic, choice), choice, options)
            return
        with Replay(settings.kafka, SystemClock(), reader, topic) as running:
            _tell(running.run(choice), choice, options)


def _choice(options: ReplayOptions) -> Choice:
    from streams.letters import SUFFIX
    from streams.replaying import Choice

    to = _named(options.to) if options.to else ""
    if to.endswith(SUFFIX):
        raise usage(f"wanted a topic that a hop reads, got the dead letters {options.to!r}")
    return Choice(frozenset(map(_spot, options.offset or ())), options.reason, to, options.superseded)


def _ask(count: int, topic: str) -> None:
    """Ask a person before anything is written; where nobody is, --yes has to say it."""
    if not count:
        return
    if not sys.stdin.isatty():
        raise usage(f"wanted --yes to put {count} letters of {topic!r} back, since nobody is there to be asked")
    typer.confirm(f"Put {count} letters of {topic} back?", abort=True, err=True)


def _tell(replayed: Iterable[Planned], choice: Choice, options: ReplayOptions) -> None:
    """Say of each letter what became of it. Raises LetterMissingError for a chosen place where none lies."""
    from streams.letters import LetterMissingError

    done, seen, left = "would go" if options.dry_run else "put back", set[Any](), 0
    for planned in replayed:
        seen.add(planned.letter.spot)
        left += bool(planned.problem)
        if options.output == "json":
            _emit(_planned(planned, done))
        else:
            where = f"{planned.topic}/{planned.partition}" if planned.partition >= 0 else f"{planned.topic}, by key"
            what = f"left: {planned.problem}" if planned.problem else f"{done} to {where}"
            print(f"{dim(_place(planned.letter))} {plain(what)}", flush=True)
    say(f"{len(seen) - left} {done}, {left} left")
    missing = sorted(choice.spots - seen)
    if missing:
        places = ", ".join(f"{partition}@{offset}" for partition, offset in missing)
        raise LetterMissingError(f"wanted letters at {places}, found none there that the other options choose")


def _settings(context: typer.Context, options: ToKafka) -> Settings:
    from headwater.cli.logs import configure

    configure(quiet_kafka=True)
    return reach(context, options)


def _reader(settings: Settings, codec: Codec | None = None) -> LetterReader:
    """A reader; without a codec it decodes nothing and asks no registry."""
    from adapters.host import SystemClock
    from adapters.schema_registry import MemorySchemaIds
    from schemas.codec import Codec
    from streams.letters import LetterReader

    return LetterReader(settings.kafka, codec or Codec(MemorySchemaIds()), SystemClock())


def _named(given: str) -> str:
    from streams.ensure import DECLARED

    return next((topic.name for topic in DECLARED if topic.constant == given.upper()), given)


def _letters_of(given: str) -> str:
    """The dead-letter topic that is meant by its own name, its topic's, or its topic's constant."""
    from streams.letters import SUFFIX
    from topics.ingest import SOURCE_CHANGES

    name = _named(given)
    if name.endswith(SUFFIX):
        return name
    return SOURCE_CHANGES.dead_letters if re.fullmatch(SOURCE_CHANGES.name, name) else f"{name}{SUFFIX}"


def _spot(given: str) -> Spot:
    found = _PLACE.fullmatch(given)
    if found is None:
        raise usage(f"wanted PARTITION@OFFSET, as `headwater dlq` prints them, got {given!r}")
    return int(found[1]), int(found[2])


def _place(letter: Letter) -> str:
    return f"{letter.partition}@{letter.offset}"


def _kinds(pile: Pile) -> list[dict[str, Any]]:
    rows = [(count, kind.step, kind.exception, kind.text) for kind, count in pile.kinds.most_common()]
    return [dict(zip(_COLUMNS, row, strict=True)) for row in rows]


def _pile(pile: Pile) -> dict[str, Any]:
    counts = {"letters": pile.letters, "replayed": pile.replayed, "newest": pile.newest}
    return {"topic": pile.topic, **counts, "reasons": _kinds(pile)}


def _planned(planned: Planned, done: str) -> dict[str, Any]:
    return {
        "letter": _place(planned.letter),
        "event_id": planned.letter.event_id,
        "replay_id": planned.letter.replay_id,
        "outcome": "left" if planned.problem else done,
        "topic": planned.topic,
        "partition": planned.partition if planned.partition >= 0 else None,
        "problem": planned.problem,
    }


def _letter(reader: LetterReader, letter: Letter) -> dict[str, Any]:
    from schemas.failures import EXCEPTION, STEP
    from streams.letters import REPLAYED_TO

    event, problem = reader.opened(letter)
    marker = reader.markers(letter.topic).get(letter.replay_id)
    topic, partition, offset = letter.source
    return {
        "topic": letter.topic,
        "letter": _place(letter),
        "at": letter.at,
        "reason": letter.reason,
        "exception": letter.said(EXCEPTION),
        "step": letter.said(STEP),
        "attempts": letter.attempts,
        "source": f"{topic}/{partition}@{offset}" if offset is not None else topic,
        "key": text_of(letter.raw_key),
        "event_id": letter.event_id,
        "replay_id": letter.replay_id,
        "replayed": f"{_when(marker.at)} to {marker.said(REPLAYED_TO)}" if marker else None,
        "problem": problem,
        "headers": [[name, text_of(value)] for name, value in letter.original],
        "event": _without_bytes(event) if event is not None else None,
        "value": preview(letter.value),
    }


def _without_bytes(event: Any) -> Any:
    """The event as plain values; bytes are shown by their number."""
    import msgspec

    def told(value: Any) -> Any:
        if isinstance(value, bytes):
            return f"{len(value)} bytes"
        if isinstance(value, dict):
            return {name: told(part) for name, part in value.items()}
        return [told(part) for part in value] if isinstance(value, list | tuple) else value

    return told(msgspec.to_builtins(event, builtin_types=(bytes,)))


def _emit(value: Any) -> None:
    """One JSON value in a line, in ASCII: the same to a program, and nothing to a terminal."""
    print(json.dumps(value, default=str).replace("\x7f", "\\u007f"), flush=True)


def _bounded(text: str) -> str:
    return plain(text[:_MOST_CHARS]) + (" …" if len(text) > _MOST_CHARS else "")


def _when(at: int | None) -> str:
    return datetime.fromtimestamp((at or 0) / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
