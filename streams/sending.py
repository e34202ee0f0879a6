"""What a KeyedHop writes: a future per record, done in its event loop when the delivery report is good."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterable
from typing import Any, Final

from confluent_kafka import KafkaException, Producer

from processors.contract import Stop
from streams import metrics
from streams.clients import producer_config
from streams.errors import ClusterUnavailableError, DeliveryError, StreamsError, TopicMissingError
from streams.records import Outgoing
from streams.routing import Router, send
from streams.settings import Kafka

__all__ = ["AWAY", "Sender"]

AWAY: Final = (ClusterUnavailableError, TopicMissingError, DeliveryError, BufferError, KafkaException)
"""What sending raises when the cluster is away or has no room: the record is tried again when it is back."""

_POLL_S: Final = 0.1
# Reports come one by one, and each that is handed over by itself interrupts a step: those of so long go together. What
# was written is read by others meanwhile; only its commit waits.
_TOGETHER_S: Final = 0.002
# Leaving is bounded: a broker that is away must not keep the process.
_LEAVE_S: Final = 5.0


class Sender:
    """One producer and the thread that serves its delivery reports. Threads may send; the futures are of one loop."""

    def __init__(self, kafka: Kafka, hop: str, loop: asyncio.AbstractEventLoop) -> None:
        self._hop = hop
        self._loop = loop
        self._producer = Producer(producer_config(kafka, **{"message.timeout.ms": int(kafka.deadline_s * 1_000)}))
        self._router = Router(self._producer)
        self._counters: dict[str, Any] = {}
        self._reports: list[tuple[asyncio.Future[None], Any]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"{hop} sent", daemon=True)

    def start(self, topics: Iterable[str]) -> None:
        """Begins to serve reports, and learns the partitions of these topics, which nobody has to wait for then."""
        self._thread.start()
        for topic in topics:
            with contextlib.suppress(StreamsError):
                self._router.count(topic)

    def send(self, out: Outgoing) -> asyncio.Future[None]:
        """Hands a record to the producer. Raises what `AWAY` lists, and the future ends with Stop where it was lost."""
        future: asyncio.Future[None] = self._loop.create_future()
        send(self._producer, self._router, out, on_delivery=self._reporter(future))
        self._counted(out.topic).inc()
        return future

    def close(self) -> None:
        """Waits a little for what is under way, and lets the producer go."""
        self._producer.flush(_LEAVE_S)
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_LEAVE_S)

    def _counted(self, topic: str) -> Any:
        if topic not in self._counters:
            self._counters[topic] = metrics.EVENTS.labels(self._hop, topic)
        return self._counters[topic]

    def _reporter(self, future: asyncio.Future[None]) -> Any:
        return lambda error, _message: self._reports.append((future, error))

    def _serve(self) -> None:
        """One hand-over for all reports that came together: a call into the loop for each would cost ten times more."""
        while not self._stopping.is_set():
            if self._producer.poll(_POLL_S):
                self._stopping.wait(_TOGETHER_S)
                self._producer.poll(0)
            reports, self._reports = self._reports, []
            if reports:
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(_resolve, reports)


def _resolve(reports: Iterable[tuple[asyncio.Future[None], Any]]) -> None:
    for future, error in reports:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
            continue
        future.set_exception(Stop(f"a record was not delivered: {error}"))
        # Whoever was cancelled does not ask for it any more.
        future.exception()
