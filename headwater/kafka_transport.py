"""Straight over Kafka: questions and documents as records on the platform's topics, answers read from a partition.

Schemas come from the registry by subject, so this module knows field names and no classes of the platform.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from headwater.errors import (
    AnswerExpiredError,
    ClientError,
    DocumentRefusedError,
    GatewayUnavailableError,
    MemoryRefusedError,
    MemoryUnknownError,
    MissingPackageError,
    ProtocolError,
)
from headwater.kafka_changes import changes_of
from headwater.kafka_memories import NOTES, Notes, notes_of, owner_of
from headwater.kafka_replies import Replies, client_settings, partitions_of
from headwater.registry_schemas import RegistrySchemas
from headwater.values import (
    Answer,
    Change,
    Delta,
    Document,
    Feedback,
    Following,
    Forgotten,
    Memory,
    Question,
    Receipt,
    Subscription,
)

try:
    from confluent_kafka import KafkaException, Message, Producer, murmur2
except ImportError as missing:  # pragma: no cover - the base install has it
    raise MissingPackageError(
        f"asking over Kafka needs {missing.name!r}, which is not installed; run: uv pip install headwater"
    ) from missing

__all__ = ["KafkaTransport"]

QUESTIONS: Final = "rag.query.asked.v1"
BULK_QUESTIONS: Final = "rag.query.asked.bulk.v1"
CANCELLATIONS: Final = "rag.query.cancelled.v1"
DOCUMENTS: Final = "rag.document.changed.v1"
FEEDBACK: Final = "rag.feedback.given.v1"
STANDING: Final = "rag.question.standing.v1"
ERASURES: Final = "rag.erasure.requested.v1"

SEND_S: Final = 10.0
INLINE_BYTES: Final = 256_000
"""Larger bodies go by claim check, which needs the platform's own store: the gateway does that."""

_POLL_S: Final = 0.1
# Whoever leaves does not wait for long to have said so.
_LEAVE_S: Final = 1.0


class KafkaTransport:
    """The topics, for threads. One consumer reads one partition of the replies; questions name it in a header."""

    def __init__(self, bootstrap: str, registry: str) -> None:
        self._schemas = RegistrySchemas(registry)
        self._bootstrap = bootstrap
        self._producer = Producer(
            {
                **client_settings(bootstrap),
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 0,
                "message.timeout.ms": int(SEND_S * 1000),
            }
        )
        self._replies: Replies | None = None
        self._opening = threading.Lock()

    def ask(self, question: Question) -> Answer:
        for piece in self.ask_stream(question):
            if isinstance(piece, Answer):
                return piece
        raise ProtocolError("wanted an answer, the replies ended before it")

    def ask_stream(self, question: Question, left: threading.Event | None = None) -> Iterator[Delta | Answer]:
        """Deltas and the answer. Raises at the deadline, also where the platform does not say so itself.

        Whoever closes it before the answer, or sets `left` from another thread, has cancelled the question.
        """
        replies = self._open()
        query_id = _new_id()
        waiting = _Waiting(replies.open(query_id), time.monotonic() + question.timeout_s, left or threading.Event())
        answered = False
        try:
            self._send_question(question, query_id, replies.partition)
            for piece in _in_order(waiting):
                answered = isinstance(piece, Answer)
                yield piece
        except (GeneratorExit, KeyboardInterrupt):
            if not answered:
                self._cancel(question, query_id)
            raise
        except _LeftError:
            self._cancel(question, query_id)
        finally:
            replies.close_box(query_id)

    def publish(self, document: Document) -> Receipt:
        if len(document.body) > INLINE_BYTES:
            raise DocumentRefusedError(
                f"wanted a document of at most {INLINE_BYTES} bytes over Kafka, got {len(document.body)}; "
                'publish it over HTTP: Client("http://host:port")'
            )
        event = {
            "tenant": document.tenant,
            "document": document.document,
            "media_type": document.media_type,
            "body": document.body,
            "title": document.title,
            "source_uri": document.source_uri,
            "access": list(document.access),
            "properties": dict(document.properties),
        }
        key = f"{document.tenant}|{document.document}"
        # The same key gives the same id as the gateway would: a repeat is recognised by it.
        event_id = _named_id(document.tenant, document.idempotency_key) if document.idempotency_key else _new_id()
        return self._send(DOCUMENTS, "DocumentChanged", key, {**event, "event_id": event_id})

    def delete(self, tenant: str, document: str) -> Receipt:
        event = {"tenant": tenant, "document": document, "reason": "deleted by an application", "event_id": _new_id()}
        return self._send(DOCUMENTS, "DocumentDeleted", f"{tenant}|{document}", event)

    def feedback(self, feedback: Feedback) -> Receipt:
        event = {
            "tenant": feedback.tenant,
            "answer_id": feedback.answer_id,
            "rating": feedback.rating,
            "comment": feedback.comment,
            "correction": feedback.correction,
            "event_id": _new_id(),
        }
        return self._send(FEEDBACK, "FeedbackGiven", feedback.answer_id, event)

    def subscribe(self, subscription: Subscription) -> Receipt:
        query = {
            "query_id": "",
            "question": subscription.question,
            "user": subscription.user,
            "groups": list(subscription.groups),
            "filters": dict(subscription.filters),
            "max_passages": subscription.max_passages,
        }
        return self._stand(subscription.tenant, subscription.question_id, query, active=True)

    def unsubscribe(self, tenant: str, question_id: str) -> Receipt:
        return self._stand(tenant, question_id, {"query_id": "", "question": ""}, active=False)

    def changes(self, following: Following, left: threading.Event | None = None) -> Iterator[Change]:
        return changes_of(self._bootstrap, self._schemas, following, left or threading.Event())

    def remember(self, note: Memory) -> Receipt:
        if note.memory in (held := self._notes(note.tenant, note.user)).names - {one.memory for one in held.kept}:
            raise MemoryRefusedError(f"the note {note.memory!r} was forgotten, and its name does not come back")
        return self._note("MemoryKept", note.tenant, note.user, {"memory": note.memory, "text": note.text})

    def memories(self, tenant: str, user: str) -> tuple[Memory, ...]:
        return self._notes(tenant, user).kept

    def forget(self, note: Memory) -> Receipt:
        if all(one.memory != note.memory for one in self.memories(note.tenant, note.user)):
            raise MemoryUnknownError(f"wanted a note of this user, got {note.memory!r}; list them")
        fields = {"memory": note.memory, "reason": "forgotten by an application"}
        return self._note("MemoryForgotten", note.tenant, note.user, fields)

    def forget_user(self, tenant: str, user: str) -> Forgotten:
        names = sorted(self._notes(tenant, user).names)
        reason = "the user is to be forgotten"
        fields = {"reason": reason, "erase": True}
        sent = [self._note("MemoryForgotten", tenant, user, {"memory": name, **fields}) for name in names]
        document = f"memory/{owner_of(tenant, user)}"
        event = {"tenant": tenant, "document": document, "reason": reason, "event_id": _new_id()}
        sent.append(self._send(ERASURES, "ErasureRequested", f"{tenant}|{document}", event))
        return Forgotten(len(names), tuple(one.event_id for one in sent))

    def close(self) -> None:
        if self._replies is not None:
            self._replies.close()
        self._producer.flush(SEND_S)
        self._schemas.close()

    def _send_question(self, question: Question, query_id: str, partition: int) -> None:
        deadline = _micros() + int(question.timeout_s * 1e6)
        query = {
            "query_id": query_id,
            "question": question.question,
            "session": question.session,
            "user": question.user,
            "groups": list(question.groups),
            "filters": dict(question.filters),
            "max_passages": question.max_passages,
            "lane": question.lane,
            "memory": question.memory,
            "deadline_at": deadline,
        }
        headers = [("deadline", str(deadline).encode()), ("reply-partition", str(partition).encode())]
        event = {"tenant": question.tenant, "event_id": query_id, "query": query}
        topic = BULK_QUESTIONS if question.lane == "bulk" else QUESTIONS
        headers.append(("lane", question.lane.encode()))
        self._send(topic, "QueryAsked", question.session or query_id, event, headers)

    def _stand(self, tenant: str, question_id: str, query: Mapping[str, Any], active: bool) -> Receipt:
        event = {
            "tenant": tenant,
            "event_id": _new_id(),
            "question_id": question_id,
            "query": query,
            "active": active,
        }
        return self._send(STANDING, "QuestionStanding", f"{tenant}|{question_id}", event)

    def _notes(self, tenant: str, user: str) -> Notes:
        return notes_of(self._bootstrap, self._schemas, tenant, user)

    def _note(self, name: str, tenant: str, user: str, fields: Mapping[str, Any]) -> Receipt:
        owner = owner_of(tenant, user)
        event = {"tenant": tenant, "event_id": _new_id(), "owner": owner, **fields}
        return self._send(NOTES, name, f"{tenant}|memory/{owner}/{fields['memory']}", event)

    def _cancel(self, question: Question, query_id: str) -> None:
        """Best effort: where it can't be said, the platform works on until the deadline."""
        event = {
            "tenant": question.tenant,
            "event_id": _derived_id(f"{query_id}/cancel/0"),
            "query_id": query_id,
            "deadline_at": _micros() + int(question.timeout_s * 1e6),
        }
        with contextlib.suppress(ClientError):
            self._send(CANCELLATIONS, "QueryCancelled", query_id, event, patience_s=_LEAVE_S)

    def _send(
        self,
        topic: str,
        name: str,
        key: str,
        event: Mapping[str, Any],
        headers: Iterable[tuple[str, bytes]] = (),
        patience_s: float = SEND_S + 1.0,
    ) -> Receipt:
        value = self._schemas.encode(f"{topic}-value", name, {"occurred_at": _micros(), **event})
        own = [("tenant", str(event["tenant"]).encode()), ("event-id", str(event["event_id"]).encode())]
        reports: list[tuple[Any, Message]] = []
        try:
            self._producer.produce(
                topic,
                value=value,
                key=key.encode(),
                partition=int(murmur2(key.encode(), partitions_of(self._producer, topic))),
                headers=[*own, *headers],
                on_delivery=lambda error, message: reports.append((error, message)),
            )
        except (BufferError, KafkaException) as error:
            raise self._away(f"sending to {topic!r}: {error}") from error
        deadline = time.monotonic() + patience_s
        while not reports and time.monotonic() < deadline:
            self._producer.poll(_POLL_S)
        if not reports or reports[0][0] is not None:
            cause = reports[0][0].str() if reports else "no delivery report"
            raise self._away(f"sending to {topic!r}: {cause}")
        message = reports[0][1]
        return Receipt(str(event["event_id"]), topic, int(message.partition() or 0), int(message.offset() or 0))

    def _open(self) -> Replies:
        with self._opening:
            if self._replies is None:
                self._replies = Replies(self._bootstrap, self._schemas)
            return self._replies

    def _away(self, what: str) -> GatewayUnavailableError:
        return GatewayUnavailableError(f"{what}; are the brokers at {self._bootstrap} running?")


class _LeftError(Exception):
    """Whoever asked has left, and said so from another thread."""


@dataclass(frozen=True)
class _Waiting:
    """What one question waits with."""

    mailbox: queue.Queue[Delta | Answer | Exception]
    deadline: float
    left: threading.Event


def _in_order(waiting: _Waiting) -> Iterator[Delta | Answer]:
    """What comes, each delta once. An answer may overtake its last deltas: what they would have shown comes as one."""
    shown, next_index = "", 0
    while True:
        piece = _piece(waiting)
        if isinstance(piece, Answer):
            rest = piece.text.removeprefix(shown)
            if piece.answered and rest and piece.text.startswith(shown):
                yield Delta(next_index, rest)
            yield piece
            return
        if piece.index >= next_index:
            shown, next_index = shown + piece.text, piece.index + 1
            yield piece


def _piece(waiting: _Waiting) -> Delta | Answer:
    while not waiting.left.is_set():
        left_s = waiting.deadline - time.monotonic()
        try:
            piece = waiting.mailbox.get(timeout=min(max(left_s, 0.0), _POLL_S))
        except queue.Empty as error:
            if left_s > 0:
                continue
            raise AnswerExpiredError(
                "no answer came before the deadline; do the workers run (`headwater status`)?"
            ) from error
        if isinstance(piece, Exception):
            raise piece
        return piece
    raise _LeftError


def _micros() -> int:
    return time.time_ns() // 1000


def _new_id() -> str:
    """A UUIDv7 (RFC 9562): its first 48 bits are the time, so that a trace knows where to look."""
    random_bits = int.from_bytes(os.urandom(10), "big")
    value = (time.time_ns() // 1_000_000) << 80 | 0x7 << 76 | (random_bits >> 68 & 0xFFF) << 64
    return str(uuid.UUID(int=value | 0x2 << 62 | random_bits & (1 << 62) - 1))


def _named_id(tenant: str, key: str) -> str:
    return _derived_id(f"{tenant}|{key}/publish/0")


def _derived_id(name: str) -> str:
    return str(uuid.uuid5(uuid.UUID("8f1a2c0e-3b74-5d1e-9c55-6a1f0d2b7e90"), name))
