"""The source of a run: writes (key, number) at a pace, each once, and notes what the broker said to each."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Producer

from streams.clients import producer_config
from streams.settings import load
from tests.chaos.history import History
from tests.chaos.rows import CODEC, SEQ, event_of, feedback_topic

# A broker that restarts is back long before; a record that was not delivered by then is a finding.
DELIVERED_WITHIN_S: Final = 60.0
STEP_S: Final = 0.01


@dataclass(frozen=True)
class Flow:
    """What a source writes: `rate` records a second over `keys` keys until it is told to stop, `total` at least.

    `bulk` of them are written at once in the beginning. `poison` maps a number of the whole flow to bytes that are
    written instead of the event (a record that can't be decoded).
    """

    rate: float = 300.0
    total: int = 0
    keys: int = 32
    bulk: int = 0
    poison: dict[int, bytes] = field(default_factory=dict)


class Source:
    """Writes in a thread of its own. Use it as a context: it begins at once; `finish` writes the rest and waits.

    The records stand in the topic afterwards (`rows.read_topic`), which is the truth that the checker goes by.
    """

    def __init__(self, bootstrap: str, topic: str, flow: Flow, folder: Path, seed: int) -> None:
        self.written = 0
        self._topic = feedback_topic(topic)
        self._flow = flow
        self._chance = random.Random(seed)
        self._history = History(folder / "source.jsonl", "source")
        self._next: dict[str, int] = {}
        self._stop = threading.Event()
        self._failed: list[str] = []
        kafka = load(kafka={"bootstrap": bootstrap}).kafka
        config = producer_config(kafka, **{"linger.ms": 5, "message.timeout.ms": int(DELIVERED_WITHIN_S * 1000)})
        self._producer: Any = Producer(config)
        self._thread = threading.Thread(target=self._run, name="source", daemon=True)

    def __enter__(self) -> Source:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(DELIVERED_WITHIN_S)
        self._history.close()

    def finish(self) -> int:
        """Stops the pace, writes what is missing to `total`, waits until all is delivered; how many there are.

        Raises RuntimeError where a record was not delivered at all: the run says nothing then.
        """
        self._stop.set()
        self._thread.join(DELIVERED_WITHIN_S)
        while self.written < self._flow.total:
            self._write()
        left = self._producer.flush(DELIVERED_WITHIN_S)
        if left or self._failed:
            raise RuntimeError(f"the source could not deliver {left + len(self._failed)} records: {self._failed[:3]}")
        return self.written

    def _run(self) -> None:
        for _ in range(self._flow.bulk):
            self._write()
        began = time.monotonic()
        while not self._stop.wait(STEP_S):
            due = self._flow.bulk + int((time.monotonic() - began) * self._flow.rate)
            while self.written < due and not self._stop.is_set():
                self._write()
            self._producer.poll(0)

    def _write(self) -> None:
        key = f"k{self._chance.randrange(self._flow.keys)}"
        seq = self._next.get(key, 0)
        self._next[key] = seq + 1
        value = self._flow.poison.get(self.written)
        if value is None:
            value = CODEC.encode(self._topic.subject, self._topic.events, event_of(key, seq))
        self.written += 1
        while True:
            try:
                self._produce(key, seq, value)
                return
            except BufferError:
                self._producer.poll(0.1)

    def _produce(self, key: str, seq: int, value: bytes) -> None:
        def told(error: Any, message: Any) -> None:
            place: dict[str, Any] = {"topic": self._topic.name, "key": key, "seq": seq}
            if error is None:
                self._history.add("send", partition=message.partition(), offset=message.offset(), **place)
                return
            self._failed.append(f"{key}/{seq}: {error}")
            self._history.add("send", "info", partition=-1, offset=-1, **place)

        headers: Sequence[tuple[str, bytes]] = [(SEQ, str(seq).encode())]
        self._producer.produce(self._topic.name, key=key.encode(), value=value, headers=headers, on_delivery=told)
