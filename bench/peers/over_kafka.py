"""Ours as it runs: a question on its topic, and passages on theirs, through a worker process and a real broker."""

from __future__ import annotations

import json
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, TopicPartition

from adapters.host import SystemClock, SystemIds
from adapters.schema_registry import ConfluentSchemaIds
from bench.cdc.readers import settings_of
from bench.peers.asking import TOP
from bench.peers.in_memory import TENANT, WHOLE, changed, ranking_of, row_of
from bench.peers.material import Material
from headwater.local.parts import HEADWATER, WORKER
from headwater.local.spec import StackSpec
from headwater.local.stack import Stack
from schemas.codec import Codec
from schemas.documents import DocumentChanged, DocumentIndexed
from schemas.envelope import Event
from schemas.queries import Passage, PassagesFound, PassagesRanked, Query, QueryAsked
from streams.clients import consumer_config
from streams.hop import AnyTopic
from streams.publishing import Entrance, Publisher
from streams.reading import Reader
from streams.settings import Settings, user_cache
from topics.answer import PASSAGES_FOUND, PASSAGES_RANKED, QUERY_ASKED
from topics.ingest import DOCUMENT_CHANGED, DOCUMENT_INDEXED

__all__ = ["measured_over_kafka"]

ANSWERED_S: Final = 30.0
SETTLED_S: Final = 300.0
METADATA_S: Final = 10.0

Say = Callable[[str], None]


class Asker:
    """Puts questions on their topic and reads what comes on another. Any number of threads may ask."""

    def __init__(self, settings: Settings, replies: AnyTopic) -> None:
        self._settings, self._replies = settings, replies
        self._codec = Codec(ConfluentSchemaIds(settings.registry.url))
        self._ids = SystemIds()
        self._publisher = Publisher(settings.kafka, self._codec, Entrance(SystemClock(), self._ids, "bench"))
        self._waiting: dict[str, queue.SimpleQueue[Event]] = {}
        self._ended = threading.Event()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._read, name="replies")
        self._thread.start()
        if not self._begun.wait(METADATA_S):
            raise TimeoutError(f"the topic {replies.name!r} could not be read within {METADATA_S:g} s")

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._publisher.close()

    def ask(self, question: str) -> Sequence[Passage]:
        query = Query(query_id=self._ids.new(), question=question, max_passages=TOP)
        mine = self._waiting[query.query_id] = queue.SimpleQueue()
        self._publisher.send(QUERY_ASKED, QueryAsked(tenant=TENANT, event_id=query.query_id, query=query))
        try:
            reply = mine.get(timeout=ANSWERED_S)
        finally:
            del self._waiting[query.query_id]
        if isinstance(reply, PassagesFound):
            return reply.passages
        if not isinstance(reply, PassagesRanked):
            raise RuntimeError(f"wanted passages, got {type(reply).__name__}")
        return ranking_of(reply)

    def publish(self, events: Sequence[DocumentChanged]) -> None:
        for one in [self._publisher.send(DOCUMENT_CHANGED, event) for event in events]:
            self._publisher.wait(one)

    def indexed(self) -> int:
        """How many documents have their receipt."""
        with Reader(self._settings.kafka, self._codec, SystemClock()) as reader:
            events = [reading.event for reading in reader.read(DOCUMENT_INDEXED.name)]
        return len({event.document for event in events if isinstance(event, DocumentIndexed)})

    def _read(self) -> None:
        consumer = Consumer(consumer_config(self._settings.kafka, "headwater.bench.replies.v1"))
        try:
            partitions = (
                consumer.list_topics(self._replies.name, timeout=METADATA_S).topics[self._replies.name].partitions
            )
            places = [TopicPartition(self._replies.name, number) for number in partitions]
            ends = [consumer.get_watermark_offsets(place, timeout=METADATA_S)[1] for place in places]
            consumer.assign([TopicPartition(p.topic, p.partition, end) for p, end in zip(places, ends, strict=True)])
            self._begun.set()
            while not self._ended.is_set():
                self._hand_over(consumer)
        finally:
            consumer.close()

    def _hand_over(self, consumer: Any) -> None:
        first = consumer.poll(0.1)
        for message in (first, *consumer.consume(100, 0)) if first is not None else ():
            if message.error() is None and (mine := self._waiting.get(message.key().decode())) is not None:
                mine.put(self._codec.decode(message.value(), self._replies.events))


def measured_over_kafka(material: Material, folder: Path, say: Say) -> dict[str, dict[str, Any]]:
    """The whole way, as the product is, to ranked passages; then with vectors given, to found ones."""
    given = (sys.executable, "-P", str(Path(__file__).with_name("given.py")), str(folder))
    rows = {}
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as made:
        state = Path(made) / "state"
        with _running(state, HEADWATER, "answer.admit+rewrite+retrieve+rerank", say) as (stack, settings):
            asker = Asker(settings, PASSAGES_RANKED)
            _fill(asker, material, say)
            rows["ours, over Kafka, ranked"] = _row(asker, stack, material, say)
            asker.close()
        with _running(state, given, "answer.admit+rewrite+retrieve", say) as (stack, settings):
            asker = Asker(settings, PASSAGES_FOUND)
            rows["ours, over Kafka, found"] = _row(asker, stack, material, say)
            asker.close()
    return rows


def _row(asker: Asker, stack: Stack, material: Material, say: Say) -> dict[str, Any]:
    say("ours over Kafka: questions and edits")
    pids = [pid for pid in (stack.worker.child.pid, stack.broker.child.pid) if pid is not None]
    return row_of(asker.publish, asker.ask, material, pids)


def _fill(asker: Asker, material: Material, say: Say) -> None:
    say(f"ours over Kafka: {len(material.passages)} passages")
    asker.publish([changed(*words) for words in material.documents()])
    until = time.monotonic() + SETTLED_S
    while (indexed := asker.indexed()) < len(material.passages):
        if time.monotonic() > until:
            raise TimeoutError(f"{indexed} of {len(material.passages)} passages were indexed within {SETTLED_S:g} s")
        say(f"{indexed} passages indexed")
        time.sleep(2.0)


@contextmanager
def _running(state: Path, program: tuple[str, ...], steps: str, say: Say) -> Iterator[tuple[Stack, Settings]]:
    environment = (
        ("HEADWATER_TENANTS", json.dumps([TENANT])),
        ("HEADWATER_RETRIEVE__PASSAGES", str(TOP)),
        *((f"HEADWATER_CHUNKING__{name.upper()}", str(value)) for name, value in WHOLE.items()),
    )
    stack = Stack(StackSpec(state, user_cache(), detached=False, environment=environment, program=program), say)
    stack.worker.kind = replace(WORKER, arguments=("run", "ingest", steps))
    with stack:
        yield stack, settings_of(stack, "minilm")
