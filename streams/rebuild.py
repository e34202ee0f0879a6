"""Mends the index from the log: what a head lists and the index lost is chunked and embedded again.

1. Compare: the ids that the heads list against those that the index holds. Usually nothing is missing.
2. Read the newest redacted text of each document that misses something.
3. Chunk it; a chunk whose name the head lists gets the id that the head says.
4. Embed (mostly from the cache of computed vectors) and write to the index.
What the newest text no longer holds is left out: a newer head is on its way and will say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, Protocol

import structlog

from processors.contract import Reject
from processors.ingest.chunk import chunk
from processors.ingest.embed import embed
from processors.ingest.planning import index_object
from processors.ports import Index, IndexObject
from schemas.documents import ChunkCreated, ChunkEmbedded, DocumentHead, DocumentRedacted
from streams.reading import Reading

_LOG = structlog.get_logger(__name__)

Document = tuple[str, str]
"""Tenant and document."""


class Ports(Protocol):
    """Ports by name."""

    def port(self, name: str) -> Any: ...


def missing(heads: Iterable[DocumentHead], store: Index) -> dict[Document, DocumentHead]:
    """The documents whose head lists an object that the index does not hold."""
    by_tenant = sorted((head for head in heads if not head.gone), key=lambda head: head.tenant)
    found: dict[Document, DocumentHead] = {}
    for tenant, group in groupby(by_tenant, key=lambda head: head.tenant):
        listed = list(group)
        held = store.existing(tenant, [one.object_id for head in listed for one in head.chunks])
        for head in listed:
            if any(one.object_id not in held for one in head.chunks):
                found[head.tenant, head.document] = head
    return found


def newest_redacted(readings: Iterable[Reading]) -> list[DocumentRedacted]:
    """The newest redacted text of each document, from what was read of their topic."""
    newest: dict[str, DocumentRedacted] = {}
    for reading in readings:
        if isinstance(reading.event, DocumentRedacted):
            newest[reading.key] = reading.event
    return list(newest.values())


def mend(ports: Ports, lost: Mapping[Document, DocumentHead], redacted: Iterable[DocumentRedacted]) -> int:
    """Writes the lost objects of the given heads again; returns how many."""
    store: Index = ports.port("store")
    written = 0
    for document in redacted:
        head = lost.get((document.tenant, document.document))
        if head is None:
            continue
        objects = list(_objects(ports, document, head))
        store.upsert(objects)
        written += len(objects)
    _LOG.info("index.mended", documents=len(lost), objects=written)
    return written


def _objects(ports: Ports, document: DocumentRedacted, head: DocumentHead) -> Iterator[IndexObject]:
    ids = {one.name: one.object_id for one in head.chunks}
    chunks = [
        event
        for event in chunk(document, ports.port("splitter"))
        if isinstance(event, ChunkCreated) and event.chunk.name in ids
    ]
    embedded = embed(chunks, ports.port("embedder"), ports.port("embedding_cache"), ports.port("clock"))
    for outputs in embedded:
        if isinstance(outputs, Reject):
            continue
        for event in outputs:
            if isinstance(event, ChunkEmbedded):
                yield index_object(event, ids[event.chunk.name], head.access)
