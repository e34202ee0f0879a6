"""How events enter: stamped, encoded, sent to the partition of what they concern, and confirmed by the cluster."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from processors.ingest.capture import INLINE_BYTES
from processors.ports import Claims, Clock, Ids
from schemas.codec import Codec
from schemas.documents import Claim, DocumentChanged
from schemas.envelope import Event
from schemas.failures import DeadLetter
from streams import headers as names
from streams.access import require_access
from streams.clients import producer_config
from streams.errors import ClusterUnavailableError, DeliveryError, TopicMissingError
from streams.hop import AnyTopic
from streams.routing import Router
from streams.settings import Kafka

__all__ = ["INLINE_BYTES", "Entrance", "Published", "Publisher", "Upload", "document_changed"]


_POLL_S: Final = 0.1
_CLOSE_S: Final = 5.0
_AWAY: Final = frozenset({KafkaError._MSG_TIMED_OUT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT})
_GONE: Final = frozenset({KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART})


@dataclass(frozen=True)
class Entrance:
    """What an event gets where it enters the platform: an id, the time, who let it in."""

    clock: Clock
    ids: Ids
    producer_version: str = ""
    git_sha: str = ""

    def stamp(self, event: Event) -> Event:
        """The event with the envelope filled in; an id or a time that it has is kept."""
        return msgspec.structs.replace(
            event,
            event_id=event.event_id or self.ids.new(),
            occurred_at=event.occurred_at or self.clock.now(),
            producer_version=event.producer_version or self.producer_version,
            git_sha=event.git_sha or self.git_sha,
            trail=event.trail or {"capture": self.clock.now()},
        )


@dataclass(frozen=True)
class Published:
    """Where a confirmed record stands."""

    topic: str
    partition: int
    offset: int
    event_id: str


class Publisher:
    """Puts events on topics. Use one per process, from any thread, and close it.

        >>> with Publisher(settings.kafka, codec, entrance) as publisher:  # doctest: +SKIP
        ...     publisher.publish(FEEDBACK_GIVEN, FeedbackGiven(tenant="acme", answer_id="a1", rating="up"))
        Published(topic='rag.feedback.given.v1', partition=2, offset=17, event_id='0196…')

    Records of one partition keep their order, also while the cluster is away for less than `patience_s`.
    """

    def __init__(self, kafka: Kafka, codec: Codec, entrance: Entrance, patience_s: float | None = None) -> None:
        self._patience_s = patience_s or kafka.deadline_s
        self._codec = codec
        self._entrance = entrance
        require_access(kafka)
        self._producer = Producer(producer_config(kafka, **{"message.timeout.ms": int(self._patience_s * 1000)}))
        self._router = Router(self._producer, min(self._patience_s, kafka.deadline_s))
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="publisher", daemon=True)
        self._thread.start()

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def publish(self, topic: AnyTopic, event: Event, headers: Iterable[tuple[str, bytes]] = ()) -> Published:
        """Send an event and wait until the cluster has it.

        Raises DeliveryError, ClusterUnavailableError, TopicMissingError, and what encoding raises.
        """
        return self.wait(self.send(topic, event, headers))

    def send(self, topic: AnyTopic, event: Event, headers: Iterable[tuple[str, bytes]] = ()) -> Future[Published]:
        """Send an event and return at once; the future ends as `publish` does. Use it for many events."""
        stamped = self._entrance.stamp(event)
        carried = tuple(headers)
        record = {
            "topic": topic.name,
            "key": topic.key(stamped).encode(),
            "value": self._codec.encode(topic.subject, topic.events, stamped),
            "headers": list(names.of_event(stamped, carried)),
            "partition": self._router.partition(topic, stamped, carried),
        }
        return self._produce(record, stamped.event_id)

    def refuse(self, topic: AnyTopic, event: Event, reason: str, step: str) -> Future[Published]:
        """Put on the dead letters of a topic what could not be sent there, and why."""
        stamped = self._entrance.stamp(event)
        letter = DeadLetter(
            key=topic.key(stamped).encode(),
            value=self._codec.encode(topic.subject, topic.events, stamped),
            headers=names.of_event(stamped),
            reason=reason,
            exception="",
            step=step,
            topic=topic.name,
            partition=-1,
            offset=-1,
            attempts=1,
        )
        record = {
            "topic": topic.dead_letters,
            "key": letter.key,
            "value": letter.value,
            "headers": [*letter.headers, *letter.reason_headers()],
        }
        return self._produce(record, stamped.event_id)

    def prepare(self, topic: AnyTopic) -> None:
        """Ask for the schema and the partitions of a topic now, so that its first event does not wait for them."""
        self._codec.register(topic.subject, topic.events)
        self._router.count(topic.name)

    def partitions(self, topic: AnyTopic) -> int:
        """How many partitions a topic has. Raises TopicMissingError, ClusterUnavailableError."""
        return self._router.count(topic.name)

    def wait(self, sent: Future[Published]) -> Published:
        """The end of a `send`, waited for with a deadline."""
        try:
            return sent.result(self._patience_s + 1.0)
        except FutureTimeoutError as error:
            raise ClusterUnavailableError(
                f"wanted a delivery report within {self._patience_s:g} s, none came"
            ) from error

    def close(self) -> None:
        """Wait a little for what is under way, and let the client go: whoever must know waits for his futures."""
        self._producer.flush(min(self._patience_s, _CLOSE_S))
        self._closing.set()
        self._thread.join(_CLOSE_S)

    def _produce(self, record: dict[str, Any], event_id: str) -> Future[Published]:
        done: Future[Published] = Future()
        topic = record["topic"]

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is None:
                done.set_result(Published(topic, message.partition(), message.offset(), event_id))
            else:
                done.set_exception(self._undelivered(topic, error))

        try:
            self._enqueue({**record, "on_delivery": delivered})
        except KafkaException as error:
            raise self._undelivered(topic, error.args[0]) from error
        return done

    def _enqueue(self, record: dict[str, Any]) -> None:
        """Hand a record to the client; where its queue is full, wait for room: that is the bound on memory."""
        waits = max(1, int(self._patience_s / _POLL_S))
        for _ in range(waits):
            try:
                self._producer.produce(**record)
                return
            except BufferError:
                self._closing.wait(_POLL_S)
        raise ClusterUnavailableError(
            f"sending to {record['topic']!r}: the queue stayed full for {self._patience_s:g} s; is the broker there?"
        )

    def _undelivered(
        self, topic: str, error: KafkaError
    ) -> DeliveryError | ClusterUnavailableError | TopicMissingError:
        self._router.forget(topic)
        if error.code() in _AWAY:
            return ClusterUnavailableError(f"sending to {topic!r}: no broker took it within {self._patience_s:g} s")
        if error.code() in _GONE:
            return TopicMissingError(topic)
        return DeliveryError(f"sending to {topic!r}: the cluster refused it ({error.str()})")

    def _serve(self) -> None:
        while not self._closing.is_set():
            self._producer.poll(_POLL_S)


@dataclass(frozen=True)
class Upload:
    """A document as it is handed in: whose, under which name, and its bytes."""

    tenant: str
    document: str
    body: bytes
    media_type: str
    title: str = ""
    source_uri: str = ""
    access: tuple[str, ...] = ("*",)
    properties: Mapping[str, str] = field(default_factory=dict)


def document_changed(upload: Upload, claims: Claims) -> DocumentChanged:
    """The event of an upload: small bodies ride in it, large ones are left at the claim store.

    >>> from adapters.folder_claims import FolderClaims  # doctest: +SKIP
    >>> document_changed(Upload("acme", "a.txt", b"hello", "text/plain"), FolderClaims(folder)).body  # doctest: +SKIP
    b'hello'
    """
    digest = hashlib.sha256(upload.body).hexdigest()
    inline = len(upload.body) <= INLINE_BYTES
    return DocumentChanged(
        tenant=upload.tenant,
        document=upload.document,
        media_type=upload.media_type,
        body=upload.body if inline else None,
        claim=None if inline else Claim(uri=claims.put(upload.body), sha256=digest, size=len(upload.body)),
        title=upload.title,
        source_uri=upload.source_uri,
        access=upload.access,
        properties={**upload.properties, "sha256": digest},
    )
