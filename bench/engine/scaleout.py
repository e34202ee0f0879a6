"""Scale-out: the same hop with 1, 2, 4 and 8 worker processes over 16 partitions, against a model that only waits.

Efficiency is the rate with n workers over n times the rate with one, which has to be near what one can do at most: a
slow base would make any scale-out look good. Adding a worker needs no other step than starting
it: each joins the group and is given its share.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

from bench.engine.cluster import Cluster, until
from bench.engine.contenders import Contender, Place, worker
from bench.engine.ours import CALLS_AT_ONCE, EMBED_BATCH, EMBED_S, GENERATE_S
from bench.engine.words import say

PARTITIONS: Final = 16
WORKERS: Final = (1, 2, 4, 8)
WINDOW_S: Final = 6.0
SETTLE_S: Final = 3.0
UP_S: Final = 40.0
SPARE: Final = 1.5
# What one worker can do at most, records a second: the backlog is made for eight of them.
IDEAL: Final = {"embed": EMBED_BATCH / EMBED_S, "generate": CALLS_AT_ONCE / GENERATE_S}


def measure(cluster: Cluster, folder: Path) -> dict[str, Any]:
    """Both hops, each with more and more workers."""
    found = {shape: [_row(shape, workers, cluster, folder) for workers in WORKERS] for shape in IDEAL}
    for rows in found.values():
        for row in rows:
            row["efficiency"] = round(row["rate"] / (row["workers"] * rows[0]["rate"]), 3)
    return {"partitions": PARTITIONS, "ideal": {shape: round(one) for shape, one in IDEAL.items()}, **found}


def _row(shape: str, workers: int, cluster: Cluster, folder: Path) -> dict[str, Any]:
    source, sink = cluster.topic("in", PARTITIONS), cluster.topic("out", PARTITIONS)
    cluster.fill(source, int(IDEAL[shape] * workers * (SETTLE_S + WINDOW_S + 6.0) * SPARE), PARTITIONS, avro=True)
    group = f"bench.{shape}.{workers}.{time.monotonic_ns()}"
    place = Place(cluster.bootstrap, source, sink, group, str(folder))
    contender = Contender("ours", "alo" if shape == "generate" else "eo", shape=shape)
    children = [worker(contender, place, slot) for slot in range(workers)]
    try:
        for child in children:
            child.start()
        if not until(lambda: cluster.done(group, source, PARTITIONS) > 0, UP_S):
            raise RuntimeError(f"{shape} with {workers} workers did nothing: {children[0].log_tail(5)}")
        until(lambda: cluster.members(group) == workers, UP_S)
        time.sleep(SETTLE_S)
        rate = _rate(cluster, group, source)
    finally:
        for child in children:
            child.stop(6.0)
        cluster.drop(source, sink)
    say("scaleout", f"{shape}, {workers} workers: {rate:,.0f} records/s")
    return {"workers": workers, "rate": round(rate, 1)}


def _rate(cluster: Cluster, group: str, source: str) -> float:
    start, before = time.monotonic(), cluster.done(group, source, PARTITIONS)
    time.sleep(WINDOW_S)
    after, end = cluster.done(group, source, PARTITIONS), time.monotonic()
    return (after - before) / (end - start)
