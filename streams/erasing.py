"""The topics of ours, and what hangs on them, as stores that forget a document; each reads back what it holds.

A tombstone makes compaction drop what lies before it. A change that slips in between the last look and the tombstone
is put back behind it, byte by byte, so that publishing at the wrong moment loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from processors.ingest.erase import LETTERS
from processors.ingest.erasing import Standing
from processors.ingest.passages import NAME_HASH_CHARS, digest_in
from processors.ports import Claims, EmbeddingCache
from schemas.documents import DocumentChanged, DocumentDeleted, DocumentHead, EmbeddingComputed
from schemas.envelope import Version
from schemas.memories import MemoryForgotten
from streams.hop import AnyTopic
from streams.keyed_log import KeyedLog, document_key
from streams.reading import Reading
from topics.ingest import (
    ACCESS_CHANGED,
    CHUNK_CREATED,
    CHUNK_EMBEDDED,
    DOCUMENT_CHANGED,
    DOCUMENT_HEAD,
    DOCUMENT_PARSED,
    DOCUMENT_REDACTED,
    EMBEDDING_COMPUTED,
    MEMORY_KEPT,
)

__all__ = ["BURIED", "ClaimBodies", "DeadLetters", "Embeddings", "TopicRecords", "standing_of"]

# Heads stay: a gone head holds no text, and without it a replay of an older change would bring the document back.
BURIED: Final[tuple[AnyTopic, ...]] = (MEMORY_KEPT, DOCUMENT_CHANGED, ACCESS_CHANGED, DOCUMENT_REDACTED)
DELETES: Final = (DocumentDeleted, MemoryForgotten)
LETTER_TOPICS: Final = (
    MEMORY_KEPT,
    DOCUMENT_CHANGED,
    DOCUMENT_PARSED,
    DOCUMENT_REDACTED,
    CHUNK_CREATED,
    CHUNK_EMBEDDED,
)

Things = frozenset[str]
NOTHING: Final[Things] = frozenset()


def standing_of(log: KeyedLog, tenant: str, document: str) -> Standing:
    """Where a document stands in the log of changes; a version that is not stated is the record's offset."""
    newest: Version | None = None
    deleted: Version | None = None
    alive = False
    for reading in log.of_key(DOCUMENT_CHANGED, document_key(tenant, document)):
        event = reading.event
        if not isinstance(event, DocumentChanged | DocumentDeleted):
            continue
        version = event.version or Version(source=0, offset=reading.offset)
        newest = version if newest is None else max(newest, version)
        alive = isinstance(event, DocumentChanged)
        deleted = version if isinstance(event, DocumentDeleted) else deleted
    return Standing(newest, alive, deleted)


class TopicRecords:
    """The records of a document on one compacted topic: a tombstone covers them, compaction removes them later."""

    def __init__(self, topic: AnyTopic, log: KeyedLog) -> None:
        self.name = topic.name
        self._topic = topic
        self._log = log

    def held(self, tenant: str, document: str, life: DocumentHead | None) -> Things:
        """Where records lie that no tombstone covers. A newer life's own record covers the old ones."""
        return NOTHING if life else self._uncovered(self._readings(tenant, document))

    def erase(self, tenant: str, document: str, things: Things) -> None:
        """Covers them; what slipped in meanwhile, or when a process died here, is put back."""
        before = self._readings(tenant, document)
        if slipped := _buried_alive(before):
            self._log.put_again(slipped)
            return
        if not things:
            return
        seen = max((reading.offset for reading in before), default=-1)
        self._log.bury(self._topic, [document_key(tenant, document)])
        after = [reading for reading in self._readings(tenant, document) if reading.offset > seen]
        late = [reading for reading in after if reading.value is not None]
        if late and after[-1].value is None:
            self._log.put_again(late[-1])

    def _readings(self, tenant: str, document: str) -> list[Reading]:
        return self._log.of_key(self._topic, document_key(tenant, document))

    @staticmethod
    def _uncovered(readings: list[Reading]) -> Things:
        covered = max((reading.offset for reading in readings if reading.value is None), default=-1)
        return frozenset(
            f"{reading.partition}@{reading.offset}"
            for reading in readings
            if reading.offset > covered and not isinstance(reading.event, DELETES)
        )


class ClaimBodies:
    """Bodies outside the log that only this document uses."""

    name = "claims"

    def __init__(self, log: KeyedLog, claims: Claims) -> None:
        self._log = log
        self._claims = claims

    def held(self, tenant: str, document: str, life: DocumentHead | None) -> Things:
        """URIs of bodies that are there."""
        key = document_key(tenant, document)
        own = _claimed(self._log.of_key(DOCUMENT_CHANGED, key))
        there = {uri for uris in own for uri in uris if self._claims.holds(uri)}
        if life and own:
            there -= own[-1]
        return frozenset(there - self._shared(there, key)) if there else NOTHING

    def erase(self, tenant: str, document: str, things: Things) -> None:  # noqa: ARG002  # the URIs say it all
        """Removes bodies for good."""
        for uri in sorted(things):
            self._claims.drop(uri)

    def _shared(self, uris: set[str], own_key: str) -> set[str]:
        """Those that the newest record of another document names."""
        named = [uri.encode() for uri in uris]
        naming = self._log.matching([DOCUMENT_CHANGED.name], lambda _, value: any(uri in value for uri in named))
        others = {reading.key.encode() for reading in naming if reading.key != own_key}
        if not others:
            return set()
        newest = {r.key: r for r in self._log.matching([DOCUMENT_CHANGED.name], lambda key, _: key in others)}
        return {uri for used in _claimed(newest.values()) for uri in used}


class Embeddings:
    """Vectors of this document's texts that no other document shares: in the log, and in this process's cache."""

    name = EMBEDDING_COMPUTED.name

    def __init__(self, log: KeyedLog, cache: EmbeddingCache) -> None:
        self._log = log
        self._cache = cache

    def held(self, tenant: str, document: str, life: DocumentHead | None) -> Things:
        """Keys, `model|hash`: those that its heads list, and those that were computed for it at any time."""
        own, others = self._digests(tenant, document)
        stays = others | ({digest_in(chunk.name) for chunk in life.chunks} if life else set())
        told = document.encode()
        found: dict[str, EmbeddingComputed | None] = {}
        for reading in self._log.matching(
            [EMBEDDING_COMPUTED.name], lambda key, value: not value or told in value or _digest(key.decode()) in own
        ):
            found[reading.key] = reading.event if isinstance(reading.event, EmbeddingComputed) else None
        return frozenset(
            key
            for key, event in found.items()
            if (event or self._cached(key))
            and _digest(key) not in stays
            and (_digest(key) in own or (event and (event.tenant, event.document) == (tenant, document)))
        )

    def erase(self, tenant: str, document: str, things: Things) -> None:  # noqa: ARG002  # the keys say it all
        """Covers them in the log, and drops them here; other processes hear of it by the tombstones."""
        if things:
            self._log.bury(EMBEDDING_COMPUTED, sorted(things))
        for key in things:
            model, _, text_hash = key.rpartition("|")
            self._cache.drop(model, text_hash)

    def _cached(self, key: str) -> bool:
        model, _, text_hash = key.rpartition("|")
        return self._cache.get(model, text_hash) is not None

    def _digests(self, tenant: str, document: str) -> tuple[set[str], set[str]]:
        """Of this document's heads, old ones too; and of every other document's newest, in all generations."""
        own: set[str] = set()
        others: dict[str, set[str]] = {}
        for reading in self._log.matching([DOCUMENT_HEAD.name], lambda _, value: bool(value)):
            head = reading.event
            if not isinstance(head, DocumentHead):
                continue
            digests = {digest_in(chunk.name) for chunk in head.chunks}
            if (head.tenant, head.document) == (tenant, document):
                own |= digests
            else:
                others[reading.key] = digests
        return own - {""}, {digest for digests in others.values() for digest in digests}


class DeadLetters:
    """What of a document lies among the dead letters. They are evidence: only their retention removes them."""

    name = LETTERS

    def __init__(self, log: KeyedLog) -> None:
        self._log = log

    def held(self, tenant: str, document: str, life: DocumentHead | None) -> Things:  # noqa: ARG002  # of any life
        """Where they lie."""
        key = document_key(tenant, document).encode()
        topics = [topic.dead_letters for topic in LETTER_TOPICS]
        found = self._log.matching(topics, lambda named, _: named == key)
        return frozenset(f"{reading.topic}@{reading.offset}" for reading in found)

    def erase(self, tenant: str, document: str, things: Things) -> None:
        """Nothing: see `LETTERS`."""


def _claimed(readings: Iterable[Reading]) -> list[set[str]]:
    """The claims that each record names, of records that are changes."""
    found = []
    for reading in readings:
        if isinstance(reading.event, DocumentChanged):
            found.append({reading.event.claim.uri} if reading.event.claim else set())
    return found


def _digest(key: str) -> str:
    return key.rpartition("|")[2][:NAME_HASH_CHARS]


def _buried_alive(readings: list[Reading]) -> Reading | None:
    """A change that came after a delete and lies under a tombstone: whoever buried it died before putting it back."""
    if not readings or readings[-1].value is not None:
        return None
    told = [reading for reading in readings if reading.value is not None]
    deletes = [reading.offset for reading in told if isinstance(reading.event, DELETES)]
    if not told or not deletes or isinstance(told[-1].event, DELETES):
        return None
    return told[-1]
