"""Claim: a question has its ranked passages in 25 ms, with others asking and documents coming in.

A stack of its own on free ports is filled with made-up documents through the whole pipeline, to 20,000 chunks in the
local index, with the hashing embedder (so the question's vector costs nothing). Its worker runs all of ingest and the
steps admit to rerank, fused as they are. Applications put questions on their topic and read the ranked passages from
theirs; a time is from before a question is produced until its passages are read, so the broker's part is in it:
- *rest*: one asker, nothing else;
- *askers*: eight ask without a pause;
- *ingest*: one asker again, while new documents come in at half the rate at which the stack was filled.

Prints a line per target, and one JSON object as its last line; the result is written beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from adapters.schema_registry import ConfluentSchemaIds
from bench.cdc.readers import Asking, settings_of
from bench.retrieval.askers import Answered, Askers
from bench.size.corpus import CHUNKS_OF_ONE, document, question
from bench.size.run import TENANT, Bench, say
from headwater.local.parts import WORKER
from headwater.local.spec import StackSpec
from headwater.local.stack import Stack
from schemas.codec import Codec
from streams.settings import user_cache

CLAIM: Final = "retrieval"
MOST_P50_MS: Final = 25.0
MOST_P99_MS: Final = 60.0
LEAST_PER_S: Final = 400.0
MOST_GROWTH: Final = 2.0
ASKERS: Final = 8
STEPS: Final = ("run", "ingest", "measure", "answer.admit+rewrite+retrieve+rerank")
MACHINE: Final = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}
# New documents a second are published in parcels of this many seconds.
PARCEL_S: Final = 0.1


@contextmanager
def running(folder: Path) -> Iterator[tuple[Bench, Askers]]:
    """A stack of its own whose worker stops at the ranked passages; gone afterwards."""
    environment = (("HEADWATER_EMBED__MODEL", "hashing"), ("HEADWATER_TENANTS", json.dumps([TENANT])))
    spec = StackSpec(folder / "state", user_cache(), detached=False, environment=environment)
    with ExitStack() as closes:
        stack = Stack(spec, say)
        stack.worker.kind = replace(WORKER, arguments=STEPS)
        closes.enter_context(stack)
        settings = settings_of(stack, "hashing")
        bench = Bench(stack, settings, Asking(stack.addresses.gateway_url, TENANT), closes)
        codec = Codec(ConfluentSchemaIds(settings.registry.url))
        yield bench, closes.enter_context(Askers(settings, codec, TENANT))


@contextmanager
def coming_in(bench: Bench, first: int, per_s: float) -> Iterator[Callable[[], int]]:
    """Documents are published at this rate meanwhile; yields what says how many were."""
    ends, count = threading.Event(), [0]

    def publish() -> None:
        began = time.monotonic()
        while not ends.wait(PARCEL_S):
            while count[0] < (time.monotonic() - began) * per_s:
                name = first + count[0]
                bench.publish(f"new-{name}.md", document(name))
                count[0] += 1

    thread = threading.Thread(target=publish, daemon=True)
    thread.start()
    try:
        yield lambda: count[0]
    finally:
        ends.set()
        thread.join()


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """All three, in one stack."""
    documents = arguments.chunks // CHUNKS_OF_ONE

    def asked(number: int) -> str:
        return question(number, documents)

    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as made:
        folder = Path(made)
        folder.chmod(0o711)
        with running(folder) as (bench, askers):
            per_s = bench.fill(arguments.chunks)
            askers.ask(asked, ASKERS, 5.0)
            rest = shown("rest", askers.ask(asked, 1, arguments.seconds))
            together = shown("askers", askers.ask(asked, ASKERS, arguments.seconds))
            with coming_in(bench, documents, per_s / CHUNKS_OF_ONE / 2) as published:
                began = time.monotonic()
                ingest = shown("ingest", askers.ask(asked, 1, arguments.seconds))
                ingest["chunks_per_s"] = round(published() * CHUNKS_OF_ONE / (time.monotonic() - began), 1)
            return {"filled_per_s": per_s, "rest": rest, "askers": together, "ingest": ingest}


def shown(name: str, answered: Answered) -> dict[str, float]:
    """The times of one phase, told at once."""
    p50, p95, p99 = (round(float(part), 1) for part in np.percentile(answered.milliseconds, [50, 95, 99]))
    row = {"questions": len(answered.milliseconds), "per_s": answered.per_second}
    row |= {"p50_ms": p50, "p95_ms": p95, "p99_ms": p99}
    say(f"{name}: {json.dumps(row)}")
    return row


def judged(ours: dict[str, Any]) -> dict[str, bool]:
    """Each target: whether it is met, with its line."""
    rest, together, ingest = ours["rest"], ours["askers"], ours["ingest"]
    growth = ours["growth"] = round(ingest["p99_ms"] / rest["p99_ms"], 2)
    rows = {
        f"p50 at rest {rest['p50_ms']} ms (wanted < {MOST_P50_MS:g})": rest["p50_ms"] < MOST_P50_MS,
        f"p99 at rest {rest['p99_ms']} ms (wanted < {MOST_P99_MS:g})": rest["p99_ms"] < MOST_P99_MS,
        f"{together['per_s']} questions/s of {ASKERS} askers (wanted > {LEAST_PER_S:g})": together["per_s"]
        > LEAST_PER_S,
        f"p99 under ingest {growth} times that at rest (wanted < {MOST_GROWTH:g})": growth < MOST_GROWTH,
    }
    for line, met in rows.items():
        print(f"{line}: {'met' if met else 'missed'}")
    return rows


def main() -> int:
    """Runs it; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each of the three")
    arguments = parser.parse_args()
    ours = measured(arguments)
    met = all(judged(ours).values())
    path = Path(__file__).with_name(f"raw-local-{arguments.chunks}.json")
    path.write_text(json.dumps({"machine": MACHINE, **ours}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({"claim": CLAIM, "ours": ours, "met": met}))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
