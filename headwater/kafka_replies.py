"""The replies to one client over Kafka: one partition of the reply topics, sorted into mailboxes by question."""

from __future__ import annotations

import logging
import queue
import random
import threading
import uuid
from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from headwater.errors import (
    AnswerExpiredError,
    GatewayUnavailableError,
    QuestionCancelledError,
    QuestionRefusedError,
    TenantUnknownError,
)
from headwater.registry_schemas import RegistrySchemas
from headwater.values import Answer, Delta, answer_of

__all__ = ["Replies", "client_settings", "partitions_of", "reply_of"]

ANSWERS: Final = "rag.answer.given.v1"
DELTAS: Final = "rag.answer.delta.v1"
METADATA_S: Final = 5.0

_LOGGER: Final = logging.getLogger("headwater.kafka")
_LOGGER.addHandler(logging.NullHandler())

_POLL_S: Final = 0.1
_JOIN_S: Final = 10.0
_REFUSALS: Final = {
    "cancelled": QuestionCancelledError,
    "expired": AnswerExpiredError,
    "overloaded": GatewayUnavailableError,
    "unavailable": GatewayUnavailableError,
    "unknown_tenant": TenantUnknownError,
    "invalid_question": QuestionRefusedError,
    "refused": QuestionRefusedError,
}


def client_settings(bootstrap: str) -> dict[str, Any]:
    """What every client of Kafka gets: its lines go to a logger of ours, for the application to show or not."""
    return {"bootstrap.servers": bootstrap, "logger": _LOGGER, "reconnect.backoff.max.ms": 1_000}


class Replies:
    """Reads one partition of the reply topics in a thread and sorts what comes into mailboxes."""

    def __init__(self, bootstrap: str, schemas: RegistrySchemas) -> None:
        self._schemas = schemas
        self._boxes: dict[str, queue.Queue[Delta | Answer | Exception]] = {}
        self._stop = threading.Event()
        self._consumer = Consumer(
            {
                **client_settings(bootstrap),
                "group.id": f"headwater.client.{uuid.uuid4()}",
                "enable.auto.commit": False,
                "auto.offset.reset": "latest",
                "isolation.level": "read_uncommitted",
            }
        )
        self.partition = self._assign(bootstrap)
        self._thread = threading.Thread(target=self._run, name="headwater-replies", daemon=True)
        self._thread.start()

    def open(self, query_id: str) -> queue.Queue[Delta | Answer | Exception]:
        return self._boxes.setdefault(query_id, queue.Queue())

    def close_box(self, query_id: str) -> None:
        self._boxes.pop(query_id, None)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(_JOIN_S)
        self._consumer.close()

    def _assign(self, bootstrap: str) -> int:
        """The end, known as a number: one that is resolved at the first fetch would miss an answer given before it."""
        try:
            partition = random.randrange(min(partitions_of(self._consumer, topic) for topic in (ANSWERS, DELTAS)))
            places = [TopicPartition(topic, partition) for topic in (ANSWERS, DELTAS)]
            ends = [self._consumer.get_watermark_offsets(place, timeout=METADATA_S)[1] for place in places]
            self._consumer.assign(
                [TopicPartition(p.topic, partition, end) for p, end in zip(places, ends, strict=True)]
            )
        except KafkaException as error:
            self._consumer.close()
            raise GatewayUnavailableError(
                f"the brokers at {bootstrap} can't be reached: {error.args[0].str()}"
            ) from error
        return partition

    def _run(self) -> None:
        while not self._stop.is_set():
            first = self._consumer.poll(_POLL_S)
            if first is not None:
                for message in (first, *self._consumer.consume(499, 0)):
                    self._sort(message)

    def _sort(self, message: Message) -> None:
        box = self._boxes.get((message.key() or b"").decode(errors="replace")) if message.error() is None else None
        if box is None:
            return
        try:
            box.put(reply_of(self._schemas.decode(message.value() or b"")))
        except Exception as error:
            box.put(error)


def reply_of(event: Mapping[str, Any]) -> Delta | Answer:
    if "query_id" in event:
        return Delta(index=event["index"], text=event["text"])
    if "reason" not in event:
        return answer_of(event)
    reason = str(event["reason"])
    if reason in _REFUSALS:
        raise _REFUSALS[reason](str(event["message"]))
    return answer_of({**event, "text": event["message"], "withheld": reason})


def partitions_of(client: Any, topic: str) -> int:
    try:
        found = client.list_topics(topic, timeout=METADATA_S).topics.get(topic)
    except KafkaException as error:
        raise GatewayUnavailableError(f"the brokers can't be reached: {error.args[0].str()}") from error
    if found is None or found.error is not None or not found.partitions:
        raise GatewayUnavailableError(f"wanted topic {topic!r}, the brokers have none; run: headwater topics ensure")
    return len(found.partitions)
