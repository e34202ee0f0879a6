"""Takes the heads of a retired generation out of their compacted topic: a tombstone for every key it has there."""

from __future__ import annotations

from typing import Final

from confluent_kafka import Producer

from processors.ports import Clock
from schemas.codec import Codec
from schemas.documents import DocumentHead
from streams.clients import producer_config
from streams.errors import ClusterUnavailableError
from streams.reading import Reader, Slice
from streams.settings import Settings
from topics.ingest import DOCUMENT_HEAD

__all__ = ["bury_heads"]

_FLUSH_EVERY: Final = 10_000


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
