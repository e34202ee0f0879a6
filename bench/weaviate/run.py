"""Claim: through our adapter Weaviate takes chunks at 70 % of its client's own rate or more, and size costs little.

A server of its own on free ports holds made-up chunks of 384 dimensions, first `--chunks`, then `--grown`. Measured:
the upsert rate of the adapter against the client's bare inserts of the same rows, the time from a write until both
searches find it, both searches, and memory; the local index beside it. Prints one JSON object as its last line.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from adapters.local_index import LocalIndex
from adapters.weaviate_connection import opened
from adapters.weaviate_index import Shape, WeaviateIndex, WeaviateOptions
from adapters.weaviate_names import object_uuid
from adapters.weaviate_schema import VECTOR, ensure, properties_of
from headwater.local.weaviate import WeaviateServer
from processors.ports import Index, IndexObject, Vectors
from schemas.documents import Chunk
from schemas.envelope import Version
from streams.settings import user_cache

CLAIM: Final = "weaviate"
DIMENSION: Final = 384
TENANT: Final = "bench"
EVERYONE: Final = frozenset({"*"})
LEAST_SHARE: Final = 0.7
MOST_GROWTH: Final = 1.5
CALL: Final = 2_048
WORDS: Final = 30_000
GIVE_UP_S: Final = 20.0


class Corpus:
    """Chunks by number, always the same: words as frequent as in texts, vectors in clusters as of real models."""

    def __init__(self) -> None:
        random = np.random.default_rng(7)
        shares = 1.0 / np.arange(1, WORDS + 1)
        self._shares = np.cumsum(shares / shares.sum())
        self._centres = random.standard_normal((256, DIMENSION)).astype(np.float32)

    def chunk(self, number: int) -> IndexObject:
        random = np.random.default_rng([7, number])
        text = f"mark{number} " + " ".join(f"w{word}" for word in self._drawn(random, 90))
        made = Chunk(name=f"c{number}", ordinal=number % 50, text=text, start=0, end=len(text), tokens=120)
        vector = self._near(random, int(random.integers(256))).tobytes()
        version = Version(source=0, offset=number)
        return IndexObject(
            object_uuid(str(number)), TENANT, f"d{number // 20}.md", version, "A title", "file:x", ("*",), made, vector
        )

    def question(self, number: int) -> tuple[str, Vectors]:
        random = np.random.default_rng([8, number])
        words = " ".join(f"w{word}" for word in self._drawn(random, 5))
        return words, self._near(random, int(random.integers(256)))

    def _drawn(self, random: np.random.Generator, count: int) -> list[int]:
        return [int(found) for found in np.searchsorted(self._shares, random.random(count))]

    def _near(self, random: np.random.Generator, cluster: int) -> Vectors:
        vector = self._centres[cluster] + random.standard_normal(DIMENSION).astype(np.float32)
        unit: Vectors = (vector / np.linalg.norm(vector)).astype("<f4")
        return unit


@dataclass(frozen=True)
class Place:
    """An index under measurement, and how much memory its process takes, bytes."""

    index: Index
    memory: Callable[[], int]


def filled(place: Place, corpus: Corpus, first: int, last: int) -> float:
    """Writes chunks and returns how many per second; making them is not counted."""
    seconds = 0.0
    for start in range(first, last, CALL):
        objects = [corpus.chunk(number) for number in range(start, min(last, start + CALL))]
        began = time.monotonic()
        place.index.upsert(objects)
        seconds += time.monotonic() - began
    return (last - first) / seconds


def bare(client: Any, shape: Shape, corpus: Corpus, chunks: int, stream: bool) -> float:
    """The client's own import of the same rows, made before the clock starts; chunks per second."""
    ensure(client, shape)
    held = client.collections.use(shape.collection).with_tenant(TENANT)
    made = [corpus.chunk(number) for number in range(chunks)]
    rows = [(one.object_id, properties_of(one, "", 0), np.frombuffer(one.vector, "<f4")) for one in made]
    began = time.monotonic()
    with held.batch.stream() if stream else held.batch.fixed_size(batch_size=256, concurrent_requests=4) as batch:
        for name, row, vector in rows:
            batch.add_object(row, uuid=name, vector={VECTOR: vector})
    seconds = time.monotonic() - began
    if held.batch.failed_objects:
        raise RuntimeError(f"the client lost {len(held.batch.failed_objects)} objects")
    client.collections.delete(shape.collection)
    return chunks / seconds


def searched(place: Place, corpus: Corpus, trials: int) -> dict[str, list[float]]:
    """Milliseconds of each search, thirty candidates each, both kinds in turn."""
    found: dict[str, list[float]] = {"text": [], "vector": []}
    for number in range(-10, trials):
        words, vector = corpus.question(number + 10)
        asked: dict[str, Callable[[], object]] = {
            "text": partial(place.index.search_text, TENANT, words, 30, EVERYONE),
            "vector": partial(place.index.search_vector, TENANT, vector, 30, EVERYONE),
        }
        for kind, ask in asked.items():
            began = time.monotonic()
            ask()
            if number >= 0:
                found[kind].append((time.monotonic() - began) * 1000)
    return found


def fresh(place: Place, corpus: Corpus, trials: int, first: int) -> list[float]:
    """Milliseconds from the start of a write until both searches have found it; the chunk is removed afterwards."""
    milliseconds = []
    for number in range(first, first + trials):
        made = corpus.chunk(number)
        vector = np.frombuffer(made.vector, "<f4")
        began = time.monotonic()
        place.index.upsert([made])
        while not _found(place.index, made, vector):
            if time.monotonic() - began > GIVE_UP_S:
                raise TimeoutError(f"chunk {number} was not found within {GIVE_UP_S:g} s")
        milliseconds.append((time.monotonic() - began) * 1000)
        place.index.remove(TENANT, [made.object_id])
    return milliseconds


def _found(index: Index, made: IndexObject, vector: Vectors) -> bool:
    words = index.search_text(TENANT, made.chunk.text.split()[0], 1, EVERYONE)
    near = index.search_vector(TENANT, vector, 1, EVERYONE)
    return all(found and found[0].object.object_id == made.object_id for found in (words, near))


def measured(place: Place, corpus: Corpus, sizes: Sequence[int], trials: int) -> Iterator[dict[str, Any]]:
    """One row per size; the index grows from one to the next."""
    first, empty = 0, place.memory()
    for size in sizes:
        rate = filled(place, corpus, first, size)
        searches = searched(place, corpus, trials)
        yield {
            "chunks": size,
            "upserted_per_s": round(rate, 1),
            "searchable": summary(fresh(place, corpus, trials, 10**7)),
            "text": summary(searches["text"]),
            "vector": summary(searches["vector"]),
            "memory_bytes_per_chunk": round((place.memory() - empty) / size),
        }
        first = size


def summary(milliseconds: list[float]) -> dict[str, float]:
    ordered = sorted(milliseconds)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)

    return {"p50_ms": at(0.5), "p95_ms": at(0.95), "max_ms": round(ordered[-1], 2)}


def growth(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """How often as long the 95th percentiles take in the last row as in the first."""
    return {
        kind: round(rows[-1][kind]["p95_ms"] / rows[0][kind]["p95_ms"], 2) for kind in ("searchable", "text", "vector")
    }


def own_memory() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything, Weaviate first; each index is alone while it is measured."""
    corpus, sizes = Corpus(), [arguments.chunks, *([arguments.grown] if arguments.grown else [])]
    shape = Shape("bench", DIMENSION, "bench", "g1", kind=arguments.kind, quantize=arguments.quantize)
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as made:
        folder = Path(made)
        with _server(folder / "bare") as (_, options), closing(opened(options)) as client:
            bares = {way: bare(client, shape, corpus, sizes[0], way == "stream") for way in ("fixed_size", "stream")}
        _say(json.dumps(bares))
        # Another server: what the client's rows left behind in the first would count as memory of ours.
        with _server(folder / "ours") as (server, options), WeaviateIndex(options, shape) as index:
            place = Place(index, lambda: server.child.memory_bytes)
            ours = list(map(_shown, measured(place, corpus, sizes, arguments.trials)))
        # Once more afterwards: a machine that slows down meanwhile must not look like an adapter's virtue.
        with _server(folder / "bare") as (_, options), closing(opened(options)) as client:
            bares["fixed_size again"] = bare(client, shape, corpus, sizes[0], False)
        with LocalIndex(folder / "local") as local:
            beside = list(map(_shown, measured(Place(local, own_memory), corpus, sizes, arguments.trials)))
    return {"bare_per_s": {way: round(rate, 1) for way, rate in bares.items()}, "weaviate": ours, "local": beside}


@contextmanager
def _server(folder: Path) -> Iterator[tuple[WeaviateServer, WeaviateOptions]]:
    with WeaviateServer(folder, user_cache(), memory_mb=3072, report=_say) as server:
        yield server, WeaviateOptions(server.url, server.grpc_port, server.api_key)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    _say(json.dumps(row))
    return row


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Runs it; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=20_000, help="the smaller size")
    parser.add_argument("--grown", type=int, default=200_000, help="the larger size; 0 leaves it out")
    parser.add_argument("--trials", type=int, default=200, help="searches and fresh chunks of each size")
    parser.add_argument("--kind", choices=["hnsw", "flat"], default="hnsw")
    parser.add_argument("--quantize", action="store_true", help="one byte per dimension (RQ)")
    arguments = parser.parse_args()
    found = run(arguments)
    share = found["weaviate"][0]["upserted_per_s"] / max(found["bare_per_s"].values())
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}
    name = f"{arguments.kind}{'-rq' if arguments.quantize else ''}-{arguments.chunks}-{arguments.grown}.json"
    Path(__file__).with_name(name).write_text(
        json.dumps({"machine": machine, **found}, indent=1) + "\n", encoding="utf-8"
    )
    ours: dict[str, Any] = {
        "share_of_bare": round(share, 3),
        "bare_per_s": found["bare_per_s"],
        "rows": found["weaviate"],
    }
    met = share >= LEAST_SHARE
    if arguments.grown:
        ours["growth"] = growth(found["weaviate"])
        met = met and max(ours["growth"].values()) < MOST_GROWTH
    target = {"share_of_bare": LEAST_SHARE, "growth_of_p95": MOST_GROWTH}
    print(json.dumps({"claim": CLAIM, "target": target, "ours": ours, "peers": {"local": found["local"]}, "met": met}))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
