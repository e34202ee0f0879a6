"""What is told of a standing question, read from its partition of the topic of changed answers."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition, murmur2

from headwater.errors import GatewayUnavailableError
from headwater.kafka_replies import METADATA_S, client_settings, partitions_of
from headwater.registry_schemas import RegistrySchemas
from headwater.values import Change, Following, change_of

__all__ = ["changes_of"]

CHANGED: Final = "rag.answer.changed.v1"
_POLL_S: Final = 0.1


def changes_of(
    bootstrap: str, schemas: RegistrySchemas, following: Following, left: threading.Event
) -> Iterator[Change]:
    """The changes of one question, until the time is over or `left` is set. Raises GatewayUnavailableError."""
    key = f"{following.tenant}|{following.question_id}".encode()
    ends_at = time.monotonic() + following.for_s if following.for_s else float("inf")
    consumer = Consumer(
        {
            **client_settings(bootstrap),
            "group.id": f"headwater.client.{uuid.uuid4()}",
            "enable.auto.commit": False,
            # What was told in a transaction that did not end was not told.
            "isolation.level": "read_committed",
        }
    )
    try:
        _assign(consumer, bootstrap, key, following.since_s)
        while not left.is_set() and time.monotonic() < ends_at:
            mine = [value for message in _batch(consumer) if message.key() == key and (value := message.value())]
            yield from (change_of(schemas.decode(value)) for value in mine)
    finally:
        consumer.close()


def _assign(consumer: Any, bootstrap: str, key: bytes, since_s: float) -> None:
    place = TopicPartition(CHANGED, int(murmur2(key, partitions_of(consumer, CHANGED))))
    try:
        end = consumer.get_watermark_offsets(place, timeout=METADATA_S)[1]
        place.offset = int((time.time() - since_s) * 1000)
        (found,) = consumer.offsets_for_times([place], timeout=METADATA_S)
        # A number, not "the end": that would be resolved at the first fetch, and miss what came before it.
        place.offset = found.offset if found.offset >= 0 else end
        consumer.assign([place])
    except KafkaException as error:
        raise GatewayUnavailableError(f"the brokers at {bootstrap} can't be reached: {error.args[0].str()}") from error


def _batch(consumer: Any) -> list[Message]:
    first = consumer.poll(_POLL_S)
    found = [] if first is None else [first, *consumer.consume(99, 0)]
    return [message for message in found if message.error() is None]
