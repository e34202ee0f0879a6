"""A plain aiokafka loop, bytes in, bytes out, as its documentation shows: getmany, send, commit (or a transaction).

default: every client setting at its default, one batch after the other.
fast: uvloop; larger fetches (8 MB a partition) and producer batches (256 kB, linger 5 ms).
prompt: uvloop; no linger, a short fetch wait, session and transaction timeout of the other contenders.
"""

import asyncio
import json
import signal
import sys
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

WAIT_MS = 200


def consumer_of(config: dict[str, Any]) -> AIOKafkaConsumer:
    tuning = {
        "default": {},
        "fast": {"max_partition_fetch_bytes": 8_000_000, "fetch_max_bytes": 64_000_000},
        "prompt": {
            "fetch_max_wait_ms": 100,
            "session_timeout_ms": config["session_ms"],
            "heartbeat_interval_ms": config["session_ms"] // 3,
        },
    }[config["tuning"]]
    return AIOKafkaConsumer(
        config["source"],
        bootstrap_servers=config["bootstrap"],
        group_id=config["group"],
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        **tuning,
    )


def producer_of(config: dict[str, Any]) -> AIOKafkaProducer:
    tuning = {"fast": {"linger_ms": 5, "max_batch_size": 262_144}}.get(config["tuning"], {})
    exactly: dict[str, Any] = {}
    if config["guarantee"] == "eo":
        exactly["transactional_id"] = f"{config['group']}-{config['slot']}"
        if config["tuning"] == "prompt":
            exactly["transaction_timeout_ms"] = config["session_ms"] - 1_000
    return AIOKafkaProducer(bootstrap_servers=config["bootstrap"], acks="all", **exactly, **tuning)


async def send_all(producer: AIOKafkaProducer, sink: str, records: list[Any]) -> None:
    for record in records:
        await producer.send(sink, value=record.value, key=record.key, headers=list(record.headers))


async def turn(config: dict[str, Any], consumer: AIOKafkaConsumer, producer: AIOKafkaProducer) -> None:
    """One batch."""
    batches: dict[TopicPartition, list[Any]] = await consumer.getmany(timeout_ms=WAIT_MS)
    if not batches:
        return
    offsets = {place: records[-1].offset + 1 for place, records in batches.items()}
    if config["guarantee"] == "eo":
        async with producer.transaction():
            for records in batches.values():
                await send_all(producer, config["sink"], records)
            await producer.send_offsets_to_transaction(offsets, config["group"])
        return
    for records in batches.values():
        await send_all(producer, config["sink"], records)
    await producer.flush()
    try:
        await consumer.commit(offsets)
    except (CommitFailedError, IllegalStateError):
        # Rebalanced meanwhile: the records will come again, to whoever owns them now.
        return


async def guarded(config: dict[str, Any], consumer: AIOKafkaConsumer, producer: AIOKafkaProducer) -> None:
    try:
        await turn(config, consumer, producer)
    except KafkaError as error:
        if config["guarantee"] == "alo":
            raise
        # The transaction was aborted: back to what is committed, as its documentation says.
        print("aborted:", error, flush=True)
        await consumer.seek_to_committed()


async def main(config: dict[str, Any]) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with consumer_of(config) as consumer, producer_of(config) as producer:
        while not stop.is_set():
            await guarded(config, consumer, producer)


if __name__ == "__main__":
    chosen = json.loads(sys.argv[1])
    if chosen["tuning"] == "default":
        asyncio.run(main(chosen))
    else:
        uvloop.run(main(chosen))
