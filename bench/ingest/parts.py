"""Where the processor's time goes: the fused hop and settle in this process, step by step, with nothing of Kafka."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from adapters.heads_view import MemoryHeads
from adapters.host import SystemClock
from adapters.local_index import LocalIndex
from adapters.memory import DictEmbeddingCache, HashingEmbedder, MemoryClaims
from adapters.near_duplicates import MemoryDuplicates, MinHashSigner
from adapters.parsers import InProcessParser
from adapters.schema_registry import MemorySchemaIds
from adapters.syntax import TreeSitterSyntax
from bench.ingest.documents import document
from processors.ingest.policies import RedactionPolicy
from processors.ingest.strategies import Rule, SplitterByType
from schemas.codec import Codec
from streams.ingest import INGEST
from streams.pipeline import BoundHop, Origin, Pipeline
from streams.publishing import Upload, document_changed
from streams.records import Record
from streams.retries import ErrorPolicy
from topics.ingest import CHUNK_CREATED, DOCUMENT_CHANGED, DOCUMENT_HEAD

__all__ = ["measured"]

BATCH: Final = 128
_Result = TypeVar("_Result")


class Meter:
    """Processor seconds of this thread, by name."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    def timed(self, name: str, call: Callable[..., _Result]) -> Callable[..., _Result]:
        def run(*arguments: Any, **named: Any) -> _Result:
            began = time.thread_time()
            try:
                return call(*arguments, **named)
            finally:
                self.seconds[name] += time.thread_time() - began

        return run


def measured(documents: int) -> dict[str, Any]:
    """Microseconds per chunk: of each step, of the codec, of this thread and of all threads."""
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as folder, LocalIndex(Path(folder)) as store:
        return _measured(documents, _ports(store))


def _measured(documents: int, ports: dict[str, Any]) -> dict[str, Any]:
    meter, codec = Meter(), Codec(MemorySchemaIds())
    fused, settle = (_pipeline(steps, ports, codec) for steps in (INGEST.fused[0], ("settle",)))
    for bound in (*fused.hops, *settle.hops):
        bound.call = meter.timed(bound.name, bound.call)  # type: ignore[method-assign]
    records = [_record(number, codec) for number in range(documents)]
    codec.encode = meter.timed("encode", codec.encode)  # type: ignore[method-assign]
    codec.decode = meter.timed("decode", codec.decode)  # type: ignore[method-assign]
    began, thread, process = time.monotonic(), time.thread_time(), time.process_time()
    chunks = sum(_through(fused, settle, records[at : at + BATCH]) for at in range(0, documents, BATCH))
    spent = {
        **meter.seconds,
        "this thread": time.thread_time() - thread,
        "all threads": time.process_time() - process,
        "wall": time.monotonic() - began,
    }
    return {
        "documents": documents,
        "chunks": chunks,
        "us_per_chunk": {name: round(seconds / chunks * 1e6, 1) for name, seconds in spent.items()},
    }


def _through(fused: Pipeline, settle: Pipeline, records: Sequence[Record]) -> int:
    """One batch as BatchHop takes it, then its heads through settle; the number of chunks."""
    outgoing = [out for one in fused.process(records).outgoing for out in one]
    fused.committed(outgoing)
    heads = [out for out in outgoing if out.topic == DOCUMENT_HEAD.name]
    settle.process([Record(DOCUMENT_HEAD.name, 0, at, out.key, out.value, out.headers) for at, out in enumerate(heads)])
    return sum(out.topic == CHUNK_CREATED.name for out in outgoing) - len(heads)


def _pipeline(steps: Sequence[str], ports: dict[str, Any], codec: Codec) -> Pipeline:
    hops = [BoundHop(INGEST.hop(step), ports.__getitem__) for step in steps]
    return Pipeline(hops, codec, Origin(SystemClock(), "bench", "bench"), ErrorPolicy(attempts=1))


def _ports(store: LocalIndex) -> dict[str, Any]:
    embedder, heads = HashingEmbedder(), MemoryHeads("g1")
    heads.prove(heads.mark(), {})
    return {
        "claims": MemoryClaims(),
        "clock": SystemClock(),
        "duplicates": MemoryDuplicates(),
        "embedder": embedder,
        "embedding_cache": DictEmbeddingCache(),
        "generation": "g1",
        "heads": heads,
        "parser": InProcessParser(),
        "redaction": RedactionPolicy(),
        "signer": MinHashSigner(),
        "splitter": SplitterByType(Rule(), {}, embedder, TreeSitterSyntax()),
        "store": store,
    }


def _record(number: int, codec: Codec) -> Record:
    upload = Upload("bench", f"report-{number}.md", document(number).encode(), "text/markdown")
    change = msgspec.structs.replace(document_changed(upload, MemoryClaims()), event_id=f"change-{number}")
    value = codec.encode(DOCUMENT_CHANGED.subject, DOCUMENT_CHANGED.events, change)
    return Record(DOCUMENT_CHANGED.name, 0, number, upload.document.encode(), value)
