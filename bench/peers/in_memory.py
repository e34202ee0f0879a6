"""Ours without Kafka: the steps `retrieve` and `rerank` over the local index in this process, called by the asker."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from adapters.host import SystemClock
from adapters.sentence_transformers import SentenceTransformerEmbedder
from bench.peers.asking import TOP, fresh, measured
from bench.peers.given import GivenParts
from bench.peers.material import EDITED, EDITS, GATE, Material, edited
from processors.answer.limits import RetrievalLimits
from processors.answer.rerank import SKIPPED, rerank
from processors.answer.retrieve import retrieve
from processors.contract import Outcome
from schemas.documents import DocumentChanged
from schemas.queries import Passage, PassagesFound, PassagesRanked, Query, QueryPlanned
from streams.driver import Driver
from streams.ingest import INGEST
from streams.parts import Parts
from streams.pipeline import Origin
from streams.settings import Settings, load
from topics.ingest import DOCUMENT_CHANGED

__all__ = ["TENANT", "WHOLE", "changed", "measured_in_memory", "ranking_of", "row_of"]

TENANT: Final = "bench"
# No passage is cut: everyone searches the same chunks.
WHOLE: Final = {"max_tokens": 2_000, "target_tokens": 2_000}
ROUND: Final = 100

Say = Callable[[str], None]


class InMemory:
    """An index filled by the real ingest, asked step by step."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._limits = RetrievalLimits(passages=TOP)
        parts.port("heads").open()
        self._driver = Driver([INGEST], parts.port, parts.memory_codec(), Origin(SystemClock()))

    def publish(self, events: Sequence[DocumentChanged]) -> None:
        for start in range(0, len(events), ROUND):
            for event in events[start : start + ROUND]:
                self._driver.put(DOCUMENT_CHANGED, event)
            self._driver.run()
            self._driver.forget()

    def found(self, question: str, limits: RetrievalLimits | None = None) -> PassagesFound:
        query = Query(query_id="bench", question=question, max_passages=TOP)
        planned = QueryPlanned(tenant=TENANT, query=query, kind="retrieval", variants=(question,))
        (outcome,) = retrieve(planned, self._parts.port("serving"), limits or self._limits, self._parts.port("clock"))
        return outcome

    def ranked(self, question: str) -> Sequence[Passage]:
        (outcome,) = rerank(self.found(question), self._parts.port("ranker"), self._limits, self._parts.port("clock"))
        return ranking_of(outcome)


def ranking_of(outcome: PassagesRanked) -> Sequence[Passage]:
    """The passages, where the ranker was asked; it may have been given the best only, as more would take too long."""
    if SKIPPED in outcome.degraded:
        raise RuntimeError("wanted ranked passages, got the order in which they were found")
    return outcome.passages


def changed(document: str, title: str, text: str) -> DocumentChanged:
    """A passage as a document."""
    return DocumentChanged(tenant=TENANT, document=document, media_type="text/plain", body=text.encode(), title=title)


def row_of(
    publish: Callable[[Sequence[DocumentChanged]], None],
    ask: Callable[[str], Sequence[Passage]],
    material: Material,
    processes: Iterable[int] = (),
) -> dict[str, Any]:
    """A way of ours, measured: questions, then edits."""
    judged, others = material.pairs(material.judged), material.pairs(material.others)
    row = measured(lambda text: _names(ask(text)), judged, others, processes)
    row["fresh_ms"] = fresh(
        lambda number: publish([changed(EDITED, "Gate", edited(number))]),
        lambda number: any(edited(number) in passage.text for passage in ask(GATE)),
        EDITS,
    )
    return row


def measured_in_memory(
    material: Material, folder: Path, embedder: SentenceTransformerEmbedder, say: Say
) -> dict[str, dict[str, Any]]:
    """Three ways: found, ranked, and ranked as shipped: passages cut, and every vector computed."""
    rows = {}
    with _filled(material, WHOLE, lambda settings: GivenParts(settings, folder, embedder)) as held:
        say("ours in memory: found")
        rows["ours, in memory, found"] = row_of(held.publish, lambda text: held.found(text).passages, material)
        say("ours in memory: ranked")
        rows["ours, in memory, ranked"] = row_of(held.publish, held.ranked, material)
    say("ours in memory: as shipped")
    with _filled(material, {}, Parts) as held:
        rows["ours, in memory, as shipped"] = row_of(held.publish, held.ranked, material)
    return rows


@contextmanager
def _filled(
    material: Material, chunking: Mapping[str, int], parts_of: Callable[[Settings], Parts]
) -> Iterator[InMemory]:
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as index:
        settings = load(index={"folder": Path(index)}, chunking=chunking, tenants=(TENANT,))
        with closing(parts_of(settings)) as parts:
            held = InMemory(parts)
            try:
                held.publish([changed(*words) for words in material.documents()])
            except Outcome as outcome:
                raise RuntimeError(f"a step of ingest can't go on: {outcome}") from outcome
            yield held


def _names(passages: Sequence[Passage]) -> list[str]:
    return list(dict.fromkeys(passage.document for passage in passages))
