"""`headwater freshness`: how long changes took to become searchable, stage by stage, from the receipts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from headwater.cli.exits import usage
from headwater.cli.options import add
from headwater.cli.output import OutputOption, emit, table
from headwater.cli.reaching import ToKafka, codec_for, reach

if TYPE_CHECKING:
    from schemas.envelope import Micros
    from streams.freshness import FreshnessReport

__all__ = ["moment_before", "register"]

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    add(app, freshness)


@dataclass(frozen=True, kw_only=True)
class FreshnessOptions(ToKafka):
    """What `freshness` can be told."""

    tenant: Annotated[str, typer.Option("--tenant", "-t", help="Only this tenant's documents.")] = ""
    document: Annotated[str, typer.Option(help="Only this document.")] = ""
    since: Annotated[str, typer.Option(help="How far back: 90s, 15m, 6h, 30d; nothing is as far as is kept.")] = ""
    output: OutputOption = "table"


def freshness(context: typer.Context, options: FreshnessOptions) -> None:
    """Show how long changes took from their source's commit to their receipt, and how many kept the objective."""
    from dataclasses import asdict

    import msgspec

    from adapters.host import SystemClock
    from headwater.cli.logs import configure
    from streams.freshness import Selection, read_freshness
    from streams.generation_log import read_table
    from streams.reading import Reader

    configure(quiet_kafka=True)
    settings, clock = reach(context, options), SystemClock()
    codec, since = codec_for(settings), moment_before(clock.now(), options.since)
    known = read_table(settings, codec, clock).registered
    built = {name: one.occurred_at for name, one in known.items() if one.built}
    selection = Selection(options.tenant, options.document, since, built)
    with Reader(settings.kafka, codec, clock) as reader:
        report = read_freshness(reader, selection, settings.freshness.slo_ms)
    if options.output == "json":
        emit(msgspec.to_builtins(asdict(report)))
    else:
        _print(report)


def moment_before(now: Micros, span: str) -> Micros | None:
    """The moment so long before now; None for no span. Raises typer.BadParameter.

    >>> moment_before(60_000_000, "1m")
    0
    """
    from schemas.envelope import Micros

    if not span:
        return None
    if not (found := re.fullmatch(r"([0-9]{1,6})([smhd])", span)):
        raise usage(f"wanted --since as a number and s, m, h or d (15m), got {span!r}")
    return Micros(now - int(found[1]) * _UNITS[found[2]] * 1_000_000)


def _print(report: FreshnessReport) -> None:
    outcomes = ", ".join(f"{outcome} {count}" for outcome, count in sorted(report.outcomes.items()))
    print(f"{report.receipts} receipts ({outcomes or 'none'}), {report.within:.1%} within {report.slo_ms} ms")
    if report.skewed:
        print(f"{report.skewed} have stages that end before they begin: clocks differ, such a stage counts as 0")
    rows = [
        {"stage": s.stage, "count": s.count, **{name: f"{getattr(s, name):.1f}" for name in ("p50", "p95", "p99")}}
        | {"max": f"{s.most:.1f}"}
        for s in (*report.stages, report.total)
    ]
    table(rows, ["stage", "count", "p50", "p95", "p99", "max"])
    if report.slowest:
        print("\nslowest, ms:")
        table(
            [
                {
                    "ms": f"{slow.total_ms:.1f}",
                    "document": f"{slow.tenant} {slow.document} {slow.version.source}/{slow.version.offset}",
                    "outcome": slow.outcome,
                    "stages": ", ".join(f"{name} {took:.0f}" for name, took in slow.stages.items()),
                }
                for slow in report.slowest
            ],
            ["ms", "document", "outcome", "stages"],
        )
