"""The whole path of one answer, or of one version of a document, read back from the topics it crossed."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from schemas.documents import DocumentChanged, DocumentDeleted, DocumentIndexed
from schemas.envelope import Event, Micros, Version
from schemas.measures import AnswerEvaluated, FeedbackGiven
from schemas.queries import AnswerGiven, AnswerWithheld, Citation, Passage, PassagesRanked
from streams.errors import UnknownTraceError
from streams.hop import AnyTopic
from streams.reading import Reader, Reading, Slice
from topics.answer import (
    ANSWER_DRAFTED,
    ANSWER_GIVEN,
    PASSAGES_FOUND,
    PASSAGES_RANKED,
    PROMPT_ASSEMBLED,
    QUERY_ADMITTED,
    QUERY_ASKED,
    QUERY_ASKED_BULK,
    QUERY_PLANNED,
)
from topics.ingest import (
    CHUNK_CREATED,
    CHUNK_EMBEDDED,
    DOCUMENT_CHANGED,
    DOCUMENT_HEAD,
    DOCUMENT_INDEXED,
    DOCUMENT_PARSED,
    DOCUMENT_REDACTED,
    by_document,
)
from topics.measure import ANSWER_EVALUATED, FEEDBACK_GIVEN

__all__ = ["AnswerTrace", "DocumentTrace", "TracedHop", "trace", "trace_answer", "trace_document"]

ANSWER_WAY: Final[tuple[AnyTopic, ...]] = (
    QUERY_ASKED,
    QUERY_ASKED_BULK,
    QUERY_ADMITTED,
    QUERY_PLANNED,
    PASSAGES_FOUND,
    PASSAGES_RANKED,
    PROMPT_ASSEMBLED,
    ANSWER_DRAFTED,
    ANSWER_GIVEN,
    ANSWER_EVALUATED,
    FEEDBACK_GIVEN,
)
INGEST_WAY: Final[tuple[AnyTopic, ...]] = (
    DOCUMENT_CHANGED,
    DOCUMENT_PARSED,
    DOCUMENT_REDACTED,
    CHUNK_CREATED,
    CHUNK_EMBEDDED,
    DOCUMENT_HEAD,
    DOCUMENT_INDEXED,
)

# An id of version 7 says when it was made: clocks differ by seconds, answers take minutes at most.
_BEFORE: Final = 60_000_000
_AFTER: Final = 15 * 60_000_000


@dataclass(frozen=True)
class TracedHop:
    """A record on the way; `count` of them where a step wrote several, the last of which stands here."""

    event: str
    topic: str
    partition: int
    offset: int
    at: Micros
    count: int = 1
    step: str = ""


@dataclass(frozen=True)
class DocumentTrace:
    """One version of a document, from its change to its receipt; `trail` has the moment of every step."""

    tenant: str
    document: str
    version: Version
    hops: tuple[TracedHop, ...]
    trail: dict[str, Micros]
    receipt: DocumentIndexed | None = None


@dataclass(frozen=True)
class AnswerTrace:
    """One answer: its hops, the passages it was made of, and for each citation the way of its document version."""

    answer_id: str
    tenant: str
    question: str
    answer: AnswerGiven | AnswerWithheld | None
    hops: tuple[TracedHop, ...]
    trail: dict[str, Micros]
    passages: tuple[Passage, ...] = ()
    citations: tuple[tuple[Citation, DocumentTrace | None], ...] = ()
    measured: tuple[Event, ...] = ()


def trace(reader: Reader, what: str, tenant: str = "") -> AnswerTrace | DocumentTrace:
    """The trace of an answer id or of a document's newest version. Raises UnknownTraceError.

    >>> trace(reader, "0196f3a0-…").question  # doctest: +SKIP
    'How long is a lease?'
    """
    if _moment(what) is not None:
        try:
            return trace_answer(reader, what)
        except UnknownTraceError:
            pass
    return trace_document(reader, what, tenant)


def trace_answer(reader: Reader, answer_id: str) -> AnswerTrace:
    """The way of a question to its answer, and of what it cites. Raises UnknownTraceError."""
    found = list(_of_answer(reader, answer_id))
    if not found:
        raise UnknownTraceError(f"wanted an answer {answer_id!r}, no topic of the answer journey has it (any more)")
    events = [reading.event for reading in found if reading.event is not None]
    answer = next((event for event in events if isinstance(event, AnswerGiven | AnswerWithheld)), None)
    ranked = next((event for event in events if isinstance(event, PassagesRanked)), None)
    citations = answer.citations if isinstance(answer, AnswerGiven) else ()
    return AnswerTrace(
        answer_id=answer_id,
        tenant=events[0].tenant,
        question=_question(events),
        answer=answer,
        hops=tuple(_hops(found)),
        trail=_trail(events),
        passages=ranked.passages if ranked else (),
        citations=tuple(_with_documents(reader, events[0].tenant, citations)),
        measured=tuple(event for event in events if isinstance(event, AnswerEvaluated | FeedbackGiven)),
    )


def trace_document(reader: Reader, document: str, tenant: str = "", version: Version | None = None) -> DocumentTrace:
    """The way of one version of a document, the newest where none is named. Raises UnknownTraceError."""
    key = _key_of(reader, document, tenant)
    found = _keyed(reader, [DOCUMENT_CHANGED], key)
    changes = [r for r in found if isinstance(r.event, DocumentChanged | DocumentDeleted)]
    if version is None:
        version = max((found for found in map(_version, changes) if found), default=None)
    if version is None:
        raise UnknownTraceError(
            f"wanted document {document!r} of tenant {key.split('|')[0]!r}, no change of it is left"
        )
    change = [reading for reading in changes if _version(reading) == version]
    since = Micros(change[0].at - _BEFORE) if change else None
    later = [r for r in _keyed(reader, INGEST_WAY[1:], key, since) if _version(r) == version]
    events = [r.event for r in (*change, *later) if r.event is not None]
    receipt = next((event for event in events if isinstance(event, DocumentIndexed)), None)
    hops = tuple(_hops([*change, *later]))
    return DocumentTrace(key.partition("|")[0], document, version, hops, _trail(events), receipt)


def _of_answer(reader: Reader, answer_id: str) -> Iterator[Reading]:
    moment, wanted = _moment(answer_id), answer_id.encode()
    since, until = (Micros(moment - _BEFORE), Micros(moment + _AFTER)) if moment is not None else (None, None)

    def mentions(_: bytes, value: bytes) -> bool:
        return wanted in value

    # People judge an answer whenever they like.
    ends = {topic.name: None if topic is FEEDBACK_GIVEN else until for topic in ANSWER_WAY}
    parts = {name: Slice(since=since, until=end, keep=mentions) for name, end in ends.items()}
    found = [reading for reading in reader.read_each(parts) if _answer_id(reading.event) == answer_id]
    yield from sorted(found, key=lambda reading: list(parts).index(reading.topic))


def _with_documents(
    reader: Reader, tenant: str, citations: Iterable[Citation]
) -> Iterator[tuple[Citation, DocumentTrace | None]]:
    known: dict[tuple[str, Version], DocumentTrace | None] = {}
    for citation in citations:
        cited = (citation.document, citation.version)
        if cited not in known:
            try:
                known[cited] = trace_document(reader, citation.document, tenant, citation.version)
            except UnknownTraceError:
                known[cited] = None
        yield citation, known[cited]


def _keyed(reader: Reader, topics: Sequence[AnyTopic], key: str, since: Micros | None = None) -> list[Reading]:
    """The records about one document in the order of the way; heads have their generation in front of the key."""
    wanted = key.encode()

    def ours(found: bytes, _: bytes) -> bool:
        return found == wanted or found.endswith(b"|" + wanted)

    parts = {topic.name: Slice(since=since, partition=reader.partition_of(topic, key), keep=ours) for topic in topics}
    order = {topic.name: place for place, topic in enumerate(topics)}
    return sorted(reader.read_each(parts), key=lambda reading: order[reading.topic])


def _key_of(reader: Reader, document: str, tenant: str) -> str:
    if tenant:
        return f"{tenant}|{document}"
    suffix = f"|{document}".encode()
    for reading in reader.read(DOCUMENT_CHANGED.name, Slice(keep=lambda key, _: key.endswith(suffix))):
        if reading.event is not None and getattr(reading.event, "document", "") == document:
            return by_document(reading.event)
    raise UnknownTraceError(
        f"wanted an answer or a document {document!r}, found neither; was it published? Which --tenant?"
    )


def _version(reading: Reading) -> Version | None:
    """A change without a position of its own has that of its record."""
    event: Any = reading.event
    if isinstance(event, DocumentChanged | DocumentDeleted) and event.version is None:
        return Version(source=0, offset=reading.offset) if reading.topic == DOCUMENT_CHANGED.name else None
    found = getattr(event, "version", None)
    return found if isinstance(found, Version) else None


def _hops(found: Iterable[Reading]) -> Iterator[TracedHop]:
    """One line per topic and kind of event, in the order of the way."""
    grouped: dict[tuple[str, str], list[Reading]] = {}
    for reading in found:
        grouped.setdefault((reading.topic, type(reading.event).__name__), []).append(reading)
    for (topic, event), readings in grouped.items():
        last = readings[-1]
        trail = last.event.trail if last.event is not None else {}
        step = max(trail, key=lambda name: trail[name]) if trail else ""
        at = Micros(last.event.occurred_at or last.at) if last.event is not None else last.at
        yield TracedHop(event, topic, last.partition, last.offset, at, len(readings), step)


def _trail(events: Iterable[Event]) -> dict[str, Micros]:
    merged: dict[str, Micros] = {}
    for event in events:
        for step, moment in event.trail.items():
            merged[step] = min(merged.get(step, moment), moment)
    return dict(sorted(merged.items(), key=lambda item: item[1]))


def _question(events: Iterable[Event]) -> str:
    for event in events:
        query = getattr(event, "query", None)
        if query is not None:
            return str(query.question)
        if isinstance(event, AnswerGiven | AnswerWithheld):
            return event.question
    return ""


def _answer_id(event: Event | None) -> str:
    query = getattr(event, "query", None)
    return str(query.query_id) if query is not None else str(getattr(event, "answer_id", ""))


def _moment(what: str) -> int | None:
    """When an id of version 7 was made, in microseconds; None for anything else."""
    try:
        found = uuid.UUID(what)
    except ValueError:
        return None
    return (found.int >> 80) * 1000 if found.version == 7 else None
