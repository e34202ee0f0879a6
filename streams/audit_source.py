"""What the log of changes says of every document, kept up by reading only what was added since the last look."""

from __future__ import annotations

from dataclasses import dataclass, field

from processors.ingest.drift import Place, Said
from schemas.documents import AccessChanged, DocumentChanged, DocumentDeleted
from schemas.envelope import Micros, Version
from streams.group_lag import GroupLag
from streams.reading import Reader, Reading, Slice
from topics.ingest import ACCESS_CHANGED, CHUNK_CREATED, CHUNK_EMBEDDED, DOCUMENT_CHANGED, DOCUMENT_PARSED
from topics.ingest import DOCUMENT_REDACTED as REDACTED

__all__ = ["SourceSide", "Stands", "handled"]

# The groups behind the first, where the steps are not fused: what they have not read is on its way.
LATER = {
    "headwater.ingest.redact.v1": DOCUMENT_PARSED.name,
    "headwater.ingest.chunk.v1": REDACTED.name,
    "headwater.ingest.embed.v1": CHUNK_CREATED.name,
    "headwater.ingest.index.v1": CHUNK_EMBEDDED.name,
}
FIRST = "headwater.ingest.parse.v1"
INDEX = "headwater.ingest.index.v1"


@dataclass(frozen=True)
class Stands:
    """Where a record lies, and since when."""

    topic: str
    partition: int
    offset: int
    at: Micros


@dataclass
class SourceSide:
    """The last word about every document, and where it stands. Memory grows with the documents, not their texts."""

    said: dict[Place, Said] = field(default_factory=dict)
    at: dict[Place, Stands] = field(default_factory=dict)
    access_at: dict[Place, Stands] = field(default_factory=dict)
    _next: dict[tuple[str, int], int] = field(default_factory=dict)

    def update(self, reader: Reader) -> int:
        """Reads what was added; returns how many records that was."""
        return sum(self._update(reader, topic.name) for topic in (DOCUMENT_CHANGED, ACCESS_CHANGED))

    def _update(self, reader: Reader, topic: str) -> int:
        count = 0
        for partition, (low, high) in reader.bounds(topic).items():
            start = max(low, self._next.get((topic, partition), 0))
            if start >= high:
                continue
            for reading in reader.read(topic, Slice(last=high - start, partition=partition)):
                self._take(reading)
                count += 1
            self._next[topic, partition] = high
        return count

    def _take(self, reading: Reading) -> None:
        tenant, _, document = reading.key.partition("|")
        place = (tenant, document)
        known = self.said.get(place, Said(None, False))
        event = reading.event
        if reading.value is None:
            covered = Said(None, False, known.access) if reading.topic == DOCUMENT_CHANGED.name else None
            self.said[place] = covered or Said(known.version, known.alive)
        elif isinstance(event, DocumentChanged | DocumentDeleted):
            version = event.version or Version(source=0, offset=reading.offset)
            # What a source repeats after a crash is older, and no news.
            if known.version is None or version >= known.version:
                self.said[place] = Said(version, isinstance(event, DocumentChanged), known.access)
                self.at[place] = _stands(reading)
        elif isinstance(event, AccessChanged):
            version = event.version or Version(source=0, offset=reading.offset)
            self.said[place] = Said(known.version, known.alive, max(version, known.access or version))
            self.access_at[place] = _stands(reading)


def handled(lag: GroupLag, group: str = "") -> dict[tuple[str, int], int]:
    """Up to which offset everything has become a head, or a dead letter, by topic and partition.

    Where the steps are not fused, a partition in which a later one is behind counts as not handled at all; so does one
    in which `group` is, that makes a generation from redacted documents.
    """
    changes = {partition: one.committed for partition, one in lag.of(FIRST, DOCUMENT_CHANGED.name).items()}
    access, alone = lag.of(FIRST, ACCESS_CHANGED.name), lag.of(INDEX, ACCESS_CHANGED.name)
    for later, topic in LATER.items():
        behind = {p for p, one in lag.of(later, topic).items() if one.committed >= 0 and one.records}
        changes |= dict.fromkeys(behind, 0)
    done = {(DOCUMENT_CHANGED.name, partition): offset for partition, offset in changes.items()}
    stands = {p: max(one.committed, alone[p].committed) for p, one in access.items()}
    done |= {(ACCESS_CHANGED.name, partition): offset for partition, offset in stands.items()}
    if not group:
        return done
    late = {
        partition
        for topic in (REDACTED.name, ACCESS_CHANGED.name)
        for partition, one in lag.of(group, topic).items()
        if one.records
    }
    return {(topic, partition): 0 if partition in late else offset for (topic, partition), offset in done.items()}


def _stands(reading: Reading) -> Stands:
    return Stands(reading.topic, reading.partition, reading.offset, reading.at)
