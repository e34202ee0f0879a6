"""Which head follows which: the pure rules of the document-head protocol (`docs/adr/0003-document-heads.md`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from schemas.documents import AccessChanged, DocumentChunked, DocumentDeleted, DocumentHead, HeadChunk
from schemas.envelope import Version, named_id

__all__ = [
    "NO_ACCESS_VERSION",
    "NO_VERSION",
    "effective_access",
    "head_of_access",
    "head_of_content",
    "head_of_delete",
    "ids_that_stay",
    "newer",
    "object_id",
]

NO_VERSION: Final = Version(source=-1, offset=-1)
"""Older than anything a source can say: the content of a document of which only the access list is known."""

NO_ACCESS_VERSION: Final = NO_VERSION
"""Nobody has set the access list by itself yet, so the content's own list holds."""


def newer(head: DocumentHead, than: DocumentHead | None) -> bool:
    """Whether a head follows another: content or access version is higher, and neither is lower.

    Use it wherever heads are folded into a view; every view must decide alike.

    >>> head = DocumentHead(tenant="t", document="d", version=Version(source=0, offset=1),
    ...                     access_version=NO_ACCESS_VERSION, generation="g1")
    >>> newer(head, None), newer(head, head)
    (True, False)
    """
    if than is None:
        return True
    neither_lower = head.version >= than.version and head.access_version >= than.access_version
    return neither_lower and (head.version, head.access_version) != (than.version, than.access_version)


def object_id(tenant: str, document: str, name: str, version: Version) -> str:
    """The id of a chunk's object in the index. It holds the version that introduced the chunk, so it never comes back.

    >>> object_id("t", "d", "1-abc-0", NO_VERSION) == object_id("t", "d", "1-abc-0", NO_VERSION)
    True
    """
    return named_id(json.dumps([tenant, document, name, version.source, version.offset]))


def effective_access(old: DocumentHead | None, stated: tuple[str, ...]) -> tuple[str, ...]:
    """Who may see a document: the list set by itself where there is one, else the one its content came with."""
    return old.access if old and old.access_version != NO_ACCESS_VERSION else stated


def ids_that_stay(old: DocumentHead | None, access: tuple[str, ...]) -> Mapping[str, str]:
    """Object ids by chunk name that the next head may keep. None where their access hint would be wrong."""
    if old is None or old.access != access:
        return {}
    return {chunk.name: chunk.object_id for chunk in old.chunks}


def head_of_content(manifest: DocumentChunked, old: DocumentHead | None, generation: str) -> DocumentHead:
    """The head that a version's manifest makes: known chunks keep their objects, new ones get ids of this version."""
    access = effective_access(old, manifest.access)
    stay = ids_that_stay(old, access)
    # A manifest of before places were written has none.
    is_placed = len(manifest.places) == len(manifest.names)
    places = manifest.places if is_placed else (None,) * len(manifest.names)
    chunks = tuple(
        HeadChunk(
            name=name,
            object_id=stay.get(name) or object_id(manifest.tenant, manifest.document, name, manifest.version),
            place=place,
        )
        for name, place in zip(manifest.names, places, strict=True)
    )
    kept = sum(name in stay for name in manifest.names)
    return DocumentHead(
        tenant=manifest.tenant,
        document=manifest.document,
        version=manifest.version,
        access_version=old.access_version if old else NO_ACCESS_VERSION,
        generation=generation,
        chunks=chunks,
        removed=_removed(old, chunks),
        supersedes=old.version if old else None,
        access=access,
        title=manifest.title,
        source_uri=manifest.source_uri,
        fingerprint=manifest.fingerprint,
        kept=kept,
        added=len(chunks) - kept,
        words_hash=manifest.words_hash,
        signature=manifest.signature,
        properties=manifest.properties,
    )


def head_of_delete(deleted: DocumentDeleted, old: DocumentHead | None, generation: str) -> DocumentHead:
    """The head of a deleted document: lists nothing and stays, so that nothing older can come back."""
    return DocumentHead(
        tenant=deleted.tenant,
        document=deleted.document,
        version=deleted.version or NO_VERSION,
        access_version=old.access_version if old else NO_ACCESS_VERSION,
        generation=generation,
        removed=_removed(old, ()),
        supersedes=old.version if old else None,
        access=old.access if old else (),
        gone=True,
        outcome="deleted",
    )


def head_of_access(changed: AccessChanged, old: DocumentHead | None, generation: str) -> DocumentHead:
    """The same content under another access list.

    Of a document that is not known yet it is a head without content (`NO_VERSION`, gone), from which the content
    inherits the list when it comes.
    """
    return DocumentHead(
        tenant=changed.tenant,
        document=changed.document,
        version=old.version if old else NO_VERSION,
        access_version=changed.version or NO_ACCESS_VERSION,
        generation=generation,
        chunks=old.chunks if old else (),
        supersedes=old.version if old else None,
        access=changed.access,
        title=old.title if old else "",
        source_uri=old.source_uri if old else "",
        fingerprint=old.fingerprint if old else "",
        gone=old.gone if old else True,
        outcome="access",
        kept=len(old.chunks) if old else 0,
        words_hash=old.words_hash if old else "",
        signature=old.signature if old else None,
        properties=old.properties if old else {},
    )


def _removed(old: DocumentHead | None, chunks: tuple[HeadChunk, ...]) -> tuple[str, ...]:
    listed = {chunk.object_id for chunk in chunks}
    return tuple(chunk.object_id for chunk in old.chunks if chunk.object_id not in listed) if old else ()
