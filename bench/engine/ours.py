"""Our worker: the real engine as it ships, over a hop that copies (bytes or events) or that waits like a model.

Shapes: `bytes` copies values untouched over BatchHop, what the peers do; `avro` decodes and encodes each event, as
every hop of the product does; `keyed` the same over KeyedHop; `embed` waits 50 ms a batch (BatchHop), `generate` 200 ms
a call (KeyedHop).
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

import structlog

from adapters.host import SystemClock
from bench.engine.cluster import codec, feedback_topic
from schemas.measures import FeedbackGiven
from streams.batches import BatchHop, HopPlan
from streams.deferred import Deferrals
from streams.hop import Hop
from streams.keyed import KeyedHop
from streams.pipeline import BoundHop, Origin, Pipeline
from streams.records import Outgoing, Processed, Record
from streams.retries import ErrorPolicy
from streams.settings import load

EMBED_S: Final = 0.05
EMBED_BATCH: Final = 16
GENERATE_S: Final = 0.2
CALLS_AT_ONCE: Final = 16


def copy(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
    """The simplest step."""
    yield _again(event)


def embed(events: Sequence[FeedbackGiven]) -> list[list[FeedbackGiven]]:
    """A model that takes 50 ms for a batch."""
    time.sleep(EMBED_S)
    return [[_again(event)] for event in events]


async def generate(event: FeedbackGiven) -> AsyncIterator[FeedbackGiven]:
    """A model that takes 200 ms for a call."""
    await asyncio.sleep(GENERATE_S)
    yield _again(event)


STEPS: Final[dict[str, Any]] = {"bytes": copy, "avro": copy, "keyed": copy, "embed": embed, "generate": generate}


class BytesCopy(Pipeline):
    """A pipeline that passes bytes on: what is left is the engine."""

    def process(self, records: Sequence[Record], deferrals: Deferrals | None = None) -> Processed:
        del deferrals
        sink = self.hops[0].hop.writes[0].name
        return Processed([[Outgoing(sink, r.key, r.value, r.headers)] for r in records])


def main(told: dict[str, Any]) -> None:
    """Works until SIGTERM."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    hop_of(told).run(stop)


def hop_of(told: dict[str, Any]) -> BatchHop | KeyedHop:
    """The hop of a shape. The transaction's time stays below the group's session, as `Kafka` asks."""
    shape = told["shape"]
    worker: dict[str, Any] = {"slot": told["slot"], "drain_s": 5.0}
    if shape == "generate":
        worker["in_flight_keys"] = CALLS_AT_ONCE
    kafka = {"bootstrap": told["bootstrap"], "transaction_timeout_ms": told["session_ms"] - 1_000}
    settings = load(kafka=kafka, worker=worker)
    keyed = shape in ("keyed", "generate")
    source, sink = feedback_topic(told["source"]), feedback_topic(told["sink"])
    hop = Hop((source,), STEPS[shape], (sink,), mode="keyed" if keyed else "batch", ahead=shape == "embed")
    kind = BytesCopy if shape == "bytes" else Pipeline
    pipeline = kind([BoundHop(hop, _no_port)], codec(), Origin(SystemClock(), "bench"), ErrorPolicy())
    most = EMBED_BATCH if shape == "embed" else settings.worker.batch_records
    plan = HopPlan(told["group"], pipeline, most_records=most, **_guarantee(told, keyed))
    return KeyedHop(plan, settings, SystemClock()) if keyed else BatchHop(plan, settings, SystemClock())


def _guarantee(told: dict[str, Any], keyed: bool) -> dict[str, Any]:
    return {} if keyed or told["guarantee"] == "eo" else {"exactly_once": False}


def _again(event: FeedbackGiven) -> FeedbackGiven:
    return FeedbackGiven(tenant=event.tenant, answer_id=event.answer_id, rating=event.rating, comment=event.comment)


def _no_port(name: str) -> Any:
    raise KeyError(name)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
