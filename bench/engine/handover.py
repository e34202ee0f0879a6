"""Partitions change hands: the pause while workers join, and the time until a killed worker's partitions flow again.

The gap of a partition is the longest time between two of its records that were seen one after the other downstream,
after the change; the same gap before the change stands beside it, for what a commit interval costs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.engine.cluster import Cluster, until
from bench.engine.contenders import SESSION_MS, Contender, Place, worker
from bench.engine.environments import PeerMissingError
from bench.engine.latency import flows
from bench.engine.load import Flow, Seen, Sender
from bench.engine.words import quantile, say
from headwater.local.child import Child

PARTITIONS: Final = 12
RATE: Final = 600.0
STEADY_S: Final = 4.0
WINDOW_S: Final = 12.0
DRAIN_S: Final = 15.0
# Below this a gap is the usual one between two batches, and no sign of a partition without an owner.
ORPHANED_S: Final = 0.5
ROUNDS: Final = 2

GROUPED: Final = (
    Contender("ours", "eo"),
    Contender("ours", "alo"),
    Contender("quix_app", "eo", "prompt"),
    Contender("quix_app", "alo", "prompt"),
    Contender("aiokafka_loop", "eo", "prompt"),
    Contender("aiokafka_loop", "alo", "prompt"),
    Contender("faust_app", "alo", "prompt"),
)
"""Those whose workers share a group. Bytewax shares partitions out when a cluster starts, and never again."""


@dataclass(frozen=True)
class Change:
    """What happens in a run: workers at the start, and what is done to them after the steady time."""

    workers: int
    join: int = 0
    kill: bool = False


def measure_rebalance(cluster: Cluster, folder: Path, rounds: int = ROUNDS) -> dict[str, Any]:
    """One worker under load becomes three."""
    rows = []
    for contender in GROUPED:
        mine = rounds if contender.peer == "ours" else 1
        runs = [_run(contender, cluster, folder, Change(1, join=2)) for _ in range(mine)]
        rows.append(_row("rebalance", contender, runs, _pauses))
    return {"rate": RATE, "partitions": PARTITIONS, "rounds": rounds, "rows": rows}


def measure_recovery(cluster: Cluster, folder: Path) -> dict[str, Any]:
    """One of two workers is killed with -9 and stays away."""
    rows = [
        _row("recovery", contender, [_run(contender, cluster, folder, Change(2, kill=True))], _recovery)
        for contender in GROUPED
    ]
    return {"rate": RATE, "partitions": PARTITIONS, "session_s": SESSION_MS / 1000, "rows": rows}


def _row(part: str, contender: Contender, runs: Sequence[dict[str, Any]], judge: Any) -> dict[str, Any]:
    failed = [run for run in runs if "failed" in run]
    found = failed[0] if failed else judge(runs)
    say(part, f"{contender.name}, {contender.promise}: {found}")
    return {"name": contender.name, "promise": contender.promise, **found}


def _run(contender: Contender, cluster: Cluster, folder: Path, change: Change) -> dict[str, Any]:
    source, sink = cluster.topic("in", PARTITIONS), cluster.topic("out", PARTITIONS)
    place = Place(cluster.bootstrap, source, sink, f"bench.{contender.word}.{time.monotonic_ns()}", str(folder))
    try:
        children = [worker(contender, place, slot) for slot in range(change.workers + change.join)]
    except PeerMissingError as error:
        return {"failed": str(error)}
    try:
        for child in children[: change.workers]:
            child.start()
        if not flows(cluster, source, sink, avro=False):
            return {"failed": "wrote nothing", "said": children[0].log_tail(3)[-400:]}
        with Seen(cluster, sink, PARTITIONS, folder, committed=contender.guarantee == "eo") as seen:
            sender, at = _changed(cluster, source, children, change)
            count = sender.finish()
            _drained(cluster, sink, DRAIN_S)
        return _seen(seen, count, at)
    finally:
        for child in children:
            child.stop(3.0)
        cluster.drop(source, sink)


def _changed(cluster: Cluster, source: str, children: list[Child], change: Change) -> tuple[Sender, float]:
    sender = Sender(cluster, source, Flow(RATE, STEADY_S + WINDOW_S, PARTITIONS)).start()
    time.sleep(STEADY_S)
    at = time.monotonic()
    for child in children[change.workers :]:
        child.start()
    if change.kill:
        children[0].kill()
    return sender, at


def _drained(cluster: Cluster, sink: str, within_s: float) -> None:
    """Waits until no more comes for two seconds."""
    last, since = -1, time.monotonic()

    def still() -> bool:
        nonlocal last, since
        now = cluster.written(sink, PARTITIONS)
        if now != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since > 2.0

    until(still, within_s, 0.2)


def _seen(seen: Seen, count: int, at: float) -> dict[str, Any]:
    numbers, moments = seen.arrivals()
    keep = numbers < count
    numbers, moments = numbers[keep], moments[keep]
    gaps = [_gaps(moments[numbers % PARTITIONS == partition], at) for partition in range(PARTITIONS)]
    return {
        "before": [before for before, _, _ in gaps],
        "after": [after for _, after, _ in gaps],
        "again": [again for _, _, again in gaps],
        "lost": int(count - len(np.unique(numbers))),
        "twice": int(len(numbers) - len(np.unique(numbers))),
    }


def _gaps(moments: Any, at: float) -> tuple[float, float, float]:
    """The longest gap before the change, the longest one after it, and when that ended, seconds after the change."""
    if len(moments) < 3:
        return 0.0, WINDOW_S + DRAIN_S, WINDOW_S + DRAIN_S
    ordered = np.sort(moments)
    gaps, ends = np.diff(ordered), ordered[1:]
    steady = gaps[(ends < at) & (ends > ordered[0] + 1.0)]
    later = ends >= at
    if not later.any():
        return float(steady.max(initial=0.0)), WINDOW_S + DRAIN_S, WINDOW_S + DRAIN_S
    longest = int(np.argmax(np.where(later, gaps, -1.0)))
    return float(steady.max(initial=0.0)), float(gaps[longest]), float(ends[longest] - at)


def _pauses(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    before, after = (sorted(gap for run in runs for gap in run[when]) for when in ("before", "after"))
    return {
        "before_p99_s": round(quantile(before, 0.99), 3),
        "pause_p50_s": round(quantile(after, 0.5), 3),
        "pause_p99_s": round(quantile(after, 0.99), 3),
        "lost": sum(run["lost"] for run in runs),
        "twice": sum(run["twice"] for run in runs),
    }


def _recovery(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    run = runs[0]
    orphans = [
        again
        for gap, again in zip(run["after"], run["again"], strict=True)
        if gap > max(ORPHANED_S, max(run["before"]))
    ]
    return {
        "recovered_s": round(max(orphans), 2) if orphans else 0.0,
        "partitions": len(orphans),
        "lost": run["lost"],
        "twice": run["twice"],
    }
