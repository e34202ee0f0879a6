"""Hops as a table for a terminal of any width: what matters most stays, the rest needs room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from headwater.cli.hop_rates import HopRow, State, Tally, Watched

if TYPE_CHECKING:
    from rich.console import Group

__all__ = ["COLUMNS", "Column", "chosen", "fitting", "picture"]

_GAP: Final = 2
_NOTHING: Final = "-"
# The hop's name is cut to this before a column with figures is left out, and to the second where there is no other way.
_SHORT_NAME: Final = 18
_SHORTEST_NAME: Final = 8
# Beside the rows: title, heading, the line of hops left out, the line of keys.
_OTHER_LINES: Final = 4
_LOUD: Final = "bold red"
Side = Literal["left", "right"]
_STYLES: Final[dict[State, str]] = {
    "away": _LOUD,
    "paused": "bold yellow",
    "stuck": _LOUD,
    "aborting": "bold yellow",
    "stalled": "bold yellow",
    "failing": _LOUD,
    "retrying": "yellow",
    "behind": "yellow",
    "working": "green",
    "idle": "dim",
    "…": "dim",
}


@dataclass(frozen=True)
class Column:
    """One column: `rank` says how early it is given room, 0 always; the order on screen is that of the list."""

    title: str
    rank: int
    cell: Callable[[HopRow], str]
    style: Callable[[HopRow], str] = lambda _: ""
    left: bool = False


def _number(value: float | None) -> str:
    """Whole where large, one decimal where small, never more than six characters.

    >>> [_number(n) for n in (None, 0, 0.04, 3.14, 1234, 123456, 12345678)]
    ['-', '0', '<0.1', '3.1', '1,234', '123k', '12.3M']
    """
    if value is None:
        return _NOTHING
    if value == int(value) and value < 100_000:
        return f"{value:,.0f}"
    for limit, text in ((0.05, "<0.1"), (9.95, f"{value:.1f}"), (99_999.5, f"{value:,.0f}")):
        if value < limit:
            return text
    if value < 999_500:
        return f"{value / 1e3:.0f}k"
    return f"{value / 1e6:.1f}M" if value < 99.95e6 else f"{value / 1e6:,.0f}M"


def _time(seconds: float | None) -> str:
    """A duration in at most five characters.

    >>> [_time(s) for s in (None, 0, 0.0004, 0.0123, 0.4, 2.34, 75, 7200)]
    ['-', '0', '0.4ms', '12ms', '400ms', '2.3s', '75s', '120m']
    """
    if not seconds:
        return _NOTHING if seconds is None else "0"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.1f}ms" if seconds < 0.00995 else f"{seconds * 1e3:.0f}ms"
    if seconds < 99.5:
        return f"{seconds:.1f}s" if seconds < 9.95 else f"{seconds:.0f}s"
    return f"{seconds / 60:.0f}m"


def _rare(title: str, rank: int, tally: Callable[[HopRow], Tally]) -> Column:
    """A count of what should not happen: the total, then what came while we watched, which is loud."""

    def cell(row: HopRow) -> str:
        found = tally(row)
        return f"{_number(found.total)} +{_number(found.new)}" if found.new else _number(found.total)

    return Column(title, rank, cell, lambda row: _LOUD if tally(row).new else "" if tally(row).total else "dim")


_NAME: Final = Column("HOP", 0, lambda row: row.hop, left=True)
COLUMNS: Final = (
    _NAME,
    Column("STATE", 0, lambda row: row.state, lambda row: _STYLES[row.state], left=True),
    Column("LAG", 0, lambda row: _number(row.lag), lambda row: "" if row.lag else "dim"),
    Column("IN/s", 1, lambda row: _number(row.read_per_s), lambda row: "" if row.read_per_s else "dim"),
    Column("OUT/s", 3, lambda row: _number(row.written_per_s), lambda row: "" if row.written_per_s else "dim"),
    Column("P50", 5, lambda row: _time(row.step_p50_s)),
    Column("P95", 2, lambda row: _time(row.step_p95_s)),
    Column("TXN P95", 9, lambda row: _time(row.transaction_p95_s)),
    Column("BATCH", 8, lambda row: _number(row.batch_records)),
    Column("IN FLIGHT", 11, lambda row: _number(row.in_flight)),
    Column("PAUSED", 7, lambda row: _time(row.paused_s), lambda row: "bold yellow" if row.paused else ""),
    _rare("RETRIES", 6, lambda row: row.retries),
    _rare("DEAD", 4, lambda row: row.dead_letters),
    _rare("ABORTS", 6, lambda row: row.aborts),
    _rare("STALLS", 12, lambda row: row.stalls),
    Column("PARTS", 10, lambda row: _number(row.partitions)),
    Column("WORKERS", 10, lambda row: str(row.workers)),
)


def chosen(rows: Sequence[HopRow], width: int) -> list[tuple[Column, int]]:
    """The columns that have room, by rank, each with its width: the first that has none ends the choice."""
    kept: dict[Column, int] = {}
    for column in sorted(COLUMNS, key=lambda one: one.rank):
        wide = max(len(column.title), *(len(column.cell(row)) for row in rows), 0)
        needed = min(wide, _SHORT_NAME) if column is _NAME else wide
        if column.rank and sum(kept.values()) + needed + _GAP * len(kept) > width:
            break
        kept[column] = needed
    others = sum(kept.values()) - kept[_NAME] + _GAP * (len(kept) - 1)
    longest = max((len(_NAME.cell(row)) for row in rows), default=0)
    kept[_NAME] = max(_SHORTEST_NAME, min(longest, width - others))
    return [(column, kept[column]) for column in COLUMNS if column in kept]


def fitting(rows: Sequence[HopRow], lines: int) -> list[HopRow]:
    """As many rows as there are lines for: idle hops are left out first, and the order is kept."""
    calm = ("idle", "…")
    room = max(1, lines - _OTHER_LINES)
    kept = sorted(range(len(rows)), key=lambda n: (rows[n].state in calm, n))[:room]
    return [rows[n] for n in sorted(kept)]


def picture(rows: Sequence[HopRow], workers: Sequence[Watched], width: int, now: float, left_out: int = 0) -> Group:
    """The whole picture: a line on the whole, the table, and a line for each worker that is away."""
    from rich.console import Group
    from rich.text import Text

    lines: list[Any] = [Text(_headline(rows, workers), style="bold", no_wrap=True, overflow="ellipsis")]
    if rows:
        lines.append(_table(rows, width))
    elif any(worker.away_since is None and worker.page for worker in workers):
        lines.append(Text("no hop has started yet"))
    if left_out:
        lines.append(Text(f"and {left_out} more that the window has no line for", style="dim"))
    for worker in workers:
        if worker.away_since is not None:
            said = f"{worker.url} is away for {_time(now - worker.away_since)}: {worker.reason}; asking again"
            lines.append(Text(said, style=_LOUD, no_wrap=True, overflow="ellipsis"))
    return Group(*lines)


def _headline(rows: Sequence[HopRow], workers: Sequence[Watched]) -> str:
    away = sum(worker.away_since is not None for worker in workers)
    parts = [_plural(len(workers), "worker") + (f", {away} away" if away else ""), _plural(len(rows), "hop")]
    known = [row.lag for row in rows if row.lag is not None]
    if known:
        parts.append(f"lag {_number(sum(known))}")
    troubled = [row for row in rows if row.state not in ("working", "idle", "…")]
    parts.append(f"trouble in {', '.join(row.hop for row in troubled)}" if troubled else "all well")
    return "  ·  ".join(parts)


def _table(rows: Sequence[HopRow], width: int) -> Any:
    from rich.table import Table
    from rich.text import Text

    columns = chosen(rows, width)
    drawn = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="bold")
    for column, wide in columns:
        side: Side = "left" if column.left else "right"
        drawn.add_column(column.title, justify=side, no_wrap=True, overflow="ellipsis", width=wide)
    for row in rows:
        drawn.add_row(*(Text(column.cell(row), style=column.style(row)) for column, _ in columns))
    return drawn


def _plural(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
