"""Claim: a cold ingest of 20,000 chunks runs at more than 2,500 a second, and a restart without a change costs nothing.

A stack of its own on free ports. `cold` publishes generated documents while the worker serves and counts from the first
record to the last receipt; `restart` stops the worker over 5,000 documents and counts from the moment that it is ready
to the moment that its groups have no lag; `replay` publishes every document again. Embeddings are counted on their
topic. With `--embedder minilm` the same texts are embedded by the bare model first. Prints one JSON object at last.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from adapters.host import SystemClock, SystemIds
from adapters.memory import MemoryClaims
from adapters.schema_registry import ConfluentSchemaIds
from headwater.local.spec import StackSpec
from headwater.local.stack import Stack
from schemas.codec import Codec
from schemas.documents import DocumentIndexed
from streams.publishing import Entrance, Publisher, Upload, document_changed
from streams.reading import Reader
from streams.settings import load, user_cache
from topics.ingest import DOCUMENT_CHANGED, DOCUMENT_INDEXED, EMBEDDING_COMPUTED

CLAIM: Final = "ingest"
TARGETS: Final = {"cold_chunks_per_s": 2_500.0, "restart_s": 1.0, "restart_embedded": 0, "minilm_share": 0.9}
TENANT: Final = "bench"
GIVE_UP_S: Final = 900.0
LOOK_S: Final = 0.05
PARAGRAPHS: Final = 20
SYLLABLES: Final = tuple(a + b for a in "bcdfglmnprstv" for b in "aeiou")
_DRAW: Final = random.Random(7)
WORDS: Final = ["".join(_DRAW.choice(SYLLABLES) for _ in range(_DRAW.randint(2, 4))) for _ in range(12_000)]
RANKS: Final = list(accumulate(1 / (rank + 3) for rank in range(len(WORDS))))
MACHINE: Final = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}


def text_of(number: int, paragraphs: int = PARAGRAPHS) -> str:
    """A document that no other resembles; few words are common, most are rare, as in any language (Zipf)."""
    draw = random.Random(number)

    def sentence() -> str:
        return " ".join(draw.choices(WORDS, cum_weights=RANKS, k=draw.randint(8, 14))).capitalize() + "."

    body = "\n\n".join(" ".join(sentence() for _ in range(6)) for _ in range(paragraphs))
    return f"# Report {number}\n\n{body}\n"


class Bench:
    """A running stack and what is asked of it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._settings = load(kafka={"bootstrap": stack.addresses.bootstrap})
        self._codec = Codec(ConfluentSchemaIds(stack.addresses.registry_url))
        self._publisher = Publisher(self._settings.kafka, self._codec, Entrance(SystemClock(), SystemIds(), CLAIM))

    def reader(self) -> Reader:
        return Reader(self._settings.kafka, self._codec, SystemClock())

    def publish(self, numbers: range, paragraphs: int = PARAGRAPHS) -> None:
        sent = []
        for number in numbers:
            body = text_of(number, paragraphs).encode()
            upload = Upload(tenant=TENANT, document=f"report-{number}.md", body=body, media_type="text/markdown")
            sent.append(self._publisher.send(DOCUMENT_CHANGED, document_changed(upload, MemoryClaims())))
        for one in sent:
            self._publisher.wait(one)

    def count(self, topic: str) -> int:
        with self.reader() as reader:
            return sum(high - low for low, high in reader.bounds(topic).values())

    def embedded(self) -> int:
        """Vectors computed so far."""
        with self.reader() as reader:
            return sum(1 for reading in reader.read(EMBEDDING_COMPUTED.name) if reading.event is not None)

    def receipts(self, wanted: int) -> list[DocumentIndexed]:
        """Waits until so many receipts are there; all of them."""
        began = time.monotonic()
        while True:
            # Offsets count the markers of transactions too: only when enough of both are there are events counted.
            if self.count(DOCUMENT_INDEXED.name) >= wanted:
                with self.reader() as reader:
                    events = [reading.event for reading in reader.read(DOCUMENT_INDEXED.name)]
                found = [event for event in events if isinstance(event, DocumentIndexed)]
                if len(found) >= wanted:
                    return found
            if time.monotonic() - began > GIVE_UP_S:
                raise TimeoutError(f"wanted {wanted} receipts within {GIVE_UP_S:g} s")
            time.sleep(LOOK_S)


@contextmanager
def running(environment: tuple[tuple[str, str], ...]) -> Iterator[Bench]:
    """A stack of its own, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as folder:
        told = (*environment, ("HEADWATER_TENANTS", json.dumps([TENANT])))
        spec = StackSpec(Path(folder) / "state", user_cache(), detached=False, environment=told)
        with Stack(spec, lambda line: print(line, file=sys.stderr)) as stack:
            yield Bench(stack)


def cold(bench: Bench, documents: int) -> dict[str, float]:
    """Documents published while the worker serves, until the last is found."""
    bench.publish(range(900_000, 900_005))
    bench.receipts(5)
    began = time.time()
    bench.publish(range(documents))
    published = time.time()
    found = bench.receipts(documents + 5)[5:]
    ended = max(one.occurred_at for one in found) / 1e6
    chunks = sum(one.added for one in found)
    return {
        "documents": documents,
        "chunks": chunks,
        "published_s": round(published - began, 2),
        "seconds": round(ended - began, 2),
        "chunks_per_s": round(chunks / (ended - began), 1),
    }


def bare_rate(texts: int) -> float:
    """Texts a second of the bare model, as its own documentation calls it with our batch size."""
    from adapters.sentence_transformers import SentenceTransformerEmbedder

    model = SentenceTransformerEmbedder()
    model.warm()
    samples = [" ".join(text_of(n, 1).split()[3:100]) for n in range(texts)]
    began = time.monotonic()
    model.embed(samples)
    return texts / (time.monotonic() - began)


def main() -> int:
    """Runs the parts; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000, help=f"of {PARAGRAPHS} paragraphs each")
    parser.add_argument("--embedder", choices=["hashing", "minilm"], default="hashing")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting for the stack")
    asked = parser.parse_args()
    environment = (("HEADWATER_EMBED__MODEL", asked.embedder), *(tuple(one.split("=", 1)) for one in asked.set))
    with running(environment) as bench:
        found: dict[str, Any] = {"cold": cold(bench, asked.documents)}
        print(json.dumps({"claim": CLAIM, "machine": MACHINE, "embedder": asked.embedder, **found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
