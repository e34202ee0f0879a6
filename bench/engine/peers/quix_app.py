"""Quix Streams, bytes in, bytes out.

default: as its documentation begins: no extra settings, a commit every 5 s.
fast: larger producer batches (linger 50 ms, 1 MB) and queues, fetches resumed after 1 ms.
prompt: no linger, a commit (and so a transaction) every 0.1 s, session and transaction timeout of the other contenders.
"""

import json
import sys
from typing import Any

from quixstreams import Application

GUARANTEES = {"alo": "at-least-once", "eo": "exactly-once"}
FAST_PRODUCER = {"linger.ms": 50, "batch.size": 1_000_000, "queue.buffering.max.messages": 1_000_000}
FAST_CONSUMER = {"fetch.queue.backoff.ms": 1, "queued.min.messages": 200_000}


def tuned(config: dict[str, Any]) -> dict[str, Any]:
    """What differs from the defaults."""
    session = {"session.timeout.ms": config["session_ms"], "heartbeat.interval.ms": config["session_ms"] // 3}
    if config["tuning"] == "fast":
        return {"producer_extra_config": FAST_PRODUCER, "consumer_extra_config": FAST_CONSUMER}
    if config["tuning"] == "prompt":
        return {
            "producer_extra_config": {"linger.ms": 0, "transaction.timeout.ms": config["session_ms"] - 1_000},
            "consumer_extra_config": {"fetch.queue.backoff.ms": 1, **session},
            "commit_interval": 0.1,
        }
    return {}


def main(config: dict[str, Any]) -> None:
    app = Application(
        broker_address=config["bootstrap"],
        consumer_group=config["group"],
        auto_offset_reset="earliest",
        auto_create_topics=False,
        processing_guarantee=GUARANTEES[config["guarantee"]],
        state_dir=config["folder"],
        loglevel="WARNING",
        **tuned(config),
    )
    source = app.topic(config["source"], key_deserializer="bytes", value_deserializer="bytes")
    sink = app.topic(config["sink"], key_serializer="bytes", value_serializer="bytes")
    app.dataframe(source).to_topic(sink)
    app.run()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
