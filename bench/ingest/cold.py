"""A cold ingest over a real Kafka: documents published while a worker serves, until the last receipt."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil

from adapters.host import SystemClock, SystemIds
from adapters.memory import MemoryClaims
from adapters.schema_registry import ConfluentSchemaIds
from bench.ingest.documents import document
from headwater.local.spec import StackSpec
from headwater.local.stack import Stack
from schemas.codec import Codec
from schemas.documents import DocumentIndexed
from streams.publishing import Entrance, Publisher, Upload, document_changed
from streams.reading import Reader
from streams.settings import load, user_cache
from topics.ingest import DOCUMENT_CHANGED, DOCUMENT_INDEXED

__all__ = ["Ingest", "cold", "running", "say"]

TENANT: Final = "bench"
GIVE_UP_S: Final = 900.0
LOOK_S: Final = 0.5
WARM: Final = range(900_000, 900_005)


class Ingest:
    """A running stack and what is asked of it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        settings = load(kafka={"bootstrap": stack.addresses.bootstrap})
        codec = Codec(ConfluentSchemaIds(stack.addresses.registry_url))
        self._publisher = Publisher(settings.kafka, codec, Entrance(SystemClock(), SystemIds(), "bench"))
        self._reader = Reader(settings.kafka, codec, SystemClock())

    def close(self) -> None:
        self._reader.__exit__()
        self._publisher.close()

    def publish(self, numbered: Sequence[tuple[int, bytes]]) -> None:
        """All documents, as fast as the broker takes them."""
        sent = []
        for number, body in numbered:
            upload = Upload(tenant=TENANT, document=f"report-{number}.md", body=body, media_type="text/markdown")
            sent.append(self._publisher.send(DOCUMENT_CHANGED, document_changed(upload, MemoryClaims())))
        for one in sent:
            self._publisher.wait(one)

    def receipts(self, wanted: int) -> list[DocumentIndexed]:
        """Waits until so many receipts are there; all of them."""
        began, told = time.monotonic(), time.monotonic()
        while True:
            # Offsets count the markers of transactions too: only when enough of both are there are events counted.
            count = sum(high - low for low, high in self._reader.bounds(DOCUMENT_INDEXED.name).values())
            if count >= wanted:
                events = [reading.event for reading in self._reader.read(DOCUMENT_INDEXED.name)]
                found = [event for event in events if isinstance(event, DocumentIndexed)]
                if len(found) >= wanted:
                    return found
            if time.monotonic() - told > 10:
                told = time.monotonic()
                say(f"{count} of {wanted} receipts and markers after {told - began:.0f} s")
            if time.monotonic() - began > GIVE_UP_S:
                raise TimeoutError(f"wanted {wanted} receipts within {GIVE_UP_S:g} s")
            time.sleep(LOOK_S)

    def cpu(self) -> dict[str, float]:
        """Seconds of processor that each part took so far, its children's included."""
        pids = {status.name: status.pid for status in self.stack.status() if status.pid}
        found = {name: _cpu(psutil.Process(pid)) for name, pid in pids.items()}
        return {**found, "publisher": _own(psutil.Process())}


def _cpu(process: psutil.Process) -> float:
    """With its children, those that have ended included: a process that reads documents is replaced now and then."""
    ended = process.cpu_times()
    return (
        _own(process)
        + ended.children_user
        + ended.children_system
        + sum(_own(child) for child in process.children(recursive=True))
    )


def _own(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def running(environment: tuple[tuple[str, str], ...]) -> Iterator[Ingest]:
    """A stack of its own, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as folder:
        told = (*environment, ("HEADWATER_TENANTS", json.dumps([TENANT])))
        spec = StackSpec(Path(folder) / "state", user_cache(), detached=False, environment=told)
        with Stack(spec, say) as stack:
            ingest = Ingest(stack)
            try:
                yield ingest
            finally:
                ingest.close()


def cold(ingest: Ingest, documents: int) -> dict[str, Any]:
    """Documents published while the worker serves, until the last receipt; they are made before the clock starts."""
    bodies = [(number, document(number).encode()) for number in range(documents)]
    ingest.publish([(number, document(number).encode()) for number in WARM])
    ingest.receipts(len(WARM))
    say(f"publishing {documents} documents")
    before, began = ingest.cpu(), time.time()
    ingest.publish(bodies)
    published = time.time()
    receipts = ingest.receipts(documents + len(WARM))
    after = ingest.cpu()
    found = [receipt for receipt in receipts if receipt.occurred_at / 1e6 > began]
    ended = max(one.occurred_at for one in found) / 1e6
    chunks = sum(one.added for one in found)
    return {
        "documents": documents,
        "chunks": chunks,
        "published_s": round(published - began, 2),
        "seconds": round(ended - began, 2),
        "chunks_per_s": round(chunks / (ended - began), 1),
        "cpu_us_per_chunk": {name: round((after[name] - before[name]) / chunks * 1e6) for name in after},
    }


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
