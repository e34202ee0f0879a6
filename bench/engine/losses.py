"""Losses and duplicates under kill -9: T1's schedule (two workers, one killed at random, again and again).

The checker of the chaos harness compares the source's topic with the output's: every duplicate counts here, also where
at-least-once is promised, since the reader of the table wants to know how many there are.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any, Final

from bench.engine.cluster import Cluster, until
from bench.engine.contenders import Contender, Place, worker
from bench.engine.environments import PeerMissingError
from bench.engine.words import say
from headwater.local.child import Child
from tests.chaos.checker import Evidence, Rules, check
from tests.chaos.rows import TopicUnreadError, read_topic
from tests.chaos.source import Flow, Source

PARTITIONS: Final = 3
WORKERS: Final = 2
KILLS: Final = 10
RATE: Final = 400.0
SEED: Final = 4
PAUSE_S: Final = (0.5, 3.0)
FIRST_S: Final = 40.0
# Much longer than a session and a transaction left open together: who is silent for this long will not speak again.
STILL_S: Final = 20.0
QUIET_S: Final = 2.0
DRAIN_S: Final = 60.0

CONTENDERS: Final = (
    Contender("ours", "eo"),
    Contender("ours", "alo"),
    Contender("quix_app", "eo", "prompt"),
    Contender("quix_app", "alo", "prompt"),
    Contender("aiokafka_loop", "eo", "prompt"),
    Contender("aiokafka_loop", "alo", "prompt"),
    Contender("faust_app", "eo", "prompt"),
    Contender("faust_app", "alo", "prompt"),
    Contender("bytewax_flow", "alo", "prompt"),
)


def measure(cluster: Cluster, folder: Path, kills: int = KILLS) -> dict[str, Any]:
    """Every contender under the same schedule."""
    rows = []
    for contender in CONTENDERS:
        found = once(contender, cluster, folder, kills)
        rows.append({"name": contender.name, "promise": contender.promise, **found})
        say("losses", f"{contender.name}, {contender.promise}: {found}")
    return {"kills": kills, "seed": SEED, "rate": RATE, "rows": rows}


def once(contender: Contender, cluster: Cluster, folder: Path, kills: int) -> dict[str, Any]:
    """One contender. Bytewax is one process of its own cluster: there is nobody to take over."""
    source, sink = cluster.topic("in", PARTITIONS), cluster.topic("out", PARTITIONS)
    place = Place(cluster.bootstrap, source, sink, f"bench.{contender.word}.{time.monotonic_ns()}", str(folder))
    count = 1 if contender.peer == "bytewax_flow" else WORKERS
    try:
        children = [worker(contender, place, slot) for slot in range(count)]
    except PeerMissingError as error:
        return {"failed": str(error)}
    history = folder / f"losses-{contender.word}"
    history.mkdir(exist_ok=True)
    try:
        for child in children:
            child.start()
        with Source(cluster.bootstrap, source, Flow(rate=RATE), history, SEED) as flow:
            if not until(lambda: cluster.written(sink, PARTITIONS) > 0, FIRST_S):
                return {"failed": "wrote nothing", "said": children[0].log_tail(3)[-400:]}
            deaths = _kill(children, kills)
            wanted = flow.finish()
            drained_s = _drain(cluster, children, sink, wanted)
        ends = cluster.written(source, PARTITIONS)
        unread = 0 if contender.peer == "bytewax_flow" else ends - cluster.done(place.group, source, PARTITIONS)
        told = {"kills": kills, "other_deaths": deaths, "drained_s": drained_s, "uncommitted": unread}
        return {**told, **_judged(cluster, source, sink)}
    except TopicUnreadError:
        return {"failed": "left a transaction open that hides what follows it"}
    finally:
        for child in children:
            child.stop(5.0)
        cluster.drop(source, sink)


def _kill(children: list[Child], kills: int) -> int:
    """Kills one at random every 0.5 to 3 s and starts it again at once; how often one had died by itself meanwhile."""
    chance, deaths = random.Random(SEED), 0
    for _ in range(kills):
        time.sleep(chance.uniform(*PAUSE_S))
        victim = chance.choice(children)
        for child in children:
            if not child.alive:
                deaths += 1
                child.start()
        victim.kill()
        victim.start()
    return deaths


def _drain(cluster: Cluster, children: list[Child], sink: str, wanted: int) -> float:
    """Waits until all is there and quiet, or nothing has come for long; seconds until the last record came."""
    began = since = time.monotonic()
    last, whole = -1, False
    while time.monotonic() - began < DRAIN_S and time.monotonic() - since < (QUIET_S if whole else STILL_S):
        for child in children:
            child.start()
        now = sum(cluster.ends(sink, PARTITIONS, committed=True)) + cluster.written(sink, PARTITIONS)
        if now != last:
            last, since = now, time.monotonic()
        elif not whole and time.monotonic() - since > QUIET_S:
            whole = len({row.what for row in read_topic(cluster.bootstrap, sink)}) >= wanted
        time.sleep(0.3)
    return round(since - began, 1)


def _judged(cluster: Cluster, source: str, sink: str) -> dict[str, Any]:
    said = read_topic(cluster.bootstrap, source)
    there = read_topic(cluster.bootstrap, sink)
    findings = check(Evidence(said, there), Rules(exactly_once=True))
    return {
        "records": len(said),
        "lost": findings.lost,
        "duplicated": len(there) - len({row.what for row in there}),
        "reordered": findings.reordered,
        "examples": findings.examples()[:300],
    }
