"""Claim: ten times as many chunks make neither an edit nor a search half as slow again; and what memory a chunk takes.

A stack of its own on free ports is filled with made-up documents through the whole pipeline, to 20,000 chunks and then
to 200,000, with the hashing embedder. At each size, while nothing else happens:
- *freshness*: a short document is edited, and a reader looks until he finds the edit; from before it is published;
- *retrieval*: questions are asked over HTTP; from the question's topic to that of the ranked passages, as their trails
  say. The part of the step `retrieve` alone is shown beside it, and how that grew;
- *memory*: of the worker, and of Weaviate, beyond what they took empty, by chunk. The worker's holds the vectors that
  it knows by their text's hash as well as the index.
At the end the recall of the search by vector is counted against comparing everything exactly.

Prints a line per target, and one JSON object as its last line; the result is written beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import numpy as np

from adapters.host import SystemClock, SystemIds
from adapters.memory import MemoryClaims
from adapters.schema_registry import ConfluentSchemaIds
from bench.cdc.readers import Asking, LookingOn, Retrieving, settings_of
from bench.cdc.stages import summary
from bench.restart.counts import Groups
from bench.size.corpus import CHUNKS_OF_ONE, document, question
from headwater.client import Client
from headwater.local.spec import StackSpec
from headwater.local.stack import Stack
from processors.answer.limits import RetrievalLimits
from processors.ports import Embedder, Index, Vectors
from schemas.codec import Codec
from schemas.documents import DocumentIndexed
from schemas.queries import PassagesRanked, QueryAsked
from streams.errors import ClusterUnavailableError
from streams.parts import Parts
from streams.publishing import Entrance, Publisher, Upload, document_changed
from streams.reading import Reader, Slice
from streams.settings import Settings, user_cache
from topics.answer import PASSAGES_RANKED, QUERY_ASKED
from topics.ingest import DOCUMENT_CHANGED, DOCUMENT_INDEXED

CLAIM: Final = "size"
MOST_GROWTH: Final = 1.5
JUDGED: Final = ("freshness", "retrieval")
TENANT: Final = "bench"
EVERYONE: Final = frozenset({"*"})
GIVE_UP_S: Final = 3_600.0
FOUND_S: Final = 120.0
# Between two edits, and between two looks for one, so that the reader leaves the machine to what he waits for.
REST_S: Final = 0.2
LOOK_AGAIN_S: Final = 0.002
# The made-up words are none of these.
GATE: Final = "What is the code word of the mill gate?"
# Published and not settled yet, at most: what one fill may leave lying on the topics.
AHEAD: Final = 500
TOP: Final = 10
MACHINE: Final = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}


class Bench:
    """A running stack and what is asked of it."""

    def __init__(self, stack: Stack, settings: Settings, reader: LookingOn, closes: ExitStack) -> None:
        self.stack, self._settings, self._reader = stack, settings, reader
        self._codec = Codec(ConfluentSchemaIds(settings.registry.url))
        entrance = Entrance(SystemClock(), SystemIds(), CLAIM)
        self._publisher = closes.enter_context(Publisher(settings.kafka, self._codec, entrance))
        self._groups = closes.enter_context(closing(Groups(settings)))
        self._documents = 0
        self._empty = self._memory()

    def fill(self, chunks: int) -> float:
        """Publishes documents until there are so many chunks, and waits until all are settled; chunks a second."""
        first, last = self._documents, chunks // CHUNKS_OF_ONE
        began = time.monotonic()
        for start in range(first, last, AHEAD):
            names = range(start, min(last, start + AHEAD))
            for one in [self.publish(f"report-{number}.md", document(number)) for number in names]:
                self._publisher.wait(one)
            self.settle(AHEAD)
            say(f"{names.stop * CHUNKS_OF_ONE:,} chunks published after {time.monotonic() - began:.0f} s")
        self.settle(0)
        self._documents = last
        return round((last - first) * CHUNKS_OF_ONE / (time.monotonic() - began), 1)

    def settle(self, most: int) -> None:
        """Waits until at most so many records are not handled yet."""
        until = time.monotonic() + GIVE_UP_S
        while not self._is_settled(most):
            if time.monotonic() > until:
                raise TimeoutError(f"the documents were not settled after {GIVE_UP_S:g} s")
            time.sleep(0.5)

    def _is_settled(self, most: int) -> bool:
        # While the machine is filled a broker may take longer to answer than a look waits: then it is not settled.
        with suppress(ClusterUnavailableError):
            return self._groups.settled() if most == 0 else self._groups.behind() <= most
        return False

    def chunks(self) -> int:
        """How many chunks the receipts tell of."""
        with self._topics() as reader:
            events = [reading.event for reading in reader.read(DOCUMENT_INDEXED.name)]
        return sum(event.added - event.removed for event in events if isinstance(event, DocumentIndexed))

    def fresh(self, trials: int) -> list[float]:
        """Milliseconds from before an edit is published until the reader has found it."""
        milliseconds = []
        for trial in range(-5, trials):
            word = f"tamarind{self._documents}x{trial + 5}"
            time.sleep(REST_S)
            began = time.monotonic()
            self._publisher.wait(self.publish("gate.md", f"# Mill gate\n\nThe code word of the mill gate is {word}.\n"))
            while not any(word in text for text in self._reader.found(GATE, "gate.md")):
                if time.monotonic() - began > FOUND_S:
                    raise TimeoutError(f"edit {trial} was not found within {FOUND_S:g} s")
                time.sleep(LOOK_AGAIN_S)
            if trial >= 0:
                milliseconds.append((time.monotonic() - began) * 1000)
        return milliseconds

    def retrieved(self, questions: int) -> dict[str, list[float]]:
        """Milliseconds of each question from its topic to that of the ranked passages, and of the step `retrieve`."""
        ids = set()
        with Client(self.stack.addresses.gateway_url, tenant=TENANT) as client:
            for number in range(-20, questions):
                answer = client.ask(question(number + 20, self._documents))
                ids |= {answer.answer_id} if number >= 0 else set()
        with self._topics() as reader:
            parts = {topic.name: Slice() for topic in (QUERY_ASKED, PASSAGES_RANKED)}
            events = [reading.event for reading in reader.read_each(parts)]
        asked = {one.query.query_id: one.occurred_at for one in events if isinstance(one, QueryAsked)}
        ranked = [one for one in events if isinstance(one, PassagesRanked) and one.query.query_id in ids]
        if len(ranked) < questions:
            raise RuntimeError(f"wanted passages for {questions} questions, found {len(ranked)}")
        return {
            "retrieval": [(one.trail["rerank"] - asked[one.query.query_id]) / 1000 for one in ranked],
            "retrieve_step": [(one.trail["retrieve"] - one.trail["rewrite"]) / 1000 for one in ranked],
        }

    def memory_by_chunk(self, chunks: int) -> dict[str, int]:
        """Bytes that each process took since it was empty, by chunk."""
        return {name: round((now - self._empty[name]) / chunks) for name, now in self._memory().items()}

    def _memory(self) -> dict[str, int]:
        held = {"worker": self.stack.worker.child.memory_bytes}
        held |= {one.name: one.child.memory_bytes for one in self.stack.servers if one.name == "weaviate"}
        return held

    def publish(self, name: str, body: str) -> Any:
        upload = Upload(tenant=TENANT, document=name, body=body.encode(), media_type="text/markdown")
        return self._publisher.send(DOCUMENT_CHANGED, document_changed(upload, MemoryClaims()))

    def _topics(self) -> Reader:
        return Reader(self._settings.kafka, self._codec, SystemClock())


@contextmanager
def running(arguments: argparse.Namespace, folder: Path) -> Iterator[tuple[Bench, Settings]]:
    """A stack of its own, gone afterwards."""
    is_local = arguments.index == "local"
    environment = (("HEADWATER_EMBED__MODEL", "hashing"), ("HEADWATER_TENANTS", json.dumps([TENANT])))
    spec = StackSpec(
        folder / "state",
        user_cache(),
        detached=False,
        environment=environment,
        profile="embedded" if is_local else "full",
        weaviate_mb=4_096,
    )
    with ExitStack() as closes:
        stack = closes.enter_context(Stack(spec, say))
        settings = settings_of(stack, "hashing")
        url = stack.addresses.gateway_url
        reader: LookingOn = Asking(url, TENANT) if is_local else Retrieving(settings, TENANT)
        yield Bench(stack, settings, closes.enter_context(reader), closes), settings


def measured(bench: Bench, sizes: list[int], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One row per size; the index grows from one to the next."""
    for size in sizes:
        rate = bench.fill(size)
        chunks = bench.chunks()
        row = {
            "chunks": chunks,
            "filled_per_s": rate,
            **{kind: summary(times) for kind, times in bench.retrieved(arguments.questions).items()},
            "freshness": summary(bench.fresh(arguments.trials)),
            "memory_bytes_per_chunk": bench.memory_by_chunk(chunks),
        }
        say(json.dumps(row))
        yield row


def recall(store: Index, questions: int, documents: int, embedder: Embedder) -> float:
    """How many of the ten nearest by an exact comparison are the first of a search as wide as a question's.

    A wider search looks further around: asked for ten alone, an approximate index finds fewer of them.
    """
    say("comparing everything exactly")
    held = [(one.object_id, np.frombuffer(one.vector, "<f4")) for one in store.walk(TENANT)]
    matrix = np.array([vector for _, vector in held])
    found = 0
    for number in range(questions):
        vector: Vectors = embedder.embed([question(number, documents)])[0]
        scores = matrix @ vector
        # Equal scores may stand in any order: what counts is how many are as near as the tenth nearest.
        least = float(np.partition(scores, -TOP)[-TOP]) - 1e-6
        best = store.search_vector(TENANT, vector, RetrievalLimits().overfetch, EVERYONE)[:TOP]
        found += sum(one.score >= least for one in best)
    return round(found / (TOP * questions), 4)


def compared(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything, at both sizes."""
    sizes = [arguments.chunks, arguments.grown]
    documents = arguments.grown // CHUNKS_OF_ONE
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as made:
        folder = Path(made)
        folder.chmod(0o711)
        with running(arguments, folder) as (bench, settings):
            rows = list(measured(bench, sizes, arguments))
            # Only one process may hold the folder of a local index.
            bench.stack.worker.stop()
            held = {"folder": folder / "state" / "index"}
            index = settings.index.model_copy(update=held if arguments.index == "local" else {})
            with closing(Parts(settings.model_copy(update={"index": index}))) as parts:
                parts.port("embedder")
                near = recall(parts.port("store"), arguments.questions, documents, parts.port("embedder"))
    grown = {kind: round(rows[1][kind]["p95_ms"] / rows[0][kind]["p95_ms"], 2) for kind in (*JUDGED, "retrieve_step")}
    return {"rows": rows, "growth": grown, f"recall_at_{TOP}": near}


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Runs it; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", choices=["local", "weaviate"], default="local")
    parser.add_argument("--chunks", type=int, default=20_000, help="the smaller size")
    parser.add_argument("--grown", type=int, default=200_000, help="the larger size")
    parser.add_argument("--trials", type=int, default=100, help="edits at each size")
    parser.add_argument("--questions", type=int, default=300, help="at each size")
    arguments = parser.parse_args()
    ours = compared(arguments)
    path = Path(__file__).with_name(f"raw-{arguments.index}-{arguments.chunks}-{arguments.grown}.json")
    path.write_text(json.dumps({"machine": MACHINE, **ours}, indent=1) + "\n", encoding="utf-8")
    growth = ours["growth"]
    for kind in JUDGED:
        verdict = "met" if growth[kind] < MOST_GROWTH else "missed"
        print(f"{kind} p95 grew {growth[kind]} times (wanted < {MOST_GROWTH:g}): {verdict}")
    print(f"the step retrieve alone: {growth['retrieve_step']} times")
    print(f"recall@{TOP} against an exact comparison: {ours[f'recall_at_{TOP}']}")
    print(f"memory by chunk, bytes: {ours['rows'][-1]['memory_bytes_per_chunk']}")
    met = all(growth[kind] < MOST_GROWTH for kind in JUDGED)
    print(json.dumps({"claim": CLAIM, "index": arguments.index, "target": MOST_GROWTH, "ours": ours, "met": met}))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
