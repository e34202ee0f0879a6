"""`headwater tail TOPIC`: the newest records of a topic, decoded; or what comes from now on."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headwater.cli.options import add
from headwater.cli.output import Output, OutputOption, dim, emit
from headwater.cli.reaching import ToKafka, codec_for, reach

if TYPE_CHECKING:
    from streams.reading import Reading

__all__ = ["register"]

_WIDTH = 200


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    add(app, tail)


@dataclass(frozen=True, kw_only=True)
class TailOptions(ToKafka):
    """What `tail` can be told."""

    topic: Annotated[str, typer.Argument(help="Its name, dead letters (….dlq) included; or its constant.")]
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Records to begin with.")] = 10
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False
    output: OutputOption = "table"


def tail(context: typer.Context, options: TailOptions) -> None:
    """Print the newest records of a topic, oldest first."""
    from adapters.host import SystemClock
    from headwater.cli.logs import configure
    from streams.reading import Reader, Slice

    configure(quiet_kafka=True)
    settings = reach(context, options)
    topic = _named(options.topic)
    with Reader(settings.kafka, codec_for(settings), SystemClock()) as reader:
        newest = sorted(reader.read(topic, Slice(last=options.lines)), key=lambda reading: (reading.at, reading.offset))
        for reading in newest[len(newest) - options.lines :] if options.lines else ():
            _show(reading, options.output)
        if options.follow:
            for reading in reader.follow([topic], threading.Event()):
                _show(reading, options.output)


def _named(given: str) -> str:
    """A topic's name, from its name or from its constant."""
    from streams.ensure import DECLARED

    return next((topic.name for topic in DECLARED if topic.constant == given.upper()), given)


def _show(reading: Reading, output: Output) -> None:
    if output == "json":
        emit(_as_json(reading))
        return
    place = f"{reading.partition}@{reading.offset}"
    said = reading.problem or _line(reading)
    print(f"{dim(place)} {reading.key} {said}", flush=True)


def _line(reading: Reading) -> str:
    """The event in one line; what makes it long is cut, what is empty is left out."""
    fields = {name: value for name, value in _event(reading).items() if value not in ("", None, [], {}, 0)}
    kind = fields.pop("type", "")
    for name in ("event_id", "occurred_at", "schema_version", "producer_version", "git_sha", "trail", "tenant"):
        fields.pop(name, None)
    text = json.dumps(fields, ensure_ascii=False)
    return f"{kind} {text if len(text) <= _WIDTH else text[:_WIDTH] + ' …'}"


def _as_json(reading: Reading) -> dict[str, Any]:
    return {
        "topic": reading.topic,
        "partition": reading.partition,
        "offset": reading.offset,
        "at": reading.at,
        "key": reading.key,
        "headers": {name: value.decode(errors="replace") for name, value in reading.headers},
        "event": _event(reading) or None,
        "problem": reading.problem,
    }


def _event(reading: Reading) -> dict[str, Any]:
    """The event as plain values; bytes are shown by their number, since nobody reads them."""
    import msgspec

    if reading.event is None:
        return {}
    plain: dict[str, Any] = msgspec.to_builtins(reading.event, builtin_types=(bytes,))
    shown: dict[str, Any] = _without_bytes(plain)
    return shown


def _without_bytes(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, dict):
        return {name: _without_bytes(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_bytes(part) for part in value]
    return value
