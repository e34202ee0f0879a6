"""Parse: a document's bytes become blocks with offsets; from here on nobody meets a format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from processors.contract import Reject
from processors.ingest.formats import laid_out
from processors.ingest.media import believed
from processors.ports import Claims, Parser
from schemas.documents import DocumentChanged, DocumentDeleted, DocumentParsed

__all__ = ["MAX_BODY_BYTES", "parse"]

# The doors refuse earlier (20 MB of a folder, 25 MB over HTTP); this holds for those who produce to the topic.
MAX_BODY_BYTES: Final = 32 * 1024 * 1024


def parse(
    change: DocumentChanged | DocumentDeleted, claims: Claims, parser: Parser
) -> Iterator[DocumentParsed | DocumentDeleted]:
    """One parsed document per change. Rejects what holds no text, saying what came instead.

    >>> from processors.ingest.formats import Outline, Piece
    >>> from schemas.envelope import Version
    >>> class Lines:
    ...     def parse(self, body, media_type): return Outline([Piece("paragraph", body.decode())])
    >>> change = DocumentChanged(tenant="t", document="d", media_type="text/plain", body=b"Hello.",
    ...                          version=Version(source=0, offset=1))
    >>> [block.text for block in next(parse(change, None, Lines())).blocks]
    ['Hello.']
    """
    if change.version is None:
        raise Reject(f"wanted a version of document {change.document!r}, got none; the engine fills in the offset")
    if isinstance(change, DocumentDeleted):
        yield change
        return
    outline = parser.parse(_body(change, claims), believed(change.media_type, change.document))
    blocks = laid_out(outline.pieces)
    if not blocks:
        raise Reject(
            f"wanted a document with text, got {change.media_type!r} without any; nothing of it could be found"
        )
    yield DocumentParsed(
        tenant=change.tenant,
        document=change.document,
        version=change.version,
        title=change.title or " ".join(outline.title.split()) or change.document.rsplit("/", 1)[-1],
        media_type=outline.media_type or change.media_type,
        source_uri=change.source_uri,
        access=change.access,
        blocks=blocks,
        properties={**outline.properties, **change.properties},
    )


def _body(change: DocumentChanged, claims: Claims) -> bytes:
    size = change.claim.size if change.claim else len(change.body or b"")
    if size > MAX_BODY_BYTES:
        raise Reject(f"wanted at most {MAX_BODY_BYTES:,} bytes, got {size:,}; split the document")
    if change.claim:
        return claims.get(change.claim.uri, change.claim.sha256)
    if change.body is None:
        raise Reject(f"wanted a body or a claim, got neither in document {change.document!r}")
    return change.body
