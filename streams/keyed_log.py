"""Compacted topics by key: what lies under one, tombstones over it, and the same record once more. For erasures."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from confluent_kafka import KafkaException, Producer

from processors.contract import Stop
from processors.ports import Clock
from schemas.codec import Codec
from streams.clients import producer_config
from streams.errors import StreamsError
from streams.hop import AnyTopic
from streams.reading import Reader, Reading, Slice
from streams.records import Outgoing
from streams.routing import Router, send
from streams.settings import Kafka

__all__ = ["KeyedLog", "document_key"]

Keep = Callable[[bytes, bytes], bool]


def document_key(tenant: str, document: str) -> str:
    """The key of a document on every topic of ingest but that of heads."""
    return f"{tenant}|{document}"


class KeyedLog:
    """Reads and buries by key. Raises Stop where the cluster is away, so that a hop pauses and nothing is half done.

    >>> from adapters.host import SystemClock
    >>> from streams.parts import Parts
    >>> from streams.settings import load
    >>> KeyedLog(load().kafka, Parts.memory_codec(), SystemClock()).close()

    Safe for threads: no two readings share a consumer at a time, the producer is the client library's.
    """

    def __init__(self, kafka: Kafka, codec: Codec, clock: Clock) -> None:
        self._kafka = kafka
        self._codec = codec
        self._clock = clock
        self._producer: Any = None
        self._router: Any = None
        self._idle: list[Reader] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def of_key(self, topic: AnyTopic, key: str, routed: str = "") -> list[Reading]:
        """What lies on a topic under a key, oldest first, tombstones too; `routed` is what selects its partition."""
        wanted = key.encode()
        with _pausing(), self._reader() as reader:
            partition = reader.partition_of(topic, routed or key)
            part = Slice(partition=partition, keep=lambda found, _: found == wanted)
            return list(reader.read(topic.name, part))

    def matching(self, topics: Iterable[str], keep: Keep) -> list[Reading]:
        """What lies on some topics and is wanted, in the order of each partition."""
        with _pausing(), self._reader() as reader:
            return list(reader.read_each({topic: Slice(keep=keep) for topic in topics}))

    def bury(self, topic: AnyTopic, keys: Iterable[str]) -> dict[str, int]:
        """Writes a tombstone for every key, each in the partition that the key selects; returns their offsets."""
        wanted, stand = list(keys), dict[str, int]()

        def delivered(error: Any, message: Any) -> None:
            if error is None:
                stand[(message.key() or b"").decode()] = message.offset()

        for key in wanted:
            self._send(Outgoing(topic.name, key.encode(), None, ()), delivered)
        self._flush()
        if missing := set(wanted) - stand.keys():
            raise Stop(f"{len(missing)} tombstones on {topic.name!r} were not taken over")
        return stand

    def put_again(self, reading: Reading) -> None:
        """The same record once more, behind everything that is there."""
        key = reading.key.encode()
        self._send(Outgoing(reading.topic, key, reading.value, reading.headers, partition=reading.partition))
        self._flush()

    def close(self) -> None:
        """Lets the clients go; nothing is on its way between two calls."""
        self._producer = self._router = None
        with self._lock:
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.__exit__()

    def _send(self, out: Outgoing, on_delivery: Any = None) -> None:
        with _pausing():
            if self._producer is None:
                self._producer = Producer(producer_config(self._kafka))
                self._router = Router(self._producer)
            while True:
                try:
                    send(self._producer, self._router, out, on_delivery)
                    return
                except BufferError:
                    self._flush()

    def _flush(self) -> None:
        if self._producer.flush(self._kafka.deadline_s):
            raise Stop(f"no broker took what was sent within {self._kafka.deadline_s:g} s")

    @contextmanager
    def _reader(self) -> Iterator[Reader]:
        """A reader that nobody else uses now; one that failed is not used again. Connecting costs most."""
        with self._lock:
            reader = self._idle.pop() if self._idle else None
        reader = reader or Reader(self._kafka, self._codec, self._clock)
        try:
            yield reader
        except BaseException:
            reader.__exit__()
            raise
        with self._lock:
            self._idle.append(reader)


@contextmanager
def _pausing() -> Iterator[None]:
    try:
        yield
    except (StreamsError, KafkaException) as error:
        raise Stop(f"the cluster: {error}") from error
