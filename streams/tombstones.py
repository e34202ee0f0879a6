"""The end of a generation: nobody writes it any more, then a tombstone for every key that its heads have."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from processors.ports import Clock
from schemas.codec import Codec
from schemas.documents import DocumentHead
from streams.clients import client_config, producer_config
from streams.errors import ClusterUnavailableError
from streams.reading import Reader, Slice
from streams.settings import Kafka, Settings
from topics.ingest import DOCUMENT_HEAD

__all__ = ["await_nobody", "bury_heads"]

_FLUSH_EVERY: Final = 10_000
_LOOK_AGAIN_S: Final = 0.2
_NO_GROUP: Final = frozenset({KafkaError.GROUP_ID_NOT_FOUND, KafkaError.INVALID_GROUP_ID})


def await_nobody(kafka: Kafka, groups: Sequence[str], clock: Clock, within_s: float) -> list[str]:
    """Waits until no worker is a member of these groups; returns those that still have one when time is up."""
    admin = AdminClient(client_config(kafka))
    until = clock.monotonic() + within_s
    while True:
        asked = admin.describe_consumer_groups(list(groups), request_timeout=kafka.deadline_s)
        left = [group for group in groups if _has_members(asked[group], kafka.deadline_s)]
        if not left or clock.monotonic() > until:
            return left
        threading.Event().wait(_LOOK_AGAIN_S)


def _has_members(asked: Future[Any], deadline_s: float) -> bool:
    try:
        return bool(asked.result(deadline_s).members)
    except KafkaException as error:
        if error.args[0].code() in _NO_GROUP:
            return False
        raise ClusterUnavailableError(f"asking for the members of a group: {error.args[0].str()}") from error


def bury_heads(settings: Settings, codec: Codec, clock: Clock, generation: str) -> int:
    """Writes the tombstones and returns how many; heads that were buried before are left alone.

    Use it once nobody writes heads of the generation any more: a head behind its tombstone would stay.
    Raises ClusterUnavailableError where not all were confirmed.
    """
    prefix = f"{generation}|".encode()
    living: dict[bytes, int] = {}
    with Reader(settings.kafka, codec, clock) as reader:
        for reading in reader.read(DOCUMENT_HEAD.name, Slice(keep=lambda key, _: key.startswith(prefix))):
            key = reading.key.encode()
            if reading.value is None:
                living.pop(key, None)
            elif isinstance(reading.event, DocumentHead):
                living[key] = reading.partition
    producer = Producer(producer_config(settings.kafka, **{"linger.ms": 10}))
    for count, (key, partition) in enumerate(sorted(living.items()), start=1):
        producer.produce(DOCUMENT_HEAD.name, value=None, key=key, partition=partition)
        if count % _FLUSH_EVERY == 0:
            producer.flush(settings.kafka.deadline_s)
    if left := producer.flush(settings.kafka.deadline_s):
        raise ClusterUnavailableError(f"{left} of {len(living)} tombstones were not confirmed; run this again")
    return len(living)
