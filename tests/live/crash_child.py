"""A hop in a process of its own, whose step dies of one record.

`python -m tests.live.crash_child '<CrashSpec as JSON>'`
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from adapters.host import SystemClock
from schemas.measures import FeedbackGiven
from streams.batches import BatchHop, HopPlan
from streams.hop import Hop
from streams.pipeline import BoundHop, Origin, Pipeline
from streams.retries import ErrorPolicy, Outputs, RetryLater
from streams.settings import load
from tests.chaos.rows import CODEC, feedback_topic


@dataclass(frozen=True)
class CrashSpec:
    """What the process does. `deadly` kills it: by a signal, or by leaving with code 1 where `how` is 0."""

    bootstrap: str
    source: str
    sink: str
    group: str
    log: str
    deadly: str = ""
    how: int = signal.SIGSEGV
    slow_s: float = 0.0
    watch_s: float = 0.5
    later: tuple[float, ...] = ()
    failing: str = ""
    batch: int = 500
    exactly_once: bool = True

    def text(self) -> str:
        return json.dumps(asdict(self))


def hop_of(spec: CrashSpec) -> Hop:
    handled = Path(spec.log).open("a", buffering=1, encoding="utf-8")  # noqa: SIM115  # as long as the process

    def deadly(events: Sequence[FeedbackGiven]) -> list[Outputs]:
        time.sleep(spec.slow_s)
        for event in events:
            if event.comment == spec.deadly:
                handled.write(f"{len(events)}\n")
                if spec.how:
                    os.kill(os.getpid(), spec.how)
                    time.sleep(5.0)
                os._exit(1)
            if event.comment == spec.failing:
                raise ValueError("not today")
        return [[FeedbackGiven(tenant=e.tenant, answer_id=e.answer_id, rating="up", comment=e.comment)] for e in events]

    retries = RetryLater(spec.later) if spec.later else None
    return Hop((feedback_topic(spec.source),), deadly, (feedback_topic(spec.sink),), retries=retries)


def no_port(name: str) -> Any:
    raise KeyError(name)


def main(text: str) -> int:
    given = json.loads(text)
    spec = CrashSpec(**{**given, "later": tuple(given["later"])})
    pipeline = Pipeline(
        [BoundHop(hop_of(spec), no_port)], CODEC, Origin(SystemClock(), "test"), ErrorPolicy(1, backoff_s=0.01)
    )
    kafka = {"bootstrap": spec.bootstrap, "deadline_s": 10.0, "transaction_timeout_ms": 1_000}
    # The watching is what a test would wait for most.
    settings = load(kafka=kafka, worker={"crash_watch_s": spec.watch_s})
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    plan = HopPlan(spec.group, pipeline, most_records=spec.batch, exactly_once=spec.exactly_once)
    BatchHop(plan, settings, SystemClock()).run(stop)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
