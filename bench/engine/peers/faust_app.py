"""Faust (faust-streaming), bytes in, bytes out, one agent.

default: as its documentation begins; only the web server is off.
fast: uvloop; larger stream buffers (32,768), fetches (8 MB) and producer batches (256 kB, linger 5 ms), rarer commits.
prompt: uvloop; commits every 0.1 s, no waiting for empty streams at a rebalance, the session of the other contenders.
"""

import json
import sys
from typing import Any

import faust
import uvloop

GUARANTEES = {"alo": "at_least_once", "eo": "exactly_once"}


def tuned(config: dict[str, Any]) -> dict[str, Any]:
    """What differs from the defaults."""
    session_s = config["session_ms"] / 1000
    return {
        "default": {},
        "fast": {
            "stream_buffer_maxsize": 32_768,
            "consumer_max_fetch_size": 8_000_000,
            "producer_linger": 0.005,
            "producer_max_batch_size": 262_144,
            "broker_commit_every": 50_000,
        },
        "prompt": {
            "broker_commit_interval": 0.1,
            "stream_wait_empty": False,
            "broker_session_timeout": session_s,
            "broker_heartbeat_interval": session_s / 3,
            "broker_rebalance_timeout": session_s,
            "broker_request_timeout": session_s * 3,
        },
    }[config["tuning"]]


def main(config: dict[str, Any]) -> None:
    if config["tuning"] != "default":
        uvloop.install()
    app = faust.App(
        config["group"],
        broker=f"kafka://{config['bootstrap']}",
        processing_guarantee=GUARANTEES[config["guarantee"]],
        datadir=f"{config['folder']}/faust-{config['slot']}",
        store="memory://",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        **tuned(config),
    )
    raw = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
    source = app.topic(config["source"], **raw)
    sink = app.topic(config["sink"], **raw)

    async def copy(stream: Any) -> None:
        async for event in stream.events():
            await sink.send(key=event.key, value=event.value, headers=event.headers)

    app.agent(source)(copy)

    faust.Worker(app, loglevel="WARNING").execute_from_commandline()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
