"""What a batch of indexing would do: which objects it needs and which heads follow. Touches nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from processors.contract import Reject
from processors.ingest.heads import (
    effective_access,
    head_of_access,
    head_of_content,
    head_of_delete,
    ids_that_stay,
    object_id,
)
from processors.ports import IndexObject
from schemas.documents import (
    AccessChanged,
    ChunkEmbedded,
    DocumentChunked,
    DocumentDeleted,
    DocumentHead,
    DocumentIndexed,
    IndexOutcome,
)
from schemas.envelope import Event, Version

__all__ = ["Held", "Indexable", "Plan", "index_object"]

Indexable = ChunkEmbedded | DocumentChunked | DocumentDeleted | AccessChanged
Place = tuple[str, str]
"""Tenant and document."""

Held = tuple[str, str]
"""Tenant and object id."""

FLOAT_BYTES: Final = 4
LENGTH_TOLERANCE: Final = 0.01
"""How far from 1 a vector's length may be: far above what float16 or int8 models round, far below a mistake."""


@dataclass
class Plan:
    """A batch worked through in order, each event against the heads that the ones before it left.

    `refused` maps positions of manifests to the reason why they can't become heads; the plan is then made anew,
    since later versions of the same document follow from other heads.
    """

    heads: dict[Place, DocumentHead]
    generation: str
    refused: Mapping[int, str]
    outputs: list[list[Event] | Reject] = field(default_factory=list)
    objects: dict[Held, IndexObject] = field(default_factory=dict)
    manifests: dict[int, DocumentHead] = field(default_factory=dict)
    stayed: dict[int, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        events: Sequence[Indexable],
        heads: Mapping[Place, DocumentHead],
        generation: str,
        refused: Mapping[int, str],
    ) -> Plan:
        """The plan of a batch over the heads that are committed."""
        plan = cls(dict(heads), generation, refused)
        for position, event in enumerate(events):
            plan.outputs.append(plan._one(position, event))
        return plan

    def needed(self) -> set[Held]:
        """Every object that must be held in the index before the heads may be written."""
        listed = {(head.tenant, chunk.object_id) for head in self.manifests.values() for chunk in head.chunks}
        return listed | set(self.objects)

    def missing(self, held: Iterable[Held]) -> dict[int, list[str]]:
        """Object ids that the index lacks, by position of the manifest that lists them."""
        have = set(held)
        lacking = {
            position: [chunk.object_id for chunk in head.chunks if (head.tenant, chunk.object_id) not in have]
            for position, head in self.manifests.items()
        }
        return {position: ids for position, ids in lacking.items() if ids}

    def _one(self, position: int, event: Indexable) -> list[Event] | Reject:
        if event.version is None:
            return Reject(f"wanted a version of document {event.document!r}, got none; the engine fills in the offset")
        old = self.heads.get((event.tenant, event.document))
        if isinstance(event, ChunkEmbedded):
            return self._chunk(event, old)
        if isinstance(event, AccessChanged):
            return self._access(event, event.version, old)
        if old and event.version <= old.version:
            return [self._receipt(event, event.version, _why_not(event.version, old.version))]
        if isinstance(event, DocumentDeleted):
            return self._follows(head_of_delete(event, old, self.generation))
        return self._manifest(position, event, old)

    def _chunk(self, event: ChunkEmbedded, old: DocumentHead | None) -> list[Event] | Reject:
        """A chunk's object: new under an id of this version, or a listed one that the index should hold already.

        A listed one is named too, so that an index that was lost gets it back from a replay.
        """
        if reason := _wrong_vector(event):
            return Reject(reason)
        access = effective_access(old, event.access)
        chosen = ids_that_stay(old, access).get(event.chunk.name)
        if chosen is None and (old is None or event.version > old.version):
            chosen = object_id(event.tenant, event.document, event.chunk.name, event.version)
        if chosen is not None:
            self.objects[event.tenant, chosen] = index_object(event, chosen, access)
        return []

    def _manifest(self, position: int, event: DocumentChunked, old: DocumentHead | None) -> list[Event] | Reject:
        if position in self.refused:
            return Reject(self.refused[position])
        head = head_of_content(event, old, self.generation)
        self.manifests[position] = head
        self.stayed[position] = frozenset(ids_that_stay(old, head.access).values())
        return self._follows(head)

    def _access(self, event: AccessChanged, version: Version, old: DocumentHead | None) -> list[Event]:
        if old and version <= old.access_version:
            return [self._receipt(event, version, _why_not(version, old.access_version))]
        return self._follows(head_of_access(event, old, self.generation))

    def _follows(self, head: DocumentHead) -> list[Event]:
        self.heads[head.tenant, head.document] = head
        return [head]

    def _receipt(self, event: Indexable, version: Version, outcome: IndexOutcome) -> DocumentIndexed:
        return DocumentIndexed(
            tenant=event.tenant,
            document=event.document,
            version=version,
            outcome=outcome,
            generation=self.generation,
        )


def _why_not(version: Version, than: Version) -> IndexOutcome:
    return "unchanged" if version == than else "outdated"


def _wrong_vector(event: ChunkEmbedded) -> str | None:
    """Why a vector can't be searched; a poisoned one must not stop the batch it is in."""
    wanted = event.dimension * FLOAT_BYTES
    if len(event.vector) != wanted or not event.dimension:
        return (
            f"wanted a vector of {event.dimension} float32 ({wanted} bytes), got {len(event.vector)} bytes "
            f"in chunk {event.chunk.name!r}; embed it again"
        )
    vector = np.frombuffer(event.vector, dtype="<f4")
    length = float(np.sqrt(vector.dot(vector)))
    if not abs(length - 1) <= LENGTH_TOLERANCE:
        return f"wanted a vector of length 1, got {length} in chunk {event.chunk.name!r}; embed it again"
    return None


def index_object(event: ChunkEmbedded, chosen: str, access: tuple[str, ...]) -> IndexObject:
    """A chunk as the index will hold it, under the id and the access hint that its document's head says."""
    return IndexObject(
        object_id=chosen,
        tenant=event.tenant,
        document=event.document,
        version=event.version,
        title=event.title,
        source_uri=event.source_uri,
        access=access,
        chunk=event.chunk,
        vector=event.vector,
    )
