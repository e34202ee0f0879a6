"""Builders of index objects for the suites of the Index port and for what searches it."""

from __future__ import annotations

from adapters.memory import HashingEmbedder
from processors.ports import IndexObject
from schemas.documents import Chunk
from schemas.envelope import Version

EVERYONE = frozenset({"*"})
EMBEDDER = HashingEmbedder(32)


def indexed(
    name: str,
    text: str,
    *,
    tenant: str = "acme",
    document: str = "handbook.md",
    access: tuple[str, ...] = ("*",),
    version: int = 1,
) -> IndexObject:
    """An object named `name` whose vector is that of its text."""
    return IndexObject(
        object_id=name,
        tenant=tenant,
        document=document,
        version=Version(source=0, offset=version),
        title="Handbook",
        source_uri=f"file:{document}",
        access=access,
        chunk=Chunk(name=f"chunk-{name}", ordinal=3, text=text, start=10, end=10 + len(text), tokens=9, page=2),
        vector=EMBEDDER.embed([text])[0].tobytes(),
    )
