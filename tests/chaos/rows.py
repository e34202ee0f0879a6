"""A record as the checker sees it, and the reading of whole topics.

Every record of a run carries a key, the number it has under its key, and the attempt (the transaction) that wrote it.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from schemas.codec import Codec, SchemaError
from schemas.measures import FeedbackGiven
from schemas.rendering import wire_text
from streams import headers as names
from streams.clients import client_config, consumer_config
from streams.settings import load
from topics.topic import Topic

ATTEMPT: Final = "attempt"
"""Header: who wrote the record and in which of its transactions."""
SEQ: Final = "seq"
"""Header of source records: the number under the key, readable where the value is not (poison)."""
ASK_S: Final = 30.0


class TopicUnreadError(Exception):
    """A topic could not be read to its end in time."""


@dataclass(frozen=True, slots=True)
class Row:
    """One record: where it stands, what it says, who wrote it in which attempt. `seq` is -1 where it has none."""

    topic: str
    partition: int
    offset: int
    key: str
    seq: int
    attempt: str = ""
    producer: str = ""
    event_id: str = ""

    @property
    def what(self) -> tuple[str, int]:
        """What it says: its key and its number."""
        return (self.key, self.seq)


class ChaosSchemaIds:
    """Schema ids that are equal in all processes of a run, without a registry: the SchemaIds port over one schema."""

    ID: Final = 1

    def id_of(self, subject: str, schema: str) -> int:
        return self.ID

    def schema_of(self, schema_id: int) -> str:
        return wire_text((FeedbackGiven,))


def by_answer(event: FeedbackGiven) -> str:
    return event.answer_id


def feedback_topic(name: str) -> Topic[FeedbackGiven]:
    """The declaration of a topic of the harness: plain events, keyed by their answer's id."""
    return Topic(name, (FeedbackGiven,), by_answer)


def event_of(key: str, seq: int) -> FeedbackGiven:
    """What the source says: ids are unique and say what they are."""
    return FeedbackGiven(tenant="acme", event_id=f"{key}/{seq}", answer_id=key, rating="up", comment=str(seq))


CODEC: Final = Codec(ChaosSchemaIds())


def row_of(message: Message) -> Row:
    """The row of a message; what can't be decoded has the numbers that its source put into the headers."""
    headers = message.headers()
    key = (message.key() or b"").decode(errors="replace")
    seq, event_id = names.number(headers, SEQ), ""
    try:
        event = CODEC.decode(message.value() or b"", (FeedbackGiven,))
        if isinstance(event, FeedbackGiven):
            key, seq, event_id = event.answer_id, int(event.comment), event.event_id
    except (SchemaError, ValueError):
        pass
    attempt = (names.value(headers, ATTEMPT) or b"").decode()
    producer = attempt.rpartition("/")[0]
    seq = -1 if seq is None else seq
    return Row(str(message.topic()), message.partition(), message.offset(), key, seq, attempt, producer, event_id)


def make_topics(bootstrap: str, partitions: dict[str, int], replication: int = 1) -> None:
    """Creates topics, each with its number of partitions."""
    admin = AdminClient(client_config(load(kafka={"bootstrap": bootstrap}).kafka))
    wanted = [NewTopic(name, count, replication) for name, count in partitions.items()]
    for future in admin.create_topics(wanted).values():
        future.result(30.0)


def consumer_of(bootstrap: str, **more: Any) -> Any:
    """A consumer that belongs to no group's assignment: it is told what to read."""
    return Consumer(consumer_config(load(kafka={"bootstrap": bootstrap}).kafka, f"read-{uuid.uuid4().hex[:8]}", **more))


def partitions_of(consumer: Any, topic: str) -> list[int]:
    """The partitions of a topic; one that was made just now may take a moment. Raises TopicUnreadError."""
    until = time.monotonic() + ASK_S
    while time.monotonic() < until:
        with contextlib.suppress(KafkaException):
            found = consumer.list_topics(topic, timeout=ASK_S).topics.get(topic)
            if found is not None and found.error is None and found.partitions:
                return sorted(found.partitions)
        time.sleep(0.1)
    raise TopicUnreadError(f"nobody knows the partitions of {topic!r} after {ASK_S:g} s")


def ends(bootstrap: str, topic: str, *, committed: bool = False) -> dict[int, int]:
    """Per partition the offset after the last record, aborted ones, markers and open transactions included.

    Committed, it is the last stable offset: how far readers of committed records get now.
    """
    level = "read_committed" if committed else "read_uncommitted"
    with consumer_of(bootstrap, **{"isolation.level": level}) as asking:
        found = {}
        for partition in partitions_of(asking, topic):
            found[partition] = asking.get_watermark_offsets(TopicPartition(topic, partition), timeout=ASK_S)[1]
        return found


def read_topic(bootstrap: str, topic: str, *, committed: bool = True, within_s: float = 60.0) -> list[Row]:
    """Every row of a topic from 0 to its end as it is now.

    Committed, it waits for transactions that are still open there: behind one, nobody reads anything.
    Raises TopicUnreadError.
    """
    wanted = ends(bootstrap, topic)
    level = "read_committed" if committed else "read_uncommitted"
    rows, until = list[Row](), time.monotonic() + within_s
    with consumer_of(bootstrap, **{"isolation.level": level}) as consumer:
        consumer.assign([TopicPartition(topic, partition, 0) for partition in wanted])
        while (left := unread(consumer, topic, wanted)) and time.monotonic() < until:
            rows += [row_of(message) for message in consumer.consume(500, 0.2) if usable(message)]
    if left:
        raise TopicUnreadError(f"reading {topic!r} to its end took more than {within_s:g} s; left: {left}")
    return [row for row in rows if row.offset < wanted[row.partition]]


def usable(message: Message) -> bool:
    """Whether a message is a record; an error that only says to wait is none. Raises KafkaException for the rest."""
    error = message.error()
    if error is not None and (error.fatal() or error.code() == KafkaError._FATAL):
        raise KafkaException(error)
    return error is None


def unread(consumer: Any, topic: str, wanted: dict[int, int]) -> dict[int, tuple[int, int]]:
    """The partitions in which a consumer does not stand at the end yet: where it stands, where the end is."""
    at = {one.partition: one.offset for one in consumer.position([TopicPartition(topic, p) for p in wanted])}
    return {p: (at[p], end) for p, end in wanted.items() if end > 0 and at[p] < end}


def drained(bootstrap: str, group: str, topic: str) -> bool:
    """Whether a group has committed everything there is on a topic (which must not be written in transactions)."""
    end = ends(bootstrap, topic)
    with consumer_of(bootstrap, **{"group.id": group}) as asking:
        found = asking.committed([TopicPartition(topic, partition) for partition in end], timeout=ASK_S)
    return all(max(one.offset, 0) >= end[one.partition] for one in found)


def by_partition(rows: Iterable[Row]) -> dict[tuple[str, int], list[Row]]:
    """Rows by the partition they stand in, in the order of the log."""
    grouped: dict[tuple[str, int], list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.offset):
        grouped.setdefault((row.topic, row.partition), []).append(row)
    return grouped
