"""`headwater top` beside a hop that works, waits for a dependency, and goes away."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.errors import IndexUnavailableError
from headwater.local.broker import KafkaBroker
from processors.contract import Reject
from schemas.measures import FeedbackGiven
from streams.batches import BatchHop
from streams.hop import Hop
from streams.ops import OpsServer
from tests.streams.bench_hops import Bench, eventually, feedback, running

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]


def row(port: int, hop: str, interval: str = "0.5") -> dict[str, Any]:
    """The hop's line as programs get it; empty where it has none yet."""
    asked = ["top", "--once", "--interval", interval, "--output", "json", "--url", f"127.0.0.1:{port}"]
    command = [sys.executable, "-m", "headwater.cli.main", *asked]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return next((found for found in json.loads(done.stdout)["hops"] if found["hop"] == hop), {})


def test_when_a_hop_works_waits_and_gives_up_then_its_line_says_so(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap)
    away, stop, busy = threading.Event(), threading.Event(), dict[str, Any]()

    def picky(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
        if away.is_set():
            raise IndexUnavailableError("down")
        if event.comment == "3":
            raise Reject("wanted no threes")
        yield FeedbackGiven(tenant=event.tenant, answer_id=event.answer_id, rating="up", comment=event.comment)

    def feed() -> None:
        for n in range(0, 100_000, 10):
            bench.put(*(feedback(n + i) for i in range(10)))
            if stop.wait(0.02):
                return

    feeding = threading.Thread(target=feed, daemon=True)
    with (
        OpsServer("127.0.0.1", 0, lambda: (True, ""), lambda: (True, "")) as server,
        running(bench.hop(BatchHop, [Hop((bench.source,), picky, (bench.middle,))])),
    ):
        feeding.start()
        try:
            eventually(lambda: row(server.port, bench.group).get("dead_letters", {}).get("total") == 1)
            eventually(lambda: busy.update(row(server.port, bench.group, "1")) or busy["state"] == "working")
            away.set()
            eventually(lambda: row(server.port, bench.group)["state"] == "paused")
            # What comes meanwhile is read ahead, up to a bound, and counts as in flight.
            eventually(lambda: row(server.port, bench.group)["in_flight"] > 30)
            eventually(lambda: row(server.port, bench.group, "1")["written_per_s"] == 0)
            away.clear()
            eventually(lambda: row(server.port, bench.group)["state"] == "working")
        finally:
            stop.set()
            feeding.join(10.0)
    assert busy["read_per_s"] > 1 and busy["written_per_s"] > 1
    assert 0 < busy["step_p50_s"] <= busy["step_p95_s"] < 1
    assert 0 < busy["transaction_p95_s"] < 5
    assert (busy["workers"], busy["partitions"], busy["aborts"]["new"]) == (1, 1, 0)
