"""The topics of ingest, in the order of the way: from a changed document to its receipt."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from schemas.changes import SourceRecord
from schemas.documents import (
    AccessChanged,
    ChunkCreated,
    ChunkEmbedded,
    DocumentChanged,
    DocumentChunked,
    DocumentDeleted,
    DocumentErased,
    DocumentHead,
    DocumentIndexed,
    DocumentParsed,
    DocumentRedacted,
    EmbeddingComputed,
    ErasurePlanned,
    ErasureRequested,
    GenerationRegistered,
    IndexGeneration,
    RequestAccepted,
)
from schemas.memories import MemoryForgotten, MemoryKept
from topics.topic import Topic


def by_document(event: Any) -> str:
    """Tenant and document: one document, one partition, on every ingest topic."""
    return f"{event.tenant}|{event.document}"


def by_generation(event: DocumentHead) -> str:
    return f"{event.generation}|{event.tenant}|{event.document}"


def by_text(event: EmbeddingComputed) -> str:
    return f"{event.model}|{event.text_hash}"


def by_corpus(event: IndexGeneration | GenerationRegistered) -> str:
    return event.corpus


def by_registration(event: IndexGeneration | GenerationRegistered) -> str:
    """What serves a corpus has the corpus as its key, each generation of it a key of its own."""
    return f"{event.corpus}|{event.generation}" if isinstance(event, GenerationRegistered) else event.corpus


def by_request(event: RequestAccepted) -> str:
    return event.request


def by_row(event: SourceRecord) -> str:
    return event.key.decode(errors="replace")


# The sources' own topics (Debezium's names, JSON values): we read them and create none of them.
SOURCE_CHANGES: Final = Topic[SourceRecord](r"^cdc\.[^.]+\.[^.]+$", (SourceRecord,), by_row, raw=True)

# Compacted: what users want kept, in their own words, and what is listed of it. A forgotten name stays, so that it does
# not come back.
MEMORY_KEPT: Final = Topic[MemoryKept | MemoryForgotten](
    "rag.memory.kept.v1",
    (MemoryKept, MemoryForgotten),
    by_document,
    cleanup="compact",
    restricted=True,
)
# Compacted: the newest state of every document is what a rebuild starts from.
DOCUMENT_CHANGED: Final = Topic[DocumentChanged | DocumentDeleted](
    "rag.document.changed.v1", (DocumentChanged, DocumentDeleted), by_document, cleanup="compact", restricted=True
)
# A topic of its own: compaction would let an access change swallow the content.
ACCESS_CHANGED: Final = Topic[AccessChanged]("rag.access.changed.v1", (AccessChanged,), by_document, cleanup="compact")
# Unmasked text: kept only as long as the next step may be away.
DOCUMENT_PARSED: Final = Topic[DocumentParsed | DocumentDeleted](
    "rag.document.parsed.v1",
    (DocumentParsed, DocumentDeleted),
    by_document,
    retention=timedelta(days=2),
    restricted=True,
)
# Compacted: index generations are rebuilt from here.
DOCUMENT_REDACTED: Final = Topic[DocumentRedacted | DocumentDeleted](
    "rag.document.redacted.v1", (DocumentRedacted, DocumentDeleted), by_document, cleanup="compact"
)
CHUNK_CREATED: Final = Topic[ChunkCreated | DocumentChunked | DocumentDeleted](
    "rag.chunk.created.v1",
    (ChunkCreated, DocumentChunked, DocumentDeleted),
    by_document,
    retention=timedelta(days=7),
)
CHUNK_EMBEDDED: Final = Topic[ChunkEmbedded | DocumentChunked | DocumentDeleted](
    "rag.chunk.embedded.v1",
    (ChunkEmbedded, DocumentChunked, DocumentDeleted),
    by_document,
    retention=timedelta(days=7),
)
# Compacted by (model, text): fills the embedding cache of every worker.
EMBEDDING_COMPUTED: Final = Topic[EmbeddingComputed](
    "rag.embedding.computed.v1", (EmbeddingComputed,), by_text, cleanup="compact"
)
# Compacted: the truth about every document. Keyed by generation, yet in the partition of its document.
DOCUMENT_HEAD: Final = Topic[DocumentHead](
    "rag.document.head.v1", (DocumentHead,), by_generation, cleanup="compact", route=by_document
)
DOCUMENT_INDEXED: Final = Topic[DocumentIndexed](
    "rag.document.indexed.v1", (DocumentIndexed,), by_document, retention=timedelta(days=30)
)
# Kept: a receipt of an erasure is evidence.
DOCUMENT_ERASED: Final = Topic[DocumentErased]("rag.document.erased.v1", (DocumentErased,), by_document)
# A wish and its inventory: names and ids, no text. Kept as long as an operator may ask what became of it.
ERASURE_REQUESTED: Final = Topic[ErasureRequested](
    "rag.erasure.requested.v1", (ErasureRequested,), by_document, retention=timedelta(days=30)
)
ERASURE_PLANNED: Final = Topic[ErasurePlanned](
    "rag.erasure.planned.v1", (ErasurePlanned,), by_document, retention=timedelta(days=30)
)
# What a gateway must know again after a restart: a repeated request counts once for a day.
REQUEST_ACCEPTED: Final = Topic[RequestAccepted](
    "rag.request.accepted.v1", (RequestAccepted,), by_request, retention=timedelta(days=1), transactional=False
)
# Compacted: the generations there are, and which of them serves. One partition per corpus: their order counts.
INDEX_GENERATION: Final = Topic[IndexGeneration | GenerationRegistered](
    "rag.index.generation.v1",
    (IndexGeneration, GenerationRegistered),
    by_registration,
    cleanup="compact",
    route=by_corpus,
)

INGEST_TOPICS: Final = (
    DOCUMENT_CHANGED,
    ACCESS_CHANGED,
    DOCUMENT_PARSED,
    DOCUMENT_REDACTED,
    CHUNK_CREATED,
    CHUNK_EMBEDDED,
    EMBEDDING_COMPUTED,
    DOCUMENT_HEAD,
    DOCUMENT_INDEXED,
    DOCUMENT_ERASED,
    ERASURE_REQUESTED,
    ERASURE_PLANNED,
    REQUEST_ACCEPTED,
    INDEX_GENERATION,
    MEMORY_KEPT,
)
