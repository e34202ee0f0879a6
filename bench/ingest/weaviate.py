"""The index step on Weaviate, and the client's own import of the same objects, in turn on the same server.

Ours is the step as the worker runs it: heads are read, the plan is made, ids are asked for, objects and seals written,
and what was written is read back. The client's is the way that its documentation recommends for imports (`batch`, with
vectors given), fed with rows that were made before the clock starts. Both write into new collections alike.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from adapters.heads_view import MemoryHeads
from adapters.host import SystemClock
from adapters.memory import DictEmbeddingCache, HashingEmbedder, MemoryClaims
from adapters.near_duplicates import MinHashSigner
from adapters.parsers import InProcessParser
from adapters.weaviate_connection import opened
from adapters.weaviate_index import Shape, WeaviateIndex, WeaviateOptions
from adapters.weaviate_names import object_uuid, tenant_name
from adapters.weaviate_schema import VECTOR, ensure, properties_of
from bench.ingest.cold import say
from bench.ingest.documents import document
from headwater.local.weaviate import WeaviateServer
from processors.ingest.boundaries import StructureSplitter
from processors.ingest.chunk import chunk
from processors.ingest.embed import Embeddable, embed
from processors.ingest.index import fold, index
from processors.ingest.parse import parse
from processors.ingest.planning import Indexable, Plan
from processors.ingest.policies import RedactionPolicy
from processors.ingest.redact import redact
from processors.ports import IndexObject
from schemas.documents import ChunkEmbedded, DocumentChanged, DocumentChunked
from schemas.envelope import Version
from streams.settings import user_cache

__all__ = ["measured"]

TENANT: Final = "bench"
BATCH: Final = 128
"""Documents of a batch: as many as a worker that is behind has in hand, about 2,500 chunks."""
_DIMENSION: Final = 384


def measured(documents: int, rounds: int) -> dict[str, Any]:
    """Objects a second of both, round by round, and the share of the medians."""
    batches = _batches(documents)
    objects = [found for batch in batches for found in Plan.of(batch, {}, "g1", {}).objects.values()]
    found: dict[str, list[float]] = {"step": [], "client": []}
    with (
        tempfile.TemporaryDirectory(prefix="headwater-bench-") as folder,
        WeaviateServer(Path(folder), user_cache(), memory_mb=3072, report=say) as server,
    ):
        options = WeaviateOptions(server.url, server.grpc_port, server.api_key)
        for number in range(rounds):
            shape = Shape("hashing-384", _DIMENSION, "bench", f"r{number}")
            found["client"].append(_client_rate(options, replace(shape, corpus="bare"), objects))
            found["step"].append(_step_rate(options, shape, batches, len(objects)))
            say(f"round {number}: {found}")
    best = statistics.median(found["client"])
    return {
        "measured": "the index step (plan, ids asked, objects and seals written, read back), not the whole way",
        "objects": len(objects),
        "per_s": {name: [round(rate, 1) for rate in rates] for name, rates in found.items()},
        "share": round(statistics.median(found["step"]) / best, 3),
    }


def _step_rate(options: WeaviateOptions, shape: Shape, batches: Sequence[Sequence[Indexable]], count: int) -> float:
    heads = MemoryHeads("g1")
    heads.open()
    with WeaviateIndex(options, shape) as store:
        began = time.monotonic()
        for batch in batches:
            outputs = index(batch, store, heads, "g1")
            fold((event for one in outputs if isinstance(one, list) for event in one), heads)
        seconds = time.monotonic() - began
        store.drop()
    return count / seconds


def _client_rate(options: WeaviateOptions, shape: Shape, objects: Sequence[IndexObject]) -> float:
    """The better of the client's two ways to import."""
    return max(_import_rate(options, shape, objects, streams) for streams in (False, True))


def _import_rate(options: WeaviateOptions, shape: Shape, objects: Sequence[IndexObject], streams: bool) -> float:
    rows = [
        (object_uuid(one.object_id), properties_of(one, "", 0), np.frombuffer(one.vector, "<f4").tolist())
        for one in objects
    ]
    with closing(opened(options)) as client:
        ensure(client, shape)
        held = client.collections.use(shape.collection).with_tenant(tenant_name(TENANT))
        began = time.monotonic()
        with held.batch.stream() if streams else held.batch.fixed_size(batch_size=256, concurrent_requests=4) as batch:
            for name, row, vector in rows:
                batch.add_object(row, uuid=name, vector={VECTOR: vector})
        seconds = time.monotonic() - began
        if held.batch.failed_objects:
            raise RuntimeError(f"the client lost {len(held.batch.failed_objects)} objects")
        client.collections.delete(shape.collection)
    return len(rows) / seconds


def _batches(documents: int) -> list[list[Indexable]]:
    """The events that reach the index step, batch by batch."""
    model, cache, clock = HashingEmbedder(), DictEmbeddingCache(), SystemClock()
    found = []
    for first in range(0, documents, BATCH):
        cut = [event for number in range(first, min(documents, first + BATCH)) for event in _cut(number, model)]
        told = [event for one in embed(cut, model, cache, clock) if isinstance(one, list) for event in one]
        found.append([event for event in told if isinstance(event, ChunkEmbedded | DocumentChunked)])
    return [list(batch) for batch in found]


def _cut(number: int, model: HashingEmbedder) -> list[Embeddable]:
    change = DocumentChanged(
        tenant=TENANT,
        document=f"report-{number}.md",
        media_type="text/markdown",
        body=document(number).encode(),
        version=Version(source=0, offset=number),
    )
    splitter = StructureSplitter(200, 120, model.count)
    parsed = next(parse(change, MemoryClaims(), InProcessParser()))
    return list(chunk(next(redact(parsed, RedactionPolicy())), splitter, MinHashSigner()))
