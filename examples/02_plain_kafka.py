"""No client of ours: a question produced to `rag.query.asked.v1`, its answer consumed from `rag.answer.given.v1`.

    python examples/02_plain_kafka.py BROKERS REGISTRY_URL TENANT "QUESTION"

`headwater status` says where a local stack is. Any Kafka client in any language does the same: the value is Avro with
the Confluent framing (0x00, four bytes of schema id), its schema is the newest of the topic's subject.
"""

from __future__ import annotations

import json
import struct
import sys
import time
import uuid
from io import BytesIO
from typing import Any

import fastavro
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient

QUESTIONS, ANSWERS = "rag.query.asked.v1", "rag.answer.given.v1"
FRAME = struct.Struct(">BI")


def without_times(schema: Any) -> Any:
    """The schema with plain longs for times, so that they come and go as microseconds."""
    if isinstance(schema, dict):
        return {key: without_times(value) for key, value in schema.items() if key != "logicalType"}
    return [without_times(part) for part in schema] if isinstance(schema, list) else schema


def encode(registry: SchemaRegistryClient, event: dict[str, Any]) -> bytes:
    newest = registry.get_latest_version(f"{QUESTIONS}-value")
    out = BytesIO(FRAME.pack(0, newest.schema_id))
    out.seek(FRAME.size)
    schema = fastavro.parse_schema(without_times(json.loads(newest.schema.schema_str)))
    fastavro.schemaless_writer(out, schema, ("rag.queries.v1.QueryAsked", event))
    return out.getvalue()


def decode(registry: SchemaRegistryClient, value: bytes) -> dict[str, Any]:
    source = BytesIO(value)
    _, schema_id = FRAME.unpack(source.read(FRAME.size))
    schema = fastavro.parse_schema(without_times(json.loads(registry.get_schema(schema_id).schema_str)))
    record: dict[str, Any] = fastavro.schemaless_reader(source, schema, None)
    return record


def answers_from_now(brokers: str) -> Consumer:
    """A consumer at the end of the topic, made before the question is asked: it can't miss the answer."""
    consumer = Consumer(
        {"bootstrap.servers": brokers, "group.id": f"plain-{uuid.uuid4()}", "enable.auto.commit": False}
    )
    partitions = consumer.list_topics(ANSWERS, timeout=10).topics[ANSWERS].partitions
    places = [TopicPartition(ANSWERS, partition) for partition in partitions]
    for place in places:
        place.offset = consumer.get_watermark_offsets(place, timeout=10)[1]
    consumer.assign(places)
    return consumer


def main(brokers: str, registry_url: str, tenant: str, question: str) -> int:
    registry = SchemaRegistryClient({"url": registry_url})
    consumer = answers_from_now(brokers)
    # murmur2 is what every Java client uses: with it, questions of a session stay in order.
    producer = Producer({"bootstrap.servers": brokers, "partitioner": "murmur2_random", "linger.ms": 0})
    query_id = str(uuid.uuid4())
    deadline = time.time() + 20
    query = {"query_id": query_id, "question": question, "deadline_at": int(deadline * 1e6)}
    value = encode(registry, {"tenant": tenant, "event_id": query_id, "query": query})
    producer.produce(QUESTIONS, value, key=query_id)
    producer.flush(10)
    while time.time() < deadline:
        message = consumer.poll(0.2)
        if message is None or message.error() or message.key() != query_id.encode():
            continue
        answer = decode(registry, message.value() or b"")
        print(answer.get("text") or answer["message"])
        for citation in answer.get("citations", ()):
            print(f"  [{citation['number']}] {citation['document']}: {citation['quote']}")
        consumer.close()
        return 0
    consumer.close()
    print("no answer within 20 s; does a worker run?", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:5]))
