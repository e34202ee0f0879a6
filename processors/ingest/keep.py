"""Keep: a user's note becomes a document that its owner alone may read, a forgotten one a delete."""

from __future__ import annotations

from collections.abc import Iterator

from processors.contract import Reject
from processors.ingest.memories import KeptMemories, MemoryLimits, reader_of, title_of, unnamed, unreadable
from schemas.documents import DocumentChanged, DocumentDeleted, ErasureRequested
from schemas.envelope import Version
from schemas.memories import MemoryForgotten, MemoryKept

Kept = DocumentChanged | DocumentDeleted | ErasureRequested | MemoryForgotten


def keep(event: MemoryKept | MemoryForgotten, memories: KeptMemories, keeping: MemoryLimits) -> Iterator[Kept]:
    """The document of a note, at the position where the note stands: what is replayed has the version that it had.

    1. What names no note is rejected.
    2. A forgotten note is deleted; where it is to be erased, that is asked for in the same transaction, so whoever
       erases finds the delete in the log.
    3. Of a name that was given up nothing comes back, however late its note is read.
    4. A text that can't be kept, or one beyond what its owner may have, is forgotten with the reason. Doors refuse both
       before; this holds for those who produce to the topic.
    """
    if problem := unnamed(event):
        raise Reject(problem)
    if event.version is None:
        raise Reject(f"wanted a version of note {event.memory!r}, got none; the engine fills in the offset")
    memories.fold(event)
    document, version = event.document, Version(source=event.version.offset + 1, offset=0)
    if isinstance(event, MemoryForgotten):
        reason = event.reason or "forgotten"
        yield DocumentDeleted(tenant=event.tenant, document=document, reason=reason, version=version)
        if event.erase:
            yield ErasureRequested(tenant=event.tenant, document=document, reason=reason, request=event.event_id)
        return
    if memories.forgotten(event):
        return
    over = f"beyond the {keeping.per_user} notes that a user may have" if memories.beyond(event) else ""
    if reason := unreadable(event.text, keeping) or over:
        yield MemoryForgotten(tenant=event.tenant, owner=event.owner, memory=event.memory, reason=reason)
        return
    yield DocumentChanged(
        tenant=event.tenant,
        document=document,
        media_type="text/plain",
        body=event.text.encode(),
        title=title_of(event.text),
        access=(reader_of(event.owner),),
        properties={"corpus": "memory"},
        version=version,
    )
