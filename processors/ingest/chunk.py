"""Chunk: a document becomes passages whose names survive edits elsewhere in it, then the manifest that closes it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from processors.ingest.boundaries import SPLITTER_VERSION
from processors.ingest.duplicates import content_words, shingles, words_hash
from processors.ingest.formats import parsed_text
from processors.ingest.passages import named
from processors.ports import Signer, Splitter
from schemas.documents import ChunkCreated, DocumentChunked, DocumentDeleted, DocumentRedacted, Place

__all__ = ["chunk"]

_MOST_PROPERTIES: Final = 32
_MOST_CHARS: Final = 200


def chunk(
    document: DocumentRedacted | DocumentDeleted, splitter: Splitter, signer: Signer | None = None
) -> Iterator[ChunkCreated | DocumentChunked | DocumentDeleted]:
    """All chunks of a version, then its DocumentChunked: order per key makes that the commit marker.

    A delete is passed on; it closes a version by itself. Without a `signer` only equal documents can be told alike.
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
    words = content_words(parsed_text(document.blocks))
    yield DocumentChunked(
        tenant=document.tenant,
        document=document.document,
        version=document.version,
        title=document.title,
        source_uri=document.source_uri,
        access=document.access,
        names=tuple(passage.name for passage in chunks),
        places=tuple(Place(start=one.start, end=one.end, page=one.page) for one in chunks),
        fingerprint=chosen.fingerprint,
        words_hash=words_hash(words),
        signature=signer.sign(shingles(words)) if signer else None,
        properties=_short(document),
    )


def _short(document: DocumentRedacted) -> dict[str, str]:
    """What questions may be narrowed by: nobody asks for a text, and heads are held in memory."""
    told = {"media_type": document.media_type, **document.properties}
    short = ((name, value) for name, value in sorted(told.items()) if len(value) <= _MOST_CHARS)
    return dict(islice(short, _MOST_PROPERTIES))
