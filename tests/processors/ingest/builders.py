"""Documents and their events for the tests of ingest, and the ingest steps in a row, without an engine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from adapters.heads_view import MemoryHeads
from adapters.memory import DictEmbeddingCache, HashingEmbedder, ManualClock, MemoryIndex
from processors.contract import Reject
from processors.ingest.boundaries import StructureSplitter
from processors.ingest.chunk import chunk
from processors.ingest.embed import Embeddable, embed, remember
from processors.ingest.formats import Piece, laid_out
from processors.ingest.index import fold, index
from processors.ingest.planning import Indexable
from processors.ingest.settle import settle
from processors.ports import Index, Splitter, Vectors
from schemas.documents import (
    AccessChanged,
    ChunkEmbedded,
    DocumentChunked,
    DocumentDeleted,
    DocumentHead,
    DocumentIndexed,
    DocumentRedacted,
    EmbeddingComputed,
)
from schemas.envelope import Event, Version

TENANT = "acme"
DOCUMENT = "handbook.md"
GENERATION = "g1"


def at(offset: int, source: int = 0) -> Version:
    return Version(source=source, offset=offset)


def words(text: str) -> int:
    return len(text.split())


def splitter(most: int = 200, target: int = 120) -> StructureSplitter:
    return StructureSplitter(most, target, words, "words")


def redacted(
    paragraphs: Sequence[str | Piece],
    version: Version | int = 1,
    document: str = DOCUMENT,
    access: tuple[str, ...] = ("*",),
    title: str = "Handbook",
) -> DocumentRedacted:
    pieces = [piece if isinstance(piece, Piece) else Piece("paragraph", piece) for piece in paragraphs]
    return DocumentRedacted(
        tenant=TENANT,
        document=document,
        version=at(version) if isinstance(version, int) else version,
        title=title,
        media_type="text/plain",
        source_uri=f"file:{document}",
        access=access,
        blocks=laid_out(pieces),
    )


def deleted(version: int, document: str = DOCUMENT) -> DocumentDeleted:
    return DocumentDeleted(tenant=TENANT, document=document, version=at(version))


def granted(access: tuple[str, ...], version: int, document: str = DOCUMENT) -> AccessChanged:
    return AccessChanged(tenant=TENANT, document=document, access=access, version=at(version))


class CountingEmbedder:
    """The hashing embedder, with a count of the texts it was given; each takes `seconds` on the clock."""

    def __init__(self, clock: ManualClock | None = None, seconds: float = 0.0) -> None:
        self._embedder = HashingEmbedder(16)
        self._clock = clock
        self._seconds = seconds
        self.texts: list[str] = []

    @property
    def model(self) -> str:
        return self._embedder.model

    @property
    def dimension(self) -> int:
        return self._embedder.dimension

    def count(self, text: str) -> int:
        return words(text)

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.texts.extend(texts)
        if self._clock:
            self._clock.advance(self._seconds * len(texts))
        return self._embedder.embed(texts)


def opened(generation: str = GENERATION) -> MemoryHeads:
    heads = MemoryHeads(generation)
    heads.open()
    return heads


@dataclass
class Line:
    """chunk, embed, index and settle in a row over one index and one view, each batch committed at once."""

    store: Index = field(default_factory=MemoryIndex)
    heads: MemoryHeads = field(default_factory=opened)
    cache: DictEmbeddingCache = field(default_factory=DictEmbeddingCache)
    embedder: CountingEmbedder = field(default_factory=CountingEmbedder)
    splitter: Splitter = field(default_factory=splitter)
    rejects: list[Reject] = field(default_factory=list)

    def embedded(self, documents: Iterable[DocumentRedacted | DocumentDeleted]) -> list[Indexable]:
        """What index is given for these documents."""
        return self.embedded_events([event for document in documents for event in chunk(document, self.splitter)])

    def embedded_events(self, created: Sequence[Embeddable]) -> list[Indexable]:
        """The same of what chunk made."""
        outputs = self.all_of(embed(created, self.embedder, self.cache, ManualClock()))
        remember(outputs, self.cache)
        return indexable(outputs)

    def indexed(self, events: Sequence[Indexable]) -> list[Event]:
        """Heads and receipts of a batch, folded into the view as after its commit."""
        outputs = self.all_of(index(events, self.store, self.heads, GENERATION))
        fold(outputs, self.heads)
        return outputs

    def settled(self, events: Iterable[Event]) -> list[DocumentIndexed]:
        heads = [event for event in events if isinstance(event, DocumentHead)]
        outputs = self.all_of(settle(heads, self.store, self.heads))
        return [event for event in outputs if isinstance(event, DocumentIndexed)]

    def take(self, *changes: DocumentRedacted | DocumentDeleted | AccessChanged) -> list[DocumentIndexed]:
        """The receipts of some changes, in one batch."""
        events: list[Indexable] = []
        for change in changes:
            events += [change] if isinstance(change, AccessChanged) else self.embedded([change])
        outputs = self.indexed(events)
        receipts = [event for event in outputs if isinstance(event, DocumentIndexed)]
        return [*receipts, *self.settled(outputs)]

    def all_of(self, outputs: Iterable[list[Event] | Reject]) -> list[Event]:
        emitted: list[Event] = []
        for output in outputs:
            if isinstance(output, Reject):
                self.rejects.append(output)
            else:
                emitted += [msgspec.structs.replace(event, event_id="filled in") for event in output]
        return emitted

    def texts(self, document: str = DOCUMENT) -> list[str]:
        """What a reader may see of a document: the objects that its head lists, in order."""
        head = self.heads.get(TENANT, document)
        held = {found.object_id: found.chunk.text for found in self.store.walk(TENANT)}
        return [held[listed.object_id] for listed in head.chunks] if head else []


def indexable(events: Iterable[Event]) -> list[Indexable]:
    return [event for event in events if isinstance(event, ChunkEmbedded | DocumentChunked | DocumentDeleted)]


def computed(events: Iterable[Event]) -> list[EmbeddingComputed]:
    return [event for event in events if isinstance(event, EmbeddingComputed)]
