"""Records at a pace, and when each was seen: the sender in this process, the reader in one of its own.

Record number n has the key `n` and goes to partition n modulo partitions, so that whoever reads it knows from where it
came. Both clocks are the machine's monotonic one.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from bench.engine.cluster import Cluster, codec, event_value, feedback_topic, until
from headwater.local.child import Child, ChildSpec

TICK_S: Final = 0.005
POLL_S: Final = 0.02
AT_ONCE: Final = 10_000
READY_S: Final = 20.0
STOP_S: Final = 20.0


@dataclass(frozen=True)
class Flow:
    """What is sent: `rate` records a second for `seconds`, over the partitions in turn, as bytes or as events."""

    rate: float
    seconds: float
    partitions: int
    avro: bool = False


class Sender:
    """Sends a flow in a thread; `sent[n]` is when record n was handed to the client."""

    def __init__(self, cluster: Cluster, topic: str, flow: Flow) -> None:
        self.flow = flow
        self.sent = np.zeros(int(flow.rate * flow.seconds) + 1)
        self.count = 0
        self._topic = topic
        self._texts = cluster.texts
        self._codec, self._declared = codec(), feedback_topic(topic)
        self._stop = threading.Event()
        self._producer: Any = Producer({"bootstrap.servers": cluster.bootstrap, "linger.ms": 0, "acks": "all"})
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def start(self) -> Sender:
        self._producer.list_topics(self._topic, timeout=READY_S)
        self._thread.start()
        return self

    def finish(self, early: bool = False) -> int:
        """Waits until all is sent (or sends no more) and delivered; how many there are."""
        if early:
            self._stop.set()
        self._thread.join()
        if self._producer.flush(READY_S):
            raise RuntimeError("the load could not be delivered")
        return self.count

    def _run(self) -> None:
        began = time.monotonic()
        tick = max(TICK_S, 1 / self.flow.rate) if self.flow.rate < 1 / TICK_S else TICK_S
        while self.count < len(self.sent) - 1 and not self._stop.is_set():
            due = min(len(self.sent) - 1, int((time.monotonic() - began) * self.flow.rate))
            while self.count < due:
                self._send(self.count)
                self.count += 1
            self._producer.poll(0)
            time.sleep(tick)

    def _send(self, number: int) -> None:
        avro = self.flow.avro
        value = event_value(self._codec, self._declared, self._texts, number) if avro else self._texts.value(number)
        self.sent[number] = time.monotonic()
        self._producer.produce(self._topic, value, str(number).encode(), number % self.flow.partitions)


class Seen:
    """A reader process of a topic, from its end as it is now. Use it as a context; `arrivals` after it."""

    def __init__(self, cluster: Cluster, topic: str, partitions: int, folder: Path, *, committed: bool) -> None:
        self._out = folder / f"{topic}.npy"
        told = {
            "bootstrap": cluster.bootstrap,
            "topic": topic,
            "ends": cluster.ends(topic, partitions),
            "level": "read_committed" if committed else "read_uncommitted",
            "out": str(self._out),
        }
        command = (sys.executable, "-P", "-m", "bench.engine.load", json.dumps(told))
        self._child = Child(ChildSpec(f"reader-{topic}", command, folder))

    def __enter__(self) -> Seen:
        self._child.start()
        ready = self._out.with_suffix(".ready")
        if not until(ready.exists, READY_S, 0.02):
            raise RuntimeError(f"the reader did not come up: {self._child.log_tail(3)}")
        return self

    def __exit__(self, *_: object) -> None:
        self._child.stop(STOP_S)

    def arrivals(self) -> tuple[Any, Any]:
        """Record numbers and the moments they were seen, in the order of reading."""
        found = np.load(self._out)
        return found[0].astype(np.int64), found[1]


def read(told: dict[str, Any]) -> None:
    """The reader process: reads until SIGTERM, then writes what it saw."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    consumer: Any = Consumer(
        {
            "bootstrap.servers": told["bootstrap"],
            "group.id": "bench-reader",
            "enable.auto.commit": False,
            "isolation.level": told["level"],
            "fetch.queue.backoff.ms": 1,
        }
    )
    consumer.assign([TopicPartition(told["topic"], p, end) for p, end in enumerate(told["ends"])])
    numbers, moments = list[int](), list[float]()
    Path(told["out"]).with_suffix(".ready").touch()
    while not stop.is_set():
        first = consumer.poll(POLL_S)
        if first is None:
            continue
        messages = [first, *consumer.consume(AT_ONCE, 0)]
        now = time.monotonic()
        numbers += [int(one.key()) for one in messages if one.error() is None]
        moments += [now] * (len(numbers) - len(moments))
    np.save(told["out"], np.array([numbers, moments], dtype=np.float64))
    consumer.close()


if __name__ == "__main__":
    read(json.loads(sys.argv[1]))
