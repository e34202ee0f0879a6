"""Ports for journeys in memory: the shipped fakes, bound by the names under which steps ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.heads_view import MemoryHeads
from adapters.host import SystemClock
from adapters.judges import OverlapJudge
from adapters.memory import DictEmbeddingCache, HashingEmbedder, MemoryClaims, MemoryIndex
from adapters.near_duplicates import MemoryDuplicates, MinHashSigner
from adapters.one_serving import OneGeneration, OneLife, OneServing
from adapters.overlap_ranker import OverlapRanker
from adapters.parsers import InProcessParser
from adapters.prompts import FilePrompts
from adapters.schema_registry import MemorySchemaIds
from adapters.session_memory import MemorySessions
from processors.answer.admit import AdmitLimits
from processors.answer.caching import Answers
from processors.answer.check import AnswerBar
from processors.answer.edition import Edition
from processors.answer.ladder import Ladder
from processors.answer.limits import RetrievalLimits
from processors.answer.outlet import Outlet
from processors.answer.reader import RuleReader
from processors.answer.verifying import Unverified
from processors.answer.writing import ExtractiveWriter
from processors.ingest.boundaries import StructureSplitter
from processors.ingest.erasing import LogForgets, Standing
from processors.ingest.memories import MemoryLimits
from processors.ingest.policies import RedactionPolicy
from processors.measure.prices import Prices
from processors.ports import Vectors
from schemas.codec import Codec
from schemas.documents import DocumentChanged, DocumentDeleted
from streams.answer import ANSWER
from streams.cancellations import Cancelled
from streams.driver import Driver
from streams.ingest import INGEST
from streams.measure import MEASURE
from streams.memory_view import MemoryView
from streams.pipeline import Origin
from streams.standing_views import AnsweredView, StandingView


class CountingEmbedder(HashingEmbedder):
    """The hashing embedder, counting the texts it was asked to embed."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def embed(self, texts: Any) -> Vectors:
        self.texts.extend(texts)
        return super().embed(texts)


class UnaskedErasureLog:
    """For journeys in which nothing is erased; whoever erases gives a log of his own."""

    def standing(self, tenant: str, document: str) -> Standing:
        return Standing()

    def forgets(self, letters: bool) -> list[LogForgets]:
        return []

    def answers_forget(self) -> list[LogForgets]:
        return []


def writing_ports() -> dict[str, Any]:
    """What writes an answer and decides whether it stands."""
    return {
        "bar": AnswerBar(support=0.5, confidence=0.1),
        "edition": Edition("g1"),
        "judge": OverlapJudge(),
        "ladder": Ladder(),
        "outlet": Outlet(),
        "prompts": FilePrompts(),
        "verifier": Unverified(),
        "writer": ExtractiveWriter(OverlapRanker(), RuleReader()),
    }


def memory_ports(**chosen: Any) -> dict[str, Any]:
    """Every port of all three journeys; give one by name to put your own in its place."""
    heads = MemoryHeads("g1")
    heads.open()
    embedder = chosen.get("embedder") or CountingEmbedder()
    ports: dict[str, Any] = {
        "answered": AnsweredView(),
        "answers": Answers(),
        "cancellations": Cancelled(SystemClock()),
        "claims": MemoryClaims(),
        "clock": SystemClock(),
        "duplicates": MemoryDuplicates(),
        "embedder": embedder,
        "erasables": (),
        "erasure_log": UnaskedErasureLog(),
        "embedding_cache": DictEmbeddingCache(),
        "keeping": MemoryLimits(),
        "memories": MemoryView(per_user=200),
        "parser": InProcessParser(),
        "generation": "g1",
        "heads": heads,
        "limits": AdmitLimits(4_000),
        "prices": Prices("test"),
        "questions": StandingView(per_tenant=100),
        "ranker": OverlapRanker(),
        "redaction": RedactionPolicy(),
        "retrieval": RetrievalLimits(),
        "sessions": MemorySessions(SystemClock()),
        "signer": MinHashSigner(),
        "splitter": StructureSplitter(200, 120, embedder.count),
        "store": MemoryIndex(),
    }
    ports |= {**writing_ports(), **chosen}
    served = OneGeneration("g1", ports["embedder"], ports["store"], ports["heads"])
    return {"serving": OneServing(served), "lives": OneLife(ports["heads"]), **ports}


def driver(ports: Mapping[str, Any]) -> Driver:
    """All three journeys over these ports."""
    return Driver([INGEST, ANSWER, MEASURE], ports.__getitem__, Codec(MemorySchemaIds()), Origin(SystemClock(), "test"))


def changed(document: str, text: str, tenant: str = "acme", **more: Any) -> DocumentChanged:
    return DocumentChanged(
        tenant=tenant,
        event_id=f"{document}-{hash(text)}",
        document=document,
        media_type="text/markdown",
        body=text.encode(),
        **more,
    )


def deleted(document: str, tenant: str = "acme") -> DocumentDeleted:
    return DocumentDeleted(tenant=tenant, event_id=f"{document}-gone", document=document)
