"""The driver runs whole journeys in memory: no broker, no threads, the same pipelines and the same bytes.

For tests of the topology, for documentation, and for trying a step of your own.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Final

from processors.contract import Reject
from schemas.codec import Codec
from schemas.envelope import Event
from streams.hop import AnyTopic, Hop, Journey, JourneyError
from streams.pipeline import BoundHop, Origin, Pipeline
from streams.records import Inbound, Outgoing, Processed, Record
from streams.retries import ErrorPolicy

ROUNDS_MOST: Final = 1_000
"""More rounds than any journey has hops: reached only where topics feed each other in a circle."""


class Driver:
    """Journeys over lists instead of topics. Use it where a broker would only slow a test down.

        >>> driver = Driver([INGEST], ports, codec, origin)  # doctest: +SKIP
        >>> driver.put(DOCUMENT_CHANGED, DocumentChanged(tenant="acme", document="a.md", ...))  # doctest: +SKIP
        >>> driver.run()  # doctest: +SKIP
        >>> driver.events(DOCUMENT_INDEXED)[0].outcome  # doctest: +SKIP
        'indexed'

    Each topic is one list, so everything is in order; batches are as large as `batch`. Raises what a step raises to
    pause its hop (Stop): in memory there is nothing to wait for.
    """

    def __init__(
        self,
        journeys: Iterable[Journey],
        ports: Callable[[str], Any],
        codec: Codec,
        origin: Origin,
        batch: int = 100,
    ) -> None:
        self.topics: dict[str, list[Record]] = defaultdict(list)
        self._codec = codec
        self._batch = batch
        policy = ErrorPolicy(attempts=2, backoff_s=0.0)
        self._pipelines = [
            Pipeline([BoundHop(hop, ports)], codec, origin, policy)
            for journey in journeys
            for hop in journey
            if not any(topic.raw for topic in hop.reads)
        ]
        self._read: dict[tuple[str, str], int] = defaultdict(int)
        self._forgotten: dict[str, int] = defaultdict(int)

    def put(self, topic: AnyTopic, event: Event) -> None:
        """An event onto a topic, as an application would produce it."""
        value = self._codec.encode(topic.subject, topic.events, event)
        self._append(Outgoing(topic.name, topic.key(event).encode(), value, ()))

    def put_bytes(self, topic: AnyTopic, key: bytes, value: bytes | None) -> None:
        """Raw bytes onto a topic: what a stranger may produce."""
        self._append(Outgoing(topic.name, key, value, ()))

    def run(self) -> None:
        """Runs every hop until no topic holds anything unread."""
        for _ in range(ROUNDS_MOST):
            turned = [self._turn(pipeline) for pipeline in self._pipelines]
            if not any(turned):
                return
        raise JourneyError(f"the journeys did not come to rest within {ROUNDS_MOST} rounds")

    def events(self, topic: AnyTopic) -> list[Any]:
        """What was written to a topic, decoded, in order."""
        return [self._codec.decode(r.value, topic.events) for r in self.topics[topic.name] if r.value is not None]

    def dead_letters(self, topic: AnyTopic) -> list[Record]:
        return self.topics[topic.dead_letters]

    def forget(self) -> None:
        """Drops what the topics hold; offsets and the places of the hops go on. Memory stays flat in a long run."""
        for name, log in self.topics.items():
            self._forgotten[name] += len(log)
            log.clear()

    def rewind(self, hop: Hop) -> None:
        """Lets a hop read its topics from the beginning again: a replay."""
        for topic in hop.reads:
            self._read[hop.name, topic.name] = self._forgotten[topic.name]

    def _turn(self, pipeline: Pipeline) -> bool:
        records = [record for topic in pipeline.reads for record in self._next(pipeline.name, topic.name)]
        if not records:
            return False
        done = pipeline.process(records) if not self._streams(pipeline) else self._stream(pipeline, records)
        outgoing = [out for one in done.outgoing for out in one]
        for out in outgoing:
            self._append(out)
        pipeline.committed(outgoing)
        return True

    def _next(self, hop: str, topic: str) -> list[Record]:
        start = max(0, self._read[hop, topic] - self._forgotten[topic])
        records = self.topics[topic][start : start + self._batch]
        self._read[hop, topic] = self._forgotten[topic] + start + len(records)
        return records

    @staticmethod
    def _streams(pipeline: Pipeline) -> bool:
        return pipeline.hops[0].streams

    def _stream(self, pipeline: Pipeline, records: list[Record]) -> Processed:
        """An asynchronous step, run to its end for each record."""
        done, bound = Processed.nothing(len(records)), pipeline.hops[0]
        for root, record in enumerate(records):
            inbound = pipeline.decode(root, record, done)
            if inbound is None:
                continue
            events = self._run_step(bound, inbound)
            if isinstance(events, Reject):
                events = pipeline.refuse(bound, inbound, events, done.outgoing[root])
            pipeline.emit(bound, inbound, events, done.outgoing[root])
        return done

    @staticmethod
    def _run_step(bound: BoundHop, inbound: Inbound) -> list[Event] | Reject:
        async def collect() -> list[Event]:
            return [event async for event in bound.hop.step(inbound.event, **bound.bound)]

        try:
            return asyncio.run(collect())
        except Reject as reject:
            return reject

    def _append(self, out: Outgoing) -> None:
        log = self.topics[out.topic]
        log.append(Record(out.topic, 0, self._forgotten[out.topic] + len(log), out.key, out.value, out.headers))
