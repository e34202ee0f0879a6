"""Bytewax, bytes in, bytes out, with a recovery store (without one it begins from the start at every restart).

default: batches of 1,000, a snapshot of the offsets every 10 s.
fast: batches of 10,000, producer linger 5 ms and 1 MB batches, a snapshot every 10 s.
prompt: no linger, a snapshot every 0.1 s.
It has no consumer group: the processes of a cluster share the partitions out among themselves at their start.
"""

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSink, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

SNAPSHOT_S = {"default": 10.0, "fast": 10.0, "prompt": 0.1}
BATCH = {"default": 1_000, "fast": 10_000, "prompt": 1_000}
PRODUCER: dict[str, dict[str, str]] = {
    "default": {},
    "fast": {"linger.ms": "5", "batch.size": "1000000"},
    "prompt": {"linger.ms": "0"},
}
CONSUMER: dict[str, dict[str, str]] = {
    "default": {},
    "fast": {"fetch.queue.backoff.ms": "1"},
    "prompt": {"fetch.queue.backoff.ms": "1"},
}


def main(config: dict[str, Any]) -> None:
    tuning, brokers = config["tuning"], [config["bootstrap"]]
    store = Path(config["folder"]) / f"bytewax-{config['group']}"
    if not store.exists():
        store.mkdir(parents=True)
        init_db_dir(store, 1)
    flow = Dataflow("copy")
    source = KafkaSource(brokers, [config["source"]], add_config=CONSUMER[tuning], batch_size=BATCH[tuning])
    read = op.input("source", flow, source)
    made = op.map("sink message", read, lambda message: message.to_sink())
    op.output("sink", made, KafkaSink(brokers, config["sink"], add_config=PRODUCER[tuning]))
    snapshot = timedelta(seconds=SNAPSHOT_S[tuning])
    cli_main(flow, epoch_interval=snapshot, recovery_config=RecoveryConfig(str(store)))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
