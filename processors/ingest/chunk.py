"""Chunk: a document becomes passages whose names survive edits elsewhere in it, then the manifest that closes it."""

from __future__ import annotations

from collections.abc import Iterator

from processors.ingest.boundaries import SPLITTER_VERSION
from processors.ingest.passages import named
from processors.ports import Splitter
from schemas.documents import ChunkCreated, DocumentChunked, DocumentDeleted, DocumentRedacted

__all__ = ["chunk"]


def chunk(
    document: DocumentRedacted | DocumentDeleted, splitter: Splitter
) -> Iterator[ChunkCreated | DocumentChunked | DocumentDeleted]:
    """All chunks of a version, then its DocumentChunked: order per key makes that the commit marker.

    A delete is passed on; it closes a version by itself.
    """
    if isinstance(document, DocumentDeleted):
        yield document
        return
    chosen = splitter.splitter_for(document.media_type, document.blocks)
    chunks = list(named(chosen.split(document.blocks), document.title, SPLITTER_VERSION))
    for passage in chunks:
        yield ChunkCreated(
            tenant=document.tenant,
            document=document.document,
            version=document.version,
            title=document.title,
            source_uri=document.source_uri,
            access=document.access,
            chunk=passage,
        )
    yield DocumentChunked(
        tenant=document.tenant,
        document=document.document,
        version=document.version,
        title=document.title,
        source_uri=document.source_uri,
        access=document.access,
        names=tuple(passage.name for passage in chunks),
        fingerprint=chosen.fingerprint,
    )
