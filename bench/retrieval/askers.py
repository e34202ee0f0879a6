"""Applications that put questions on their topic and wait for the ranked passages to come out on theirs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from adapters.host import SystemClock, SystemIds
from schemas.codec import Codec
from schemas.queries import Query, QueryAsked
from streams.clients import client_config
from streams.publishing import Entrance, Publisher
from streams.settings import Settings
from topics.answer import PASSAGES_RANKED, QUERY_ASKED

__all__ = ["Answered", "Askers"]

# Longer than any question may take here: then something is broken.
GIVE_UP_S: Final = 30.0
POLL_S: Final = 0.05
MOST: Final = 512


@dataclass(frozen=True)
class Answered:
    """Milliseconds of each question, from before it is produced until its passages were read; and over all."""

    milliseconds: list[float]
    seconds: float

    @property
    def per_second(self) -> float:
        return round(len(self.milliseconds) / self.seconds, 1)


class Askers:
    """Some askers in one process: each sends its next question as soon as it has read the passages of its last.

    Passages are known by their record's key, the question's id: decoding them is the application's own time.
    """

    def __init__(self, settings: Settings, codec: Codec, tenant: str) -> None:
        self._tenant = tenant
        self._sent = 0
        self._publisher = Publisher(settings.kafka, codec, Entrance(SystemClock(), SystemIds(), "bench"))
        self._consumer = Consumer(client_config(settings.kafka, **{"group.id": "bench.askers", "fetch.wait.max.ms": 5}))
        parts = self._consumer.list_topics(PASSAGES_RANKED.name, timeout=10).topics[PASSAGES_RANKED.name].partitions
        self._consumer.assign([TopicPartition(PASSAGES_RANKED.name, part, OFFSET_END) for part in parts])
        self._consumer.poll(1.0)

    def __enter__(self) -> Askers:
        self._publisher.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._consumer.close()
        self._publisher.__exit__(*error)

    def ask(self, question: Callable[[int], str], askers: int, seconds: float) -> Answered:
        """Lets so many ask for so long; the questions under way at the end are waited for."""
        open_, times = dict[str, float](), list[float]()
        began = time.perf_counter()
        for _ in range(askers):
            self._send(question, open_)
        while open_:
            # A consume for several waits until they are all there: the first one alone, then what came with it.
            first = self._consumer.poll(POLL_S)
            for record in [first, *self._consumer.consume(MOST, 0)] if first else []:
                sent = open_.pop((record.key() or b"").decode(), None)
                if sent is None:
                    continue
                now = time.perf_counter()
                times.append((now - sent) * 1000)
                if now - began < seconds:
                    self._send(question, open_)
            if open_ and time.perf_counter() - min(open_.values()) > GIVE_UP_S:
                raise TimeoutError(f"no passages for a question within {GIVE_UP_S:g} s")
        return Answered(times, time.perf_counter() - began)

    def _send(self, question: Callable[[int], str], open_: dict[str, float]) -> None:
        name = f"q{self._sent}"
        self._sent += 1
        query = Query(query_id=name, question=question(self._sent))
        open_[name] = time.perf_counter()
        self._publisher.send(QUERY_ASKED, QueryAsked(tenant=self._tenant, query=query))
