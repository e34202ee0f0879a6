"""Records a second of one worker process: one topic in, one topic out, values of 1,000 bytes, a backlog that lasts.

Ours runs before every peer (once before both tunings of the slower ones), so that each pair sees the same machine; what
is compared is the median of the pairs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from bench.engine.cluster import Cluster, until
from bench.engine.contenders import Contender, Guarantee, Place, Tuning, worker
from bench.engine.environments import PeerMissingError
from bench.engine.words import say
from headwater.local.child import Child

PARTITIONS: Final = 4
WINDOW_S: Final = 8.0
FIRST_S: Final = 40.0
GRACE_S: Final = 3.0
WARM_S: Final = 1.0
BYTES_BACKLOG: Final = 2_500_000
AVRO_BACKLOG: Final = 500_000
LOOK_S: Final = 0.2
STILL_S: Final = 12.0

TUNINGS: Final[tuple[Tuning, ...]] = ("default", "fast")
PEERS: Final[tuple[tuple[str, Guarantee], ...]] = (
    ("quix_app", "alo"),
    ("quix_app", "eo"),
    ("aiokafka_loop", "alo"),
    ("aiokafka_loop", "eo"),
    ("bytewax_flow", "alo"),
    ("faust_app", "alo"),
)
# Faust's exactly-once is measured once, at its default: it is broken in ways that tuning does not touch.
RIVALS: Final = (
    *(Contender(peer, promise, t) for peer, promise in PEERS for t in TUNINGS),
    Contender("faust_app", "eo"),
)
OTHERS: Final = tuple(
    tuple(rival for rival in RIVALS if (rival.peer, rival.guarantee) == who)
    for who in (*PEERS[2:], ("faust_app", "eo"))
)


@dataclass(frozen=True)
class Backlogs:
    """What is there to be read, and how long to look."""

    cluster: Cluster
    folder: Path
    bytes_topic: str
    avro_topic: str
    window_s: float = WINDOW_S


def measure(cluster: Cluster, folder: Path, rounds: int = 2, share: float = 1.0) -> dict[str, Any]:
    """Every contender, in pairs with ours. `share` shortens backlog and window for a trial."""
    bytes_topic, avro_topic = cluster.topic("bytes", PARTITIONS), cluster.topic("avro", PARTITIONS)
    say("passthrough", "writing the backlog")
    cluster.fill(bytes_topic, int(BYTES_BACKLOG * share), PARTITIONS)
    cluster.fill(avro_topic, int(AVRO_BACKLOG * share), PARTITIONS, avro=True)
    backlogs = Backlogs(cluster, folder, bytes_topic, avro_topic, max(2.0, WINDOW_S * share))
    pairs = [pair for number in range(rounds) for rivals in _turn(number) for pair in _pairs(rivals, backlogs)]
    alone = [
        {"name": one.name, "promise": one.promise, "run": once(one, backlogs)}
        for one in (Contender("ours", "alo", shape="avro"), Contender("ours", "eo", shape="avro"))
    ]
    cluster.drop(bytes_topic, avro_topic)
    return {"window_s": backlogs.window_s, "partitions": PARTITIONS, "pairs": pairs, "alone": alone}


def _turn(number: int) -> list[tuple[Contender, ...]]:
    """Who runs behind one run of ours: each Quix, which the claim is about, in every round; the others in the first."""
    claimed: list[tuple[Contender, ...]] = [(rival,) for rival in RIVALS if rival.peer == "quix_app"]
    return claimed if number else [*claimed, *OTHERS]


def _pairs(rivals: Sequence[Contender], backlogs: Backlogs) -> list[dict[str, Any]]:
    mine = once(Contender("ours", rivals[0].guarantee), backlogs)
    return [
        {"name": rival.name, "promise": rival.promise, "ours": mine, "peer": once(rival, backlogs)} for rival in rivals
    ]


def once(contender: Contender, backlogs: Backlogs) -> dict[str, Any]:
    """One run from the backlog's beginning: `rate`, or `failed` with the reason."""
    cluster = backlogs.cluster
    sink = cluster.topic("sink", PARTITIONS)
    source = backlogs.avro_topic if contender.shape == "avro" else backlogs.bytes_topic
    group = f"bench.{contender.word}.{time.monotonic_ns()}"
    place = Place(cluster.bootstrap, source, sink, group, str(backlogs.folder))
    try:
        found = _timed(worker(contender, place), cluster, sink, backlogs.window_s)
    except PeerMissingError as error:
        found = {"failed": str(error)}
    cluster.drop(sink)
    rate = f"{found['rate']:,.0f} records/s" if "rate" in found else str(found["failed"]).splitlines()[0]
    say("passthrough", f"{contender.name}, {contender.promise}: {rate}")
    return found


def _timed(child: Child, cluster: Cluster, sink: str, window_s: float) -> dict[str, Any]:
    child.start()
    try:
        began = time.monotonic()
        alive = until(lambda: not child.alive or cluster.written(sink, PARTITIONS) > 0, FIRST_S)
        if not alive or not child.alive:
            return {"failed": f"wrote nothing in {FIRST_S:g} s", "said": child.log_tail(3)[-400:]}
        first_s = time.monotonic() - began
        time.sleep(WARM_S)
        found = _window(child, cluster, sink, window_s)
        return {**found, "first_s": round(first_s, 2)}
    finally:
        child.stop(GRACE_S)


def _window(child: Child, cluster: Cluster, sink: str, window_s: float) -> dict[str, Any]:
    """From the first look to the last one that saw progress: the time after a backlog's end is not counted."""
    process = psutil.Process(child.pid)
    looks = [(time.monotonic(), cluster.written(sink, PARTITIONS), _cpu_s(process))]
    while time.monotonic() - looks[0][0] < window_s + (STILL_S if len(looks) < 2 else 0) and child.alive:
        time.sleep(LOOK_S)
        count = cluster.written(sink, PARTITIONS)
        if count > looks[-1][1]:
            looks.append((time.monotonic(), count, _cpu_s(process)))
    (start, before, cpu), (end, after, cpu_then) = looks[0], looks[-1]
    if end <= start or after <= before:
        return {"failed": "stood still", "said": child.log_tail(3)[-400:]}
    records = (after - before) * cluster.density(sink, PARTITIONS)
    return {
        "rate": round(records / (end - start)),
        "seconds": round(end - start, 2),
        "cores": round((cpu_then - cpu) / (end - start), 2),
    }


def _cpu_s(process: psutil.Process) -> float:
    try:
        used = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(used.user + used.system)


def ratios(pairs: Iterable[dict[str, Any]], *, per_core: bool = False) -> dict[tuple[str, str], float]:
    """Per rival and promise: how many times faster ours was, the median of its pairs; or how much more a core did."""
    found: dict[tuple[str, str], list[float]] = {}
    for pair in pairs:
        if "rate" in pair["ours"] and "rate" in pair["peer"]:
            mine, theirs = (_worth(pair[who], per_core) for who in ("ours", "peer"))
            found.setdefault((pair["name"], pair["promise"]), []).append(mine / theirs)
    return {who: round(statistics.median(each), 2) for who, each in found.items()}


def _worth(run: dict[str, Any], per_core: bool) -> float:
    return float(run["rate"] / max(run["cores"], 0.01)) if per_core else float(run["rate"])
