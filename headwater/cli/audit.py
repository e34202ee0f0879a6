"""`headwater audit`: whether the log of changes, the heads and the index say the same; repairs where they do not."""

from __future__ import annotations

import dataclasses
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from headwater.cli.exits import GATE, say, usage
from headwater.cli.options import add
from headwater.cli.output import OutputOption, emit, table
from headwater.cli.reaching import ToKafka, reach

if TYPE_CHECKING:
    from streams.audit import Auditor, Report
    from streams.parts import Parts

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    add(app, audit)


@dataclass(frozen=True, kw_only=True)
class AuditOptions(ToKafka):
    """What `audit` can be told."""

    repair: Annotated[bool, typer.Option("--repair", help="Repair what drifted; never removes what a head lists.")] = (
        False
    )
    once: Annotated[bool, typer.Option("--once", help="Two looks, the grace apart, then end (the default).")] = False
    every: Annotated[float, typer.Option(min=0.0, help="Look every so many seconds until stopped.")] = 0.0
    generation: Annotated[str, typer.Option(help="Which index generation; else the one that serves.")] = ""
    grace: Annotated[float, typer.Option(min=0.0, help="What differs for less than this is on its way, seconds.")] = 5.0
    output: OutputOption = "table"


def audit(context: typer.Context, options: AuditOptions) -> None:
    """Compare what the log of changes says with the heads and the index; exit 3 where drift is left.

    The local index belongs to one process: while a worker runs, let that one look (settings `audit.every_s`).
    """
    from headwater.cli.logs import configure
    from streams.audit import Auditor
    from streams.parts import Parts

    configure(quiet_kafka=True)
    if options.once and options.every:
        raise usage("wanted --once or --every, got both")
    root = Parts(reach(context, options))
    parts, group = _parts_of(root, options.generation)
    try:
        parts.port("store")
        parts.open({"heads", "embedding_cache"} if options.repair else {"heads"}, mending=False)
        auditor = Auditor(parts, options.grace, options.repair, group)
        left = _forever(auditor, options) if options.every else _once(auditor, options)
    finally:
        parts.close()
        if parts is not root:
            root.close()
    if left:
        raise typer.Exit(GATE)


def _parts_of(root: Parts, generation: str) -> tuple[Parts, str]:
    """The ports of a generation, and the group that makes its heads where that is not ordinary ingest."""
    from streams.generation_log import choice_of, read_table, require_living
    from streams.generation_parts import GenerationParts
    from streams.retiring import groups_of

    settings = root.settings
    known = read_table(settings, root.codec, root.port("clock"))
    name = generation or choice_of(known, settings).generation
    if name == settings.index.generation and not known.retired(name):
        return root, ""
    registered = require_living(known, name)
    return GenerationParts(root, registered), groups_of(name, built=True)[0] if registered.built else ""


def _once(auditor: Auditor, options: AuditOptions) -> bool:
    """Whether drift is left. The second look finds the same, or it was on its way."""
    first = auditor.look()
    if not first.suspects:
        _show(first, options)
        return False
    threading.Event().wait(options.grace)
    report = auditor.look()
    _show(report, options)
    return len(report.repaired) < len(report.drift)


def _forever(auditor: Auditor, options: AuditOptions) -> bool:
    while True:
        report = auditor.look_safely()
        if report is not None:
            _show(report, options)
        threading.Event().wait(options.every)


def _show(report: Report, options: AuditOptions) -> None:
    repaired = set(report.repaired)
    rows = [{**dataclasses.asdict(finding), "repaired": finding in repaired} for finding in report.drift]
    if options.output == "json":
        figures = {name: getattr(report, name) for name in ("documents", "objects", "partitions", "compared")}
        emit({**figures, "drift": report.counts(), "repaired": len(repaired), "findings": rows})
        return
    for row in rows:
        row["evidence"] = ", ".join(row["evidence"][:3])
    if rows:
        table(rows, ["kind", "tenant", "document", "repaired", "evidence"])
    say(
        f"{report.documents} documents and {report.objects} objects in {report.partitions} partitions compared, "
        f"{report.compared} of them one by one: {len(report.drift)} drifted, {len(repaired)} repaired"
    )
