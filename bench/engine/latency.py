"""How long a record takes through one hop: from being handed to a producer to being read from the hop's topic.

At rest: one record each 20 ms. At half: half of what the contender carries, at most 5,000 records a second, since the
load and the reader take their share of the same cores.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.engine.cluster import Cluster, until
from bench.engine.contenders import Contender, Place, Tuning, worker
from bench.engine.environments import PeerMissingError
from bench.engine.load import Flow, Seen, Sender
from bench.engine.words import quantiles, say

PARTITIONS: Final = 4
REST_RATE: Final = 50.0
REST_S: Final = 7.0
HALF_S: Final = 5.0
WARM_S: Final = 1.5
MOST_RATE: Final = 5_000.0
# What a contender is taken to carry that was not measured: KeyedHop, whose work is slow by nature.
UNKNOWN: Final = 4_000.0
FIRST_S: Final = 40.0
REACH_S: Final = 8.0
FLOWING_S: Final = 0.05
TUNINGS: Final[tuple[Tuning, ...]] = ("default", "prompt")

CONTENDERS: Final = (
    Contender("ours", "alo"),
    Contender("ours", "alo", shape="avro"),
    Contender("ours", "alo", shape="keyed"),
    Contender("ours", "eo"),
    Contender("ours", "eo", shape="avro"),
    *(Contender("quix_app", promise, tuning) for promise in ("alo", "eo") for tuning in TUNINGS),
    *(Contender("aiokafka_loop", promise, tuning) for promise in ("alo", "eo") for tuning in TUNINGS),
    *(Contender("faust_app", "alo", tuning) for tuning in TUNINGS),
    *(Contender("bytewax_flow", "alo", tuning) for tuning in TUNINGS),
)


def measure(cluster: Cluster, folder: Path, capacity: dict[tuple[str, str], float]) -> dict[str, Any]:
    """Every contender, at rest and under load. `capacity`: records a second by name and promise."""
    rows = []
    for contender in CONTENDERS:
        known = capacity.get((contender.name, contender.promise), UNKNOWN)
        row = once(contender, cluster, folder, min(MOST_RATE, known / 2))
        rows.append({"name": contender.name, "promise": contender.promise, **row})
        said = row.get("failed") or f"at rest {row['rest']}, at {row['rate']:,.0f}/s {row['half']}"
        say("latency", f"{contender.name}, {contender.promise}: {said}")
    return {"rest_rate": REST_RATE, "most_rate": MOST_RATE, "rows": rows}


def once(contender: Contender, cluster: Cluster, folder: Path, rate: float) -> dict[str, Any]:
    """One contender, one worker: milliseconds at rest and at `rate`."""
    source, sink = cluster.topic("in", PARTITIONS), cluster.topic("out", PARTITIONS)
    place = Place(cluster.bootstrap, source, sink, f"bench.{contender.word}.{time.monotonic_ns()}", str(folder))
    try:
        child = worker(contender, place)
    except PeerMissingError as error:
        return {"failed": str(error)}
    child.start()
    try:
        if not flows(cluster, source, sink, avro=contender.shape != "bytes"):
            return {"failed": f"wrote nothing in {FIRST_S:g} s", "said": child.log_tail(3)[-400:]}
        committed, avro = contender.guarantee == "eo", contender.shape != "bytes"
        with_seen = [
            _flow(cluster, folder, (source, sink), flow, committed)
            for flow in (Flow(REST_RATE, REST_S, PARTITIONS, avro), Flow(rate, HALF_S, PARTITIONS, avro))
        ]
        return {"rate": round(rate), "rest": with_seen[0], "half": with_seen[1]}
    finally:
        child.stop(3.0)
        cluster.drop(source, sink)


def flows(cluster: Cluster, source: str, sink: str, *, avro: bool) -> bool:
    """Whether a worker passes records on: it is sent one every 50 ms until one comes out of every partition's way."""
    sender = Sender(cluster, source, Flow(1 / FLOWING_S, FIRST_S, PARTITIONS, avro)).start()
    flowing = until(lambda: cluster.written(sink, PARTITIONS) >= 2 * PARTITIONS, FIRST_S)
    sender.finish(early=True)
    time.sleep(WARM_S)
    return flowing


def _settled(cluster: Cluster, sink: str) -> None:
    """Waits until all that was written may be read and nothing more comes, for no longer than a slow commit takes."""
    last: list[int] = []

    def same() -> bool:
        nonlocal last
        before, last = last, cluster.ends(sink, PARTITIONS, committed=True)
        return last == before == cluster.ends(sink, PARTITIONS)

    until(same, REACH_S, 0.7)


def _flow(
    cluster: Cluster, folder: Path, topics: tuple[str, str], flow: Flow, committed: bool
) -> dict[str, float] | None:
    source, sink = topics
    with Seen(cluster, sink, PARTITIONS, folder, committed=committed) as seen:
        sender = Sender(cluster, source, flow).start()
        count = sender.finish()
        _settled(cluster, sink)
    numbers, moments = seen.arrivals()
    mine = numbers < count
    waited = (moments[mine] - sender.sent[numbers[mine]]) * 1000
    # The first second warms up; of what never came in time nothing is known but that it is above what did.
    late = numbers[mine] >= flow.rate
    if not late.any():
        return None
    missing = int(count - flow.rate - len(np.unique(numbers[mine][late])))
    return {**quantiles([float(one) for one in waited[late]]), "missing": max(0, missing)}
