"""Catching up with a log that a predecessor still writes: what it committed counts, however late its end markers."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from adapters.heads_view import MemoryHeads
from adapters.host import SystemClock
from headwater.local.broker import KafkaBroker
from processors.contract import Stop
from processors.ingest.heads import NO_ACCESS_VERSION
from schemas.documents import DocumentHead
from schemas.envelope import Version
from schemas.measures import FeedbackGiven
from streams.batches import BatchHop
from streams.clients import producer_config
from streams.ensure import ensure
from streams.follow import Follower
from streams.follow_heads import HeadsFollower
from streams.hop import Hop
from streams.parts import Parts
from streams.settings import Kafka, Settings
from tests.streams.bench_hops import Bench, by_answer, feedback, running
from topics.ingest import DOCUMENT_HEAD
from topics.topic import Topic

pytestmark = pytest.mark.live

CODEC = Parts.memory_codec()
PATIENCE_S = 20.0
# Long enough for a follower to read all that may be read, which it does within a tenth of this.
A_WHILE_S = 1.0


class Predecessor:
    """Another slot of the group: it has written a record, and the end of its transaction is not there yet."""

    def __init__(self, bootstrap: str, topic: str, key: str, value: bytes) -> None:
        config = {"transactional.id": f"predecessor-{uuid.uuid4()}", "transaction.timeout.ms": 30_000}
        self._producer: Any = Producer(producer_config(Kafka(bootstrap=bootstrap), **config))
        self._producer.init_transactions(PATIENCE_S)
        self._producer.begin_transaction()
        self._producer.produce(topic, value=value, key=key.encode())
        assert self._producer.flush(PATIENCE_S) == 0

    def end(self) -> None:
        """The end markers arrive."""
        self._producer.commit_transaction(PATIENCE_S)


Followed = tuple[Follower, Callable[[], bool], Predecessor]


@contextmanager
def plain(bootstrap: str) -> Iterator[Followed]:
    """A follower of any topic, and whether what the predecessor wrote is in its view."""
    bench, seen = Bench(bootstrap), set[str]()
    topic = bench.source
    follower = Follower(topic, lambda event: seen.add(str(event.event_id)), CODEC, _kafka(bootstrap), SystemClock())
    value = CODEC.encode(topic.subject, topic.events, feedback(7))
    follower.start()
    yield follower, lambda: seen == {"e7"}, Predecessor(bootstrap, topic.name, "k", value)
    follower.stop()


@contextmanager
def heads(bootstrap: str) -> Iterator[Followed]:
    """The follower of heads, over the view of a generation of this test's own."""
    ensure(Settings(kafka=_kafka(bootstrap)))
    view = MemoryHeads(f"g-{uuid.uuid4()}")
    version = Version(source=0, offset=1)
    head = DocumentHead(
        tenant="acme",
        document="d",
        version=version,
        access_version=NO_ACCESS_VERSION,
        generation=view.generation,
    )
    value = CODEC.encode(DOCUMENT_HEAD.subject, DOCUMENT_HEAD.events, head)
    follower = HeadsFollower(view, CODEC, _kafka(bootstrap), SystemClock())
    follower.start()
    predecessor = Predecessor(bootstrap, DOCUMENT_HEAD.name, DOCUMENT_HEAD.key(head), value)
    yield follower, lambda: view.is_open and view.get("acme", "d") is not None, predecessor
    follower.stop()


def _kafka(bootstrap: str) -> Kafka:
    return Kafka(bootstrap=bootstrap, deadline_s=PATIENCE_S)


@pytest.mark.parametrize("followed", [plain, heads])
def test_when_a_predecessor_ends_its_transaction_late_then_catching_up_waits_for_it(
    kafka: KafkaBroker, followed: Any
) -> None:
    """Its commit was promised, and the group's offsets say so, before its end marker is in this partition."""
    with followed(kafka.bootstrap) as (follower, holds_it, predecessor):
        caught_up = threading.Thread(target=follower.catch_up, args=(PATIENCE_S,))
        caught_up.start()
        caught_up.join(A_WHILE_S)
        assert caught_up.is_alive(), "it said that it holds what nobody can know yet"
        predecessor.end()
        caught_up.join(PATIENCE_S)
        assert not caught_up.is_alive()
        assert holds_it()


@pytest.mark.parametrize("followed", [plain, heads])
def test_when_a_transaction_stays_open_then_catching_up_ends_in_time_and_says_where(
    kafka: KafkaBroker, followed: Any
) -> None:
    with followed(kafka.bootstrap) as (follower, _, predecessor):
        with pytest.raises(Stop, match=r"has not caught up .*: partition \d+ is read up to \d+ of \d+"):
            follower.catch_up(A_WHILE_S)
        predecessor.end()
        follower.catch_up(PATIENCE_S)


def test_when_a_hop_starts_then_its_step_sees_what_a_predecessor_was_just_committing(kafka: KafkaBroker) -> None:
    bench, view = Bench(kafka.bootstrap), set[str]()
    seen_by_step: list[set[str]] = []
    log = bench.middle
    follower = Follower(log, lambda event: view.add(str(event.event_id)), CODEC, _kafka(kafka.bootstrap), SystemClock())

    def step(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
        seen_by_step.append(set(view))
        yield event

    value = CODEC.encode(log.subject, log.events, feedback(7))
    predecessor = Predecessor(kafka.bootstrap, log.name, "k", value)
    follower.start()
    bench.put(feedback(8))
    with running(bench.hop(BatchHop, [Hop((bench.source,), step, (bench.middle,))], followers=(follower,))):
        ended = threading.Timer(A_WHILE_S, predecessor.end)
        ended.start()
        assert bench.comments(log, 2) == ["7", "8"]
        ended.join(PATIENCE_S)
    follower.stop()
    assert seen_by_step == [{"e7"}]


def test_when_a_topic_is_not_there_yet_then_a_view_of_it_is_not_whole_and_follows_it_later(kafka: KafkaBroker) -> None:
    """A cluster that just started may not know its topics for a moment: nothing to read is not all that was read."""
    late, seen = Topic[FeedbackGiven](f"test.{uuid.uuid4().hex[:8]}.late.v1", (FeedbackGiven,), by_answer), set[str]()
    follower = Follower(
        late, lambda event: seen.add(str(event.event_id)), CODEC, _kafka(kafka.bootstrap), SystemClock()
    )
    follower.start()
    with pytest.raises(Stop, match=r"ends of .* are not known"):
        follower.catch_up(A_WHILE_S)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(late.name, 1, 1)])[late.name].result(PATIENCE_S)
    producer: Any = Producer(producer_config(Kafka(bootstrap=kafka.bootstrap)))
    producer.produce(late.name, value=CODEC.encode(late.subject, late.events, feedback(7)), key=b"k")
    assert producer.flush(PATIENCE_S) == 0
    follower.catch_up(PATIENCE_S)
    assert seen == {"e7"}
    follower.stop()
