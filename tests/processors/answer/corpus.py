"""A small corpus behind the fence: objects in an index, heads that list them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from adapters.heads_view import MemoryHeads
from adapters.memory import HashingEmbedder, ManualClock, MemoryIndex
from adapters.one_serving import OneGeneration, OneServing
from processors.answer.limits import RetrievalLimits
from processors.answer.retrieve import retrieve
from processors.ports import Candidate, Embedder, Index, IndexObject, Vectors
from schemas.documents import DocumentHead, HeadChunk
from schemas.envelope import Version
from schemas.queries import PassagesFound, Query, QueryPlanned
from tests.conformance.objects import EMBEDDER, indexed

NEVER = Version(source=-1, offset=-1)
NOTHING: Mapping[str, str] = {}


def head(
    document: str,
    objects: Iterable[IndexObject],
    *,
    version: int = 1,
    access: tuple[str, ...] = ("*",),
    gone: bool = False,
    properties: Mapping[str, str] = NOTHING,
) -> DocumentHead:
    """The head of a document that lists these objects."""
    return DocumentHead(
        tenant="acme",
        document=document,
        version=Version(source=0, offset=version),
        access_version=NEVER,
        generation="g1",
        chunks=tuple(HeadChunk(name=found.chunk.name, object_id=found.object_id) for found in objects),
        access=access,
        title=f"Title {version}",
        source_uri=f"file:{document}",
        gone=gone,
        properties=dict(properties),
    )


@dataclass
class Corpus:
    """What a question is asked of."""

    store: Index = field(default_factory=MemoryIndex)
    heads: MemoryHeads = field(default_factory=lambda: MemoryHeads("g1"))
    embedder: Embedder = EMBEDDER
    limits: RetrievalLimits = field(default_factory=RetrievalLimits)

    def __post_init__(self) -> None:
        self.heads.open()

    @property
    def serving(self) -> OneServing:
        return OneServing(OneGeneration("g1", self.embedder, self.store, self.heads))

    def add(
        self,
        document: str,
        *texts: str,
        version: int = 1,
        access: tuple[str, ...] = ("*",),
        properties: Mapping[str, str] = NOTHING,
    ) -> list[IndexObject]:
        """A document of a version as `index` leaves it: objects, then the head that lists them."""
        objects = [
            indexed(f"{document}-{version}-{number}", text, document=document, version=version, access=access)
            for number, text in enumerate(texts)
        ]
        self.store.upsert(objects)
        self.heads.fold(head(document, objects, version=version, access=access, properties=properties))
        return objects

    def ask(self, question: str, *variants: str, **fields: object) -> PassagesFound:
        """What `retrieve` finds for a question."""
        query = Query(**{"query_id": "q-1", "question": question, **fields})  # type: ignore[arg-type]
        planned = QueryPlanned(tenant="acme", query=query, kind="retrieval", variants=variants or (question,))
        found = list(retrieve(planned, self.serving, self.limits, ManualClock()))
        assert len(found) == 1
        return found[0]


class Interrupted:
    """An index during whose first search something happens, as it may between a search and the read of the heads."""

    def __init__(self, inner: Index, event: object) -> None:
        self._inner = inner
        self._event = event
        self.searches = 0

    def search_text(self, tenant: str, text: str, limit: int, access: frozenset[str]) -> list[Candidate]:
        return self._inner.search_text(tenant, text, limit, access)

    def search_vector(self, tenant: str, vector: Vectors, limit: int, access: frozenset[str]) -> list[Candidate]:
        found = self._inner.search_vector(tenant, vector, limit, access)
        self.searches += 1
        if self.searches == 1 and callable(self._event):
            self._event()
        return found

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


__all__ = ["Corpus", "HashingEmbedder", "Interrupted", "head"]
