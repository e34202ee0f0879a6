"""`headwater watch DIR|URL`: a folder or a store of objects as a source; what is new, changed or gone is followed."""

from __future__ import annotations

import dataclasses
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from headwater.cli.exits import DONE, UNAVAILABLE, say
from headwater.cli.options import add
from headwater.cli.output import Output, OutputOption, emit
from headwater.cli.reaching import Tenant, ToKafka, codec_for, entrance_for, reach

if TYPE_CHECKING:
    from adapters.folder_source import FolderSource
    from adapters.object_source import ObjectSource
    from streams.mirror import Change, FolderMirror
    from streams.settings import Settings

__all__ = ["register"]

# Files stay where they are, so there is time: longer than a broker takes to be restarted.
_PATIENCE_S: Final = 120.0


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    add(app, watch)


@dataclass(frozen=True, kw_only=True)
class WatchOptions(ToKafka):
    """What `watch` can be told."""

    folder: Annotated[
        str, typer.Argument(help="A folder, or s3://bucket/prefix and the like; its files become documents.")
    ]
    tenant: Tenant
    once: Annotated[bool, typer.Option("--once", help="Publish what differs now, and end.")] = False
    include: Annotated[
        list[str] | None, typer.Option(help="Which files, as a pattern (*.rst). May repeat. Else Markdown, HTML, text.")
    ] = None
    every: Annotated[float, typer.Option(min=0.1, help="How often objects are listed, seconds.")] = 60.0
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="An empty listing of objects means that all were deleted.")
    ] = False
    output: OutputOption = "table"


def watch(context: typer.Context, options: WatchOptions) -> None:
    """Publish the documents of a folder or a store of objects, and follow its changes until stopped.

    Where more waits to be indexed than sources.max_backlog says, it waits too.
    What was deleted or changed while nobody watched is found at the start, by what the log holds of this folder.
    """
    from headwater.cli.logs import configure

    configure(quiet_kafka=True)
    settings = reach(context, options)
    source = _source(settings, options)
    with _mirror(settings, source, options.tenant) as mirror:
        counts = _show(mirror.sync(), options.output)
        _say_counts(counts, options.output)
        if options.once:
            raise typer.Exit(_code(mirror))
        say(f"watching {source.root}; Ctrl-C ends it")
        _follow(mirror, source, settings, options.output)


def _source(settings: Settings, options: WatchOptions) -> FolderSource | ObjectSource:
    from adapters.folder_source import DEFAULT_PATTERNS, FolderSource
    from adapters.object_source import ObjectSource

    patterns, most = tuple(options.include or DEFAULT_PATTERNS), settings.watch.max_file_bytes
    if "://" in options.folder:
        return ObjectSource(options.folder, most, patterns, options.every, options.allow_empty)
    return FolderSource(Path(options.folder), most, patterns)


@contextmanager
def _mirror(settings: Settings, source: FolderSource | ObjectSource, tenant: str) -> Iterator[FolderMirror]:
    from adapters.folder_claims import FolderClaims
    from streams.mirror import FolderMirror, read_known
    from streams.pacing import Pace
    from streams.publishing import Publisher
    from streams.reading import Reader

    codec, entrance = codec_for(settings), entrance_for(settings)
    with Reader(settings.kafka, codec, entrance.clock) as reader:
        known = read_known(reader, tenant, str(source.root))
    with Publisher(settings.kafka, codec, entrance, _PATIENCE_S) as publisher:
        mirror = FolderMirror(source, publisher, FolderClaims(settings.claims_folder), tenant, known)
        mirror.pace = Pace(settings, entrance.clock).wait
        yield mirror


def _follow(mirror: FolderMirror, source: FolderSource | ObjectSource, settings: Settings, output: Output) -> None:
    stop, said = threading.Event(), ""
    with _stopped_by_signals(stop):
        for paths in source.follow(stop, settings.watch.settle_ms):
            if paths or mirror.pending:
                _show(mirror.sync(paths), output)
            if mirror.problem != said:
                said = mirror.problem
                say(f"waiting: {said}" if said else "going on")


@contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """End what is inside at SIGTERM or Ctrl-C, also while it waits for Kafka: the next start finds what is left."""

    def interrupt(*_: object) -> None:
        stop.set()
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupt)
    with suppress(KeyboardInterrupt):
        yield


def _show(changes: Iterator[Change], output: Output) -> Counter[str]:
    counts: Counter[str] = Counter()
    for change in changes:
        counts[change.action] += 1
        if change.action == "unchanged":
            continue
        if output == "json":
            emit(dataclasses.asdict(change))
        else:
            print(f"{change.action:<10} {change.document}{': ' + change.reason if change.reason else ''}", flush=True)
    return counts


def _say_counts(counts: Counter[str], output: Output) -> None:
    actions = ("published", "deleted", "refused", "unchanged")
    if output == "json":
        emit({action: counts[action] for action in actions})
    else:
        say(", ".join(f"{counts[action]} {action}" for action in actions))


def _code(mirror: FolderMirror) -> int:
    if mirror.pending:
        say(f"error: {len(mirror.pending)} files could not be published: {mirror.problem}")
        return UNAVAILABLE
    return DONE
