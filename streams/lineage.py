"""Lineage both ways: from an answer back to what it was made of, and from a change on to every answer that cited it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import nlargest
from typing import Any, Final

from schemas.documents import ChunkEmbedded, DocumentChanged, DocumentChunked, DocumentParsed, DocumentRedacted
from schemas.envelope import Event, Micros, Version
from schemas.queries import AnswerGiven, Citation
from streams.errors import UnknownTraceError
from streams.reading import Reader, Reading, Slice
from streams.tracing import INGEST_WAY, trace_answer
from topics.answer import ANSWER_GIVEN
from topics.ingest import DOCUMENT_CHANGED, DOCUMENT_PARSED

__all__ = [
    "AnswerLineage",
    "Bounds",
    "CitingAnswer",
    "Forward",
    "Origin",
    "answers_citing",
    "answers_of_commit",
    "lineage_of_answer",
    "lsn",
]

_LSN: Final = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")
_RECORD: Final = re.compile(r"([a-z][\w.-]{2,200})/([0-9]{1,6})@([0-9]{1,18})")
_HASH: Final = re.compile(r"[0-9a-f]{7,64}")


@dataclass(frozen=True)
class Origin:
    """Where a cited version comes from: the source's position, the record it entered with, and what made it an index.

    `made_by` maps each step whose records are still kept to what is known of it (models, fingerprints, versions).
    `kept` is False where no record of the version is left but the citation itself.
    """

    tenant: str
    document: str
    version: Version
    position: str
    record: str = ""
    source_uri: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)
    body_sha256: str = ""
    committed_at: Micros | None = None
    made_by: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    kept: bool = True


@dataclass(frozen=True)
class AnswerLineage:
    """What one answer was made of."""

    answer_id: str
    tenant: str
    question: str
    text: str
    made_by: Mapping[str, str]
    citations: tuple[tuple[Citation, Origin], ...]


@dataclass(frozen=True)
class CitingAnswer:
    """An answer, and those of its citations that were asked for."""

    answer_id: str
    tenant: str
    at: Micros
    question: str
    model: str
    prompt_version: str
    generation: str
    citations: tuple[Citation, ...]


@dataclass(frozen=True)
class Forward:
    """The answers that cited something, the newest first; `found` counts also those beyond the limit."""

    what: str
    found: int
    read: int
    answers: tuple[CitingAnswer, ...]


def lineage_of_answer(reader: Reader, answer_id: str) -> AnswerLineage:
    """The way back of an answer. Raises UnknownTraceError where no topic has the answer.

    >>> lineage_of_answer(reader, "0196f3a0-…").citations[0][1].position  # doctest: +SKIP
    '0/16B3748'
    """
    traced = trace_answer(reader, answer_id)
    given = traced.answer
    if given is None:
        raise UnknownTraceError(f"wanted an answer {answer_id!r}: its question is known, no answer is on its topic yet")
    made_by = {"producer_version": given.producer_version, "git_sha": given.git_sha}
    if not isinstance(given, AnswerGiven):
        text = f"{given.reason}: {given.message}"
        return AnswerLineage(answer_id, given.tenant, given.question, text, made_by, ())
    made_by |= {"model": given.model, "prompt_version": given.prompt_version, "generation": given.generation}
    origins: dict[tuple[str, Version], Origin] = {}
    for citation in given.citations:
        place = (citation.document, citation.version)
        if place not in origins:
            origins[place] = _origin(reader, given.tenant, citation)
    citations = tuple((citation, origins[citation.document, citation.version]) for citation in given.citations)
    return AnswerLineage(answer_id, given.tenant, given.question, given.text, made_by, citations)


@dataclass(frozen=True)
class Bounds:
    """How much to read and to show: answers since a moment, and the newest `limit` of those that cite."""

    since: Micros | None = None
    limit: int = 1_000


def answers_citing(
    reader: Reader, place: tuple[str, str], version: Version | None = None, bounds: Bounds | None = None
) -> Forward:
    """The answers that cited a tenant's document, in one version or in any.

    >>> answers_citing(reader, ("acme", "lease.md")).found  # doctest: +SKIP
    3
    """
    tenant, document = place

    def cited(answer: AnswerGiven, citation: Citation) -> bool:
        return (answer.tenant, citation.document) == place and version in (None, citation.version)

    asked = f"{tenant} {document}" + (f" {version.source}/{version.offset}" if version else "")
    return _scan(reader, asked, document.encode(), cited, bounds or Bounds())


def answers_of_commit(reader: Reader, commit: str, bounds: Bounds | None = None) -> Forward:
    """The answers that cited what a commit made: an LSN (`0/16B3748`), a record (`topic/partition@offset`), or the
    beginning of a hash that the document's properties or its body have (git sha, file hash).

    Raises UnknownTraceError for what is none of these, or a hash that no change on the topics has (any more).
    """
    if position := _LSN.fullmatch(commit):
        source = (int(position[1], 16) << 32) + int(position[2], 16)
        return _scan(reader, commit, b"", lambda _, citation: citation.version.source == source, bounds or Bounds())
    if record := _RECORD.fullmatch(commit):
        places = _at_record(reader, record[1], int(record[2]), int(record[3]))
    elif _HASH.fullmatch(commit.lower()):
        places = _of_hash(reader, commit.lower())
    else:
        raise UnknownTraceError(
            f"wanted an LSN (0/16B3748), a record (topic/partition@offset) or 7 to 64 hex digits, got {commit!r}"
        )
    if not places:
        raise UnknownTraceError(f"wanted a change with {commit!r}, the topics of ingest have none (any more)")

    def cited(answer: AnswerGiven, citation: Citation) -> bool:
        return (answer.tenant, citation.document, citation.version) in places

    return _scan(reader, commit, b"", cited, bounds or Bounds())


def lsn(source: int) -> str:
    """A position as PostgreSQL writes it.

    >>> lsn(23_803_720)
    '0/16B3748'
    """
    return f"{source >> 32:X}/{source & 0xFFFFFFFF:X}"


def _scan(
    reader: Reader, what: str, mention: bytes, cited: Callable[[AnswerGiven, Citation], bool], bounds: Bounds
) -> Forward:
    """Reads the answers once. What does not hold the document's name is not decoded."""
    read = 0

    def mentions(_: bytes, value: bytes) -> bool:
        nonlocal read
        read += 1
        return mention in value

    citing: dict[str, CitingAnswer] = {}
    for reading in reader.read(ANSWER_GIVEN.name, Slice(since=bounds.since, keep=mentions)):
        given = reading.event
        if isinstance(given, AnswerGiven) and (ours := tuple(one for one in given.citations if cited(given, one))):
            citing[given.answer_id] = _citing(given, reading, ours)
    newest = nlargest(bounds.limit, citing.values(), key=lambda answer: (answer.at, answer.answer_id))
    return Forward(what, len(citing), read, tuple(newest))


def _citing(given: AnswerGiven, reading: Reading, citations: tuple[Citation, ...]) -> CitingAnswer:
    return CitingAnswer(
        answer_id=given.answer_id,
        tenant=given.tenant,
        at=Micros(given.occurred_at or reading.at),
        question=given.question,
        model=given.model,
        prompt_version=given.prompt_version,
        generation=given.generation,
        citations=citations,
    )


def _origin(reader: Reader, tenant: str, citation: Citation) -> Origin:
    """What is kept of a cited version. The newest versions have all records, old ones those that are not compacted."""
    key, version = f"{tenant}|{citation.document}", citation.version
    wanted = key.encode()

    def ours(found: bytes, _: bytes) -> bool:
        return found == wanted or found.endswith(b"|" + wanted)

    parts = {topic.name: Slice(partition=reader.partition_of(topic, key), keep=ours) for topic in INGEST_WAY}
    kept = [reading for reading in reader.read_each(parts) if _version(reading) == version]
    change = next((reading for reading in kept if isinstance(reading.event, DocumentChanged)), None)
    documents = [reading.event for reading in kept if isinstance(reading.event, DocumentChanged | DocumentParsed)]
    trails = [reading.event.trail for reading in kept if reading.event is not None]
    return Origin(
        tenant=tenant,
        document=citation.document,
        version=version,
        position=lsn(version.source) if version.source else f"record {version.offset}",
        record=f"{change.topic}/{change.partition}@{change.offset}" if change else "",
        source_uri=citation.source_uri,
        properties=documents[0].properties if documents else {},
        body_sha256=_sha256(change.event) if change and isinstance(change.event, DocumentChanged) else "",
        committed_at=min((min(trail.values()) for trail in trails if trail), default=None),
        made_by={type(reading.event).__name__: _made_by(reading.event) for reading in kept if reading.event},
        kept=bool(kept),
    )


def _made_by(event: Event) -> dict[str, str]:
    """The versions that an event tells of: of the program, of the model, of the configuration."""
    said = {"producer_version": event.producer_version, "git_sha": event.git_sha}
    if isinstance(event, ChunkEmbedded):
        said["model"] = event.model
    if isinstance(event, DocumentRedacted):
        said["policy"] = event.policy
    if isinstance(event, DocumentChunked):
        said["fingerprint"] = event.fingerprint
    said["generation"] = getattr(event, "generation", "")
    return {name: value for name, value in said.items() if value}


def _sha256(change: DocumentChanged) -> str:
    if change.claim is not None:
        return change.claim.sha256
    return hashlib.sha256(change.body).hexdigest() if change.body is not None else ""


def _version(reading: Reading) -> Version | None:
    """A change without a position of its own has that of its record."""
    event: Any = reading.event
    if event is not None and event.__struct_fields__ and getattr(event, "version", event) is None:
        return Version(source=0, offset=reading.offset)
    found = getattr(event, "version", None)
    return found if isinstance(found, Version) else None


Places = set[tuple[str, str, Version]]


def _at_record(reader: Reader, topic: str, partition: int, offset: int) -> Places:
    """What entered with a record of ours, or of a source: a version keeps the offset of either."""
    if topic != DOCUMENT_CHANGED.name:
        return {place for place, _ in _changes(reader) if place[2].offset == offset and place[2].source}
    found = reader.read(topic, Slice(partition=partition))
    return {place for reading in found if reading.offset == offset and (place := _place(reading))}


def _of_hash(reader: Reader, digest: str) -> Places:
    return {place for place, event in _changes(reader) if any(said.startswith(digest) for said in _hashes(event))}


def _hashes(event: DocumentChanged | DocumentParsed) -> Iterator[str]:
    yield from (value.lower() for value in event.properties.values())
    if isinstance(event, DocumentChanged):
        yield _sha256(event)


def _changes(reader: Reader) -> Iterator[tuple[tuple[str, str, Version], DocumentChanged | DocumentParsed]]:
    """The newest change of each document, and the parsed ones, which keep older versions for days."""
    for reading in reader.read_each({DOCUMENT_CHANGED.name: Slice(), DOCUMENT_PARSED.name: Slice()}):
        event = reading.event
        if isinstance(event, DocumentChanged | DocumentParsed) and (place := _place(reading)):
            yield place, event


def _place(reading: Reading) -> tuple[str, str, Version] | None:
    version, event = _version(reading), reading.event
    return (event.tenant, str(getattr(event, "document", "")), version) if version and event else None
