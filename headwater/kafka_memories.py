"""Notes of a user, read from the topic of notes: the whole topic, as a gateway reads it once."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from headwater.errors import GatewayUnavailableError
from headwater.kafka_replies import METADATA_S, client_settings, partitions_of
from headwater.registry_schemas import RegistrySchemas
from headwater.values import Memory

__all__ = ["NOTES", "Notes", "notes_of", "owner_of"]

NOTES: Final = "rag.memory.kept.v1"
READ_S: Final = 20.0

_POLL_S: Final = 0.1
_MICROS: Final = 1_000_000
_OWNER_DIGITS: Final = 32


@dataclass
class Notes:
    """The notes of one user, oldest first, and the names of all that there are or were and that were not erased."""

    kept: tuple[Memory, ...] = ()
    names: frozenset[str] = frozenset()


@dataclass
class _Folded:
    kept: dict[str, Memory] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    erased: set[str] = field(default_factory=set)


def owner_of(tenant: str, user: str) -> str:
    """Whose notes and sessions they are, as the platform says it.

    >>> owner_of("acme", "ada") == owner_of("globex", "ada")
    False
    """
    return hashlib.sha256(json.dumps([tenant, "user", [user]]).encode()).hexdigest()[:_OWNER_DIGITS]


def notes_of(bootstrap: str, schemas: RegistrySchemas, tenant: str, user: str) -> Notes:
    """What was written of a user's notes until now. Raises GatewayUnavailableError."""
    prefix = f"{tenant}|memory/{owner_of(tenant, user)}/"
    folded = _Folded()
    for key, value in _records(bootstrap):
        if key.startswith(prefix):
            _fold(folded, key.removeprefix(prefix), schemas.decode(value) if value else None, (tenant, user))
    kept = sorted(folded.kept.values(), key=lambda note: (note.kept_at, note.memory))
    return Notes(tuple(kept), frozenset(folded.kept) | frozenset(folded.gone - folded.erased))


def _fold(folded: _Folded, memory: str, event: dict[str, Any] | None, whose: tuple[str, str]) -> None:
    if event is None or "text" not in event:
        folded.kept.pop(memory, None)
        folded.gone.add(memory)
        folded.erased |= {memory} if event is None else set()
    elif memory not in folded.gone:
        folded.kept[memory] = Memory(memory, str(event["text"]), *whose, _seconds(event["occurred_at"]))


def _seconds(moment: Any) -> float:
    return float(moment.timestamp()) if hasattr(moment, "timestamp") else float(moment) / _MICROS


def _records(bootstrap: str) -> list[tuple[str, bytes | None]]:
    """Key and value of every record that was written until now, in the order of each partition."""
    consumer = Consumer(
        {
            **client_settings(bootstrap),
            "group.id": f"headwater.client.{uuid.uuid4()}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    try:
        places = [TopicPartition(NOTES, number) for number in range(partitions_of(consumer, NOTES))]
        ends = {place.partition: consumer.get_watermark_offsets(place, timeout=METADATA_S)[1] for place in places}
        consumer.assign([TopicPartition(NOTES, place.partition, OFFSET_BEGINNING) for place in places])
        return list(_until(consumer, ends))
    except KafkaException as error:
        raise GatewayUnavailableError(f"the brokers at {bootstrap} can't be reached: {error.args[0].str()}") from error
    finally:
        consumer.close()


def _until(consumer: Any, ends: dict[int, int]) -> list[tuple[str, bytes | None]]:
    found: list[tuple[str, bytes | None]] = []
    left = {partition for partition, end in ends.items() if end}
    deadline = time.monotonic() + READ_S
    while left:
        if time.monotonic() > deadline:
            raise GatewayUnavailableError(f"the topic {NOTES!r} could not be read within {READ_S:g} s")
        first = consumer.poll(_POLL_S)
        for message in [] if first is None else [first, *consumer.consume(499, 0)]:
            if _reached(message) >= ends[message.partition()]:
                left.discard(message.partition())
            if message.error() is None:
                found.append(((message.key() or b"").decode(errors="replace"), message.value()))
    return found


def _reached(message: Message) -> int:
    """Up to where a partition is read by a message: the end of one is told without a record."""
    error = message.error()
    if error is None:
        return int(message.offset() or 0) + 1
    return int(message.offset() or 0) if error.code() == KafkaError._PARTITION_EOF else 0
