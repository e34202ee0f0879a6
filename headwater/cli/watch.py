"""`headwater watch DIR`: a folder as a source; new, changed, renamed and deleted files are followed."""

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

    folder: Annotated[Path, typer.Argument(help="Its files become documents, named by their paths in it.")]
    tenant: Tenant
    once: Annotated[bool, typer.Option("--once", help="Publish what differs now, and end.")] = False
    include: Annotated[
        list[str] | None, typer.Option(help="Which files, as a pattern (*.rst). May repeat. Else Markdown, HTML, text.")
    ] = None
    output: OutputOption = "table"


def watch(context: typer.Context, options: WatchOptions) -> None:
    """Publish a folder's documents and follow its changes until stopped.

    What was deleted or changed while nobody watched is found at the start, by what the log holds of this folder.
    """
    from adapters.folder_source import DEFAULT_PATTERNS, FolderSource
    from headwater.cli.logs import configure

    configure(quiet_kafka=True)
    settings = reach(context, options)
    patterns = tuple(options.include or DEFAULT_PATTERNS)
    source = FolderSource(options.folder, settings.watch.max_file_bytes, patterns)
    with _mirror(settings, source, options.tenant) as mirror:
        counts = _show(mirror.sync(), options.output)
        _say_counts(counts, options.output)
        if options.once:
            raise typer.Exit(_code(mirror))
        say(f"watching {source.root}; Ctrl-C ends it")
        _follow(mirror, source, settings, options.output)


@contextmanager
def _mirror(settings: Settings, source: FolderSource, tenant: str) -> Iterator[FolderMirror]:
    from adapters.folder_claims import FolderClaims
    from streams.mirror import FolderMirror, read_known
    from streams.publishing import Publisher
    from streams.reading import Reader

    codec, entrance = codec_for(settings), entrance_for(settings)
    with Reader(settings.kafka, codec, entrance.clock) as reader:
        known = read_known(reader, tenant, str(source.root))
    with Publisher(settings.kafka, codec, entrance, _PATIENCE_S) as publisher:
        yield FolderMirror(source, publisher, FolderClaims(settings.claims_folder), tenant, known)


def _follow(mirror: FolderMirror, source: FolderSource, settings: Settings, output: Output) -> None:
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
