"""Hostile files through a real hop on a real broker: all end, none stands in the way of the next."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from itertools import pairwise

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from adapters.host import SystemClock
from adapters.isolated_parser import IsolatedParser, Isolation
from adapters.memory import MemoryClaims
from adapters.schema_registry import MemorySchemaIds
from headwater.local.broker import KafkaBroker
from processors.ingest.parse import parse
from schemas.codec import Codec
from schemas.documents import DocumentChanged, DocumentDeleted, DocumentParsed
from schemas.failures import REASON
from streams.batches import BatchHop, HopPlan
from streams.clients import consumer_config, producer_config
from streams.hop import Hop
from streams.pipeline import BoundHop, Origin, Pipeline
from streams.retries import ErrorPolicy
from streams.settings import Settings
from tests.adapters.hostile.outcomes import Expected, manifest
from tests.streams.bench_hops import DEADLINE_S, running, settings_for
from topics.topic import Topic

pytestmark = pytest.mark.live

TIMEOUT_S = 20.0
# One document: two tries and a start between them. Its batch: several of those that take long.
LONGEST_PAUSE_S = 60.0
ALL_S = 110.0
BATCH = 8

Found = tuple[str, float, DocumentParsed | None, str]
"""A document's name, when its outcome could be read, and what it is: parsed, or the reason why not."""


class ParseBench:
    """The parse hop over topics of its own, and what comes out of it."""

    def __init__(self, settings: Settings) -> None:
        run = uuid.uuid4().hex[:8]
        self.kafka = settings.kafka
        self.codec = Codec(MemorySchemaIds())
        kinds = (DocumentChanged, DocumentDeleted)
        self.changed = Topic[DocumentChanged](f"test.{run}.changed.v1", kinds, lambda event: str(event.document))
        self.parsed = Topic[DocumentParsed](
            f"test.{run}.parsed.v1", (DocumentParsed, DocumentDeleted), self.changed.key
        )
        names = [self.changed.name, self.changed.dead_letters, self.parsed.name, self.parsed.dead_letters]
        admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap})
        for future in admin.create_topics([NewTopic(name, 1, 1) for name in names]).values():
            future.result(DEADLINE_S)

    def hop(self, settings: Settings, parser: IsolatedParser) -> BatchHop:
        ports = {"claims": MemoryClaims(), "parser": parser}
        bound = BoundHop(Hop((self.changed,), parse, (self.parsed,)), ports.__getitem__)
        policy = ErrorPolicy(attempts=2, backoff_s=0.01)
        pipeline = Pipeline([bound], self.codec, Origin(SystemClock(), "test"), policy)
        return BatchHop(HopPlan(f"test.{self.changed.name}", pipeline, most_records=BATCH), settings, SystemClock())

    def put(self, changes: list[DocumentChanged]) -> None:
        producer = Producer(producer_config(self.kafka))
        for change in changes:
            value = self.codec.encode(self.changed.subject, self.changed.events, change)
            producer.produce(self.changed.name, key=change.document.encode(), value=value)
        assert producer.flush(DEADLINE_S) == 0

    def outcomes(self, count: int) -> Iterator[Found]:
        """What came of the documents, in the order in which it could be read."""
        consumer = Consumer(consumer_config(self.kafka, f"read-{uuid.uuid4().hex}"))
        consumer.subscribe([self.parsed.name, self.changed.dead_letters])
        until = time.monotonic() + ALL_S
        while count and time.monotonic() < until:
            if (message := consumer.poll(0.2)) is None or message.error():
                continue
            count -= 1
            headers, name = dict(message.headers() or ()), (message.key() or b"").decode()
            parsed = self.codec.decode(message.value() or b"", self.parsed.events) if REASON not in headers else None
            assert parsed is None or isinstance(parsed, DocumentParsed)
            yield name, time.monotonic(), parsed, (headers.get(REASON) or b"").decode()
        consumer.close()


def good(number: int) -> DocumentChanged:
    return DocumentChanged(
        tenant="acme",
        event_id=f"good-{number}",
        document=f"good-{number}.html",
        media_type="text/html",
        body=f"<h1>Tea {number}</h1><p>It is hot.".encode(),
    )


def wrong(expected: list[Expected], found: dict[str, Found]) -> list[str]:
    """What is otherwise than the manifest says, document by document."""
    problems = []
    for one in expected:
        _, _, parsed, reason = found[one.name]
        if problem := one.differs(parsed.blocks if parsed else (), reason):
            problems.append(problem)
    return problems


@pytest.mark.timeout(180)
def test_when_hostile_files_come_then_each_ends_and_the_good_ones_between_get_through(kafka: KafkaBroker) -> None:
    settings, expected = settings_for(kafka.bootstrap), manifest()
    bench = ParseBench(settings)
    parser = IsolatedParser(Isolation(timeout_s=TIMEOUT_S, memory_mb=256))
    changes = [change for n, one in enumerate(expected) for change in (one.change(), good(n))]
    try:
        bench.put(changes)
        with running(bench.hop(settings, parser)):
            began = time.monotonic()
            outcomes = list(bench.outcomes(len(changes)))
    finally:
        parser.close()
    found = {name: outcome for outcome in outcomes if (name := outcome[0])}
    assert len(outcomes) == len(found) == len(changes)
    assert wrong(expected, found) == []
    assert all((parsed := found[f"good-{n}.html"][2]) and parsed.title == f"Tea {n}" for n in range(len(expected)))
    times = [began, *(at for _, at, _, _ in outcomes)]
    pause = max(after - before for before, after in pairwise(times))
    print(f"{len(outcomes)} outcomes in {times[-1] - began:.1f} s, longest pause between two: {pause:.1f} s")
    assert pause < LONGEST_PAUSE_S
