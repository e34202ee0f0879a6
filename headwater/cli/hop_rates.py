"""From pages to rates: what each hop does per second, how long its steps take, and in one word how it is."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from headwater.cli.worker_page import HopNumbers, WorkerPage

__all__ = ["Growth", "HopRow", "Interval", "State", "Tally", "Watched", "growths", "quantile", "rows", "short_name"]

# Long enough that a hop with a batch every second has steady figures, short enough to follow a change with the eye.
WINDOW_S: Final = 5.0
# Looks come a little later than they are due, so a window rarely holds all of it.
_MOST_OF_IT: Final = 0.75

# A hop that needs longer than this for what waits, and has more waiting than before, is falling behind.
BEHIND_S: Final = 5.0

State = Literal[
    "away", "paused", "stuck", "aborting", "stalled", "failing", "retrying", "behind", "working", "idle", "…"
]
"""Worst first. stuck: records wait, none was read for most of a window; failing: records become dead letters;
behind: more arrives than is read; …: not yet two looks to compare."""


@dataclass
class Growth:
    """What one hop of one worker added to its counters, and to its lag, within `seconds`."""

    seconds: float
    counts: dict[str, float]
    buckets: dict[str, dict[float, float]]
    lag: float = 0.0


@dataclass(frozen=True)
class Interval:
    """What every hop of one worker did between two looks."""

    seconds: float
    hops: dict[str, Growth]


@dataclass
class Watched:
    """One worker as it is looked at again and again."""

    url: str
    page: WorkerPage | None = None
    away_since: float | None = None
    reason: str = ""
    known: set[str] = field(default_factory=set)
    window: deque[Interval] = field(default_factory=deque)
    added: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(float)))
    """Per hop and counter: how much came since watching began, over restarts."""

    def saw(self, page: WorkerPage) -> None:
        """It answered: compare with the page before. Rates over an absence would say nothing about now."""
        if self.page is not None:
            grown = growths(self.page, page)
            if self.away_since is None:
                self.window.append(Interval(page.at - self.page.at, grown))
            for hop, growth in grown.items():
                for name, value in growth.counts.items():
                    self.added[hop][name] += value
        self.page, self.away_since, self.reason = page, None, ""
        self.known |= set(page.hops)
        while len(self.window) > 1 and sum(one.seconds for one in self.window) > WINDOW_S:
            self.window.popleft()

    def missed(self, reason: str, at: float) -> None:
        """It did not answer; what it did before says nothing about now."""
        self.away_since = at if self.away_since is None else self.away_since
        self.reason = reason
        self.window.clear()

    def numbers(self, hop: str) -> HopNumbers | None:
        """The hop's figures as of now; None where the worker is away or does not run it."""
        return self.page.hops.get(hop) if self.page is not None and self.away_since is None else None

    def recent(self, hop: str) -> Growth | None:
        """What the hop did within the window; None where there are no two pages to compare."""
        if not self.window:
            return None
        return _sum((one.hops.get(hop) for one in self.window), sum(one.seconds for one in self.window))


@dataclass(frozen=True)
class Tally:
    """A count of what should be rare: all since the workers began, and how much came while we watched."""

    total: int
    new: int


@dataclass(frozen=True)
class HopRow:
    """One hop over all workers that run it. None: not known (yet), because there are no two looks to compare."""

    hop: str
    state: State
    workers: int
    partitions: int | None
    lag: int | None
    read_per_s: float | None
    written_per_s: float | None
    batch_records: float | None
    step_p50_s: float | None
    step_p95_s: float | None
    transaction_p95_s: float | None
    in_flight: int | None
    paused: bool
    paused_s: float
    retries: Tally
    dead_letters: Tally
    aborts: Tally
    stalls: Tally


def growths(before: WorkerPage, after: WorkerPage) -> dict[str, Growth]:
    """What each hop added between two pages of one worker. A counter that fell was begun anew, and counts from 0."""
    restarted = before.began != after.began
    seconds = after.at - before.at
    nothing = HopNumbers()
    grown = {}
    for hop, now in after.hops.items():
        then = nothing if restarted else before.hops.get(hop, nothing)
        counts = {name: _grown(then.counts.get(name, 0.0), value) for name, value in now.counts.items()}
        buckets = {
            name: {le: _grown(then.buckets.get(name, {}).get(le, 0.0), value) for le, value in bounds.items()}
            for name, bounds in now.buckets.items()
        }
        lag = now.gauges.get("lag_records", 0.0) - then.gauges.get("lag_records", 0.0)
        grown[hop] = Growth(seconds, counts, buckets, lag)
    return grown


def quantile(q: float, buckets: Mapping[float, float]) -> float | None:
    """The q-quantile of a histogram's growth, linear within a bucket, as Prometheus's histogram_quantile computes it.

    >>> quantile(0.5, {0.01: 10.0, 0.1: 10.0, math.inf: 10.0})
    0.005

    None where nothing was observed; the highest finite bound where the quantile lies above it.
    """
    bounds = sorted(buckets)
    if not bounds or not buckets[bounds[-1]]:
        return None
    rank = q * buckets[bounds[-1]]
    lower, below = 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank and math.isfinite(bound):
            inside = buckets[bound] - below
            return lower + (bound - lower) * ((rank - below) / inside if inside else 1.0)
        if math.isfinite(bound):
            lower, below = bound, buckets[bound]
    return lower


def short_name(group: str) -> str:
    """A hop as people write it, from the group it runs in.

    >>> short_name("headwater.ingest.parse.v1")
    'ingest.parse'
    """
    head, _, version = group.rpartition(".")
    name = head if head and version.startswith("v") and version[1:].isdigit() else group
    return name.removeprefix("headwater.")


def rows(workers: Sequence[Watched], order: Sequence[str] = ()) -> list[HopRow]:
    """One row per hop, those of `order` first and in its order; a hop whose workers are all away keeps its row."""
    place = {name: number for number, name in enumerate(order)}
    hops = {hop for worker in workers for hop in worker.known}
    found = [_row(hop, workers) for hop in hops]
    return sorted(found, key=lambda row: (place.get(row.hop, len(place)), row.hop))


def _row(hop: str, workers: Sequence[Watched]) -> HopRow:
    here = [worker for worker in workers if worker.numbers(hop) is not None]
    gauges = _gauges(numbers for worker in here if (numbers := worker.numbers(hop)) is not None)
    recent = [growth for worker in here if (growth := worker.recent(hop)) is not None]
    all_of_it = _sum(recent, max((growth.seconds for growth in recent), default=0.0))
    steps = all_of_it.buckets.get("step_seconds", {})
    batches = all_of_it.counts.get("batch_records_count", 0.0)
    return HopRow(
        hop=short_name(hop),
        state=_state(gauges, all_of_it, bool(here), bool(recent)),
        workers=len(here),
        partitions=_whole(gauges.get("partitions")),
        lag=_whole(gauges.get("lag_records")),
        read_per_s=_rate(recent, "records"),
        written_per_s=_rate(recent, "events"),
        batch_records=all_of_it.counts.get("batch_records_sum", 0.0) / batches if batches else None,
        step_p50_s=quantile(0.5, steps),
        step_p95_s=quantile(0.95, steps),
        transaction_p95_s=quantile(0.95, all_of_it.buckets.get("transaction_seconds", {})),
        in_flight=_whole(gauges.get("in_flight_records")),
        paused=gauges.get("paused", 0.0) > 0,
        paused_s=sum(n.counts.get("paused_seconds", 0.0) for w in here if (n := w.numbers(hop)) is not None),
        retries=_tally(hop, here, "retries"),
        dead_letters=_tally(hop, here, "dead_letters"),
        aborts=_tally(hop, here, "aborts"),
        stalls=_tally(hop, here, "stalls", "consumers_replaced"),
    )


def _state(gauges: Mapping[str, float], recent: Growth, here: bool, compared: bool) -> State:
    grew = {name for name, value in recent.counts.items() if value > 0}
    if not here:
        return "away"
    if gauges.get("paused", 0.0) > 0:
        return "paused"
    if not compared:
        return "…"
    waiting = gauges.get("lag_records", 0.0) > 0 and not gauges.get("in_flight_records", 0.0)
    if waiting and "records" not in grew and recent.seconds >= WINDOW_S * _MOST_OF_IT:
        return "stuck"
    signs: tuple[tuple[str, State], ...] = (
        ("aborts", "aborting"),
        ("consumers_replaced", "stalled"),
        ("stalls", "stalled"),
        ("dead_letters", "failing"),
        ("retries", "retrying"),
        ("records", "working"),
    )
    calm: State = "working" if gauges.get("in_flight_records", 0.0) else "idle"
    found = next((state for name, state in signs if name in grew), calm)
    return "behind" if found == "working" and _falls_behind(gauges, recent) else found


def _falls_behind(gauges: Mapping[str, float], recent: Growth) -> bool:
    read = recent.counts.get("records", 0.0)
    return recent.lag > 0 and 0 < read * BEHIND_S < gauges.get("lag_records", 0.0) * recent.seconds


def _gauges(found: Iterable[HopNumbers]) -> dict[str, float]:
    summed: dict[str, float] = defaultdict(float)
    for numbers in found:
        for name, value in numbers.gauges.items():
            summed[name] += value
    return summed


def _sum(parts: Iterable[Growth | None], seconds: float) -> Growth:
    whole = Growth(seconds, defaultdict(float), defaultdict(lambda: defaultdict(float)))
    for part in parts:
        if part is None:
            continue
        whole.lag += part.lag
        for name, value in part.counts.items():
            whole.counts[name] += value
        for name, bounds in part.buckets.items():
            for le, value in bounds.items():
                whole.buckets[name][le] += value
    return whole


def _rate(recent: Sequence[Growth], name: str) -> float | None:
    """Per second, summed over workers: each has looked over a time of its own."""
    rates = [growth.counts.get(name, 0.0) / growth.seconds for growth in recent if growth.seconds > 0]
    return sum(rates) if rates else None


def _tally(hop: str, workers: Sequence[Watched], *names: str) -> Tally:
    found = [numbers.counts for one in workers if (numbers := one.numbers(hop)) is not None]
    total = sum(counts.get(name, 0.0) for counts in found for name in names)
    return Tally(int(total), int(sum(one.added[hop][name] for one in workers for name in names)))


def _grown(then: float, now: float) -> float:
    return now - then if now >= then else now


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
