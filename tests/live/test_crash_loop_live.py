"""A record that kills its process, against a real broker: it ends among the dead letters, and nothing else does."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition

from headwater.local.broker import BrokerSpec, KafkaBroker
from streams.clients import producer_config
from streams.retries import RetryLater
from streams.settings import load
from streams.suspects import Kind, Mark
from tests.chaos.rows import CODEC, Row, consumer_of, event_of, feedback_topic, make_topics, read_topic
from tests.live.crash_child import CrashSpec

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
COUNT = 200
DEADLY = "137"
# A dead member's partitions come back when its session is over.
SESSION = (
    ("group.consumer.session.timeout.ms", "1200"),
    ("group.consumer.min.session.timeout.ms", "1000"),
    ("group.consumer.heartbeat.interval.ms", "300"),
    ("group.consumer.min.heartbeat.interval.ms", "300"),
    ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "300"),
)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[KafkaBroker]:
    """A broker with a short session."""
    spec = BrokerSpec(tmp_path_factory.mktemp("kafka"), cache_folder, quick=True, properties=SESSION)
    with KafkaBroker(spec) as broker:
        yield broker


@dataclass
class Case:
    """Topics of one test, and the process that is started again whenever it died."""

    spec: CrashSpec
    deaths: int = 0
    said: list[int] = field(default_factory=list)

    @contextmanager
    def process(self, **changes: Any) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "tests.live.crash_child", replace(self.spec, **changes).text()]
        with Path(f"{self.spec.log}.out").open("ab") as said:
            child = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said)
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(20.0)
            except subprocess.TimeoutExpired:
                child.kill()

    def live_on(self, within_s: float = 150.0, **changes: Any) -> None:
        """Starts the process again and again until everything is settled."""
        until = time.monotonic() + within_s
        while not self.settled():
            if time.monotonic() > until:
                said = Path(f"{self.spec.log}.out").read_text(encoding="utf-8")
                raise AssertionError(f"not settled after {self.deaths} deaths; {said[-3_000:]}")
            with self.process(**changes) as child:
                while child.poll() is None and time.monotonic() < until and not self.settled():
                    time.sleep(0.2)
                self.deaths += child.poll() is not None

    def settled(self) -> bool:
        return len({row.seq for row in (*self.out(), *self.letters())}) >= COUNT

    def out(self) -> list[Row]:
        return read_topic(self.spec.bootstrap, self.spec.sink)

    def letters(self) -> list[Row]:
        return read_topic(self.spec.bootstrap, f"{self.spec.source}.dlq")

    def marks(self) -> list[Mark | None]:
        with consumer_of(self.spec.bootstrap, **{"group.id": self.spec.group}) as asking:
            places = [TopicPartition(self.spec.source, n) for n in range(2)]
            return [Mark.read(found.metadata) for found in asking.committed(places, timeout=10.0)]

    def handled(self) -> list[int]:
        """With how many others the deadly record was in hand each time it was handled."""
        path = Path(self.spec.log)
        return [int(line) for line in path.read_text(encoding="utf-8").split()] if path.exists() else []


@pytest.fixture
def case(quick: KafkaBroker, tmp_path: Path) -> Case:
    name = f"crash.{uuid.uuid4().hex[:8]}"
    spec = CrashSpec(quick.bootstrap, f"{name}.in.v1", f"{name}.out.v1", name, str(tmp_path / "log"))
    make_topics(quick.bootstrap, {spec.source: 2, spec.sink: 1, f"{spec.source}.dlq": 1})
    topic, producer = (
        feedback_topic(spec.source),
        Producer(producer_config(load(kafka={"bootstrap": quick.bootstrap}).kafka)),
    )
    for n in range(COUNT):
        value = CODEC.encode(topic.subject, topic.events, event_of(f"k{n % 20}", n))
        producer.produce(spec.source, key=f"k{n % 20}", value=value)
    assert producer.flush(10.0) == 0
    return Case(spec)


def headers_of(case: Case) -> dict[str, bytes]:
    """The headers of the first dead letter."""
    with consumer_of(case.spec.bootstrap) as reading:
        reading.assign([TopicPartition(f"{case.spec.source}.dlq", 0, 0)])
        until = time.monotonic() + 10.0
        while time.monotonic() < until:
            message = reading.poll(0.2)
            if message is not None and message.error() is None:
                return dict(message.headers())
    raise AssertionError("no dead letter")


@pytest.mark.parametrize("how", [signal.SIGSEGV, 0], ids=["segfault", "exit"])
def test_when_a_record_kills_its_process_then_it_alone_is_a_dead_letter_and_the_rest_is_delivered_once(
    case: Case, how: int
) -> None:
    case.live_on(deadly=DEADLY, how=int(how))
    assert Counter(row.seq for row in case.out()) == {n: 1 for n in range(COUNT) if str(n) != DEADLY}
    assert [row.seq for row in case.letters()] == [int(DEADLY)]
    headers = headers_of(case)
    assert headers["dlq.exception"] == b"Crashed" and b"died 3 times" in headers["dlq.reason"]
    assert case.handled()[-3:] == [1, 1, 1], "alone each time that counts"
    assert len(case.handled()) == case.deaths <= 6
    assert case.marks() == [None, None]


def test_when_a_hop_may_repeat_itself_then_the_record_is_found_all_the_same(case: Case) -> None:
    case.live_on(deadly=DEADLY, exactly_once=False)
    assert {row.seq for row in case.out()} == {n for n in range(COUNT) if str(n) != DEADLY}
    assert {row.seq for row in case.letters()} == {int(DEADLY)}
    assert case.handled()[-3:] == [1, 1, 1]


def test_when_a_healthy_process_is_killed_again_and_again_then_no_record_is_given_up(case: Case) -> None:
    chance = random.Random(3)
    for _ in range(12):
        with case.process(slow_s=0.3, batch=20) as child, suppress(subprocess.TimeoutExpired):
            child.wait(chance.uniform(2.5, 5.0))
            child.kill()
    case.live_on(batch=20)
    assert Counter(row.seq for row in case.out()) == dict.fromkeys(range(COUNT), 1)
    assert case.letters() == []


def test_when_a_process_stops_cleanly_in_its_first_batch_then_nobody_is_suspected(case: Case) -> None:
    with case.process(slow_s=3.0) as child:
        until = time.monotonic() + 60.0
        while not any(case.marks()) and time.monotonic() < until:
            time.sleep(0.1)
        assert {mark.kind for mark in case.marks() if mark} == {Kind.HAND}
        child.send_signal(signal.SIGTERM)
        assert child.wait(30.0) == 0
    assert case.marks() == [None, None]
    case.live_on()
    assert Counter(row.seq for row in case.out()) == dict.fromkeys(range(COUNT), 1)


def test_when_the_deadly_record_waits_in_a_retry_topic_then_it_is_found_there_too(case: Case) -> None:
    later = (0.5, 1.0)
    names = RetryLater(later).topics(case.spec.source)
    make_topics(case.spec.bootstrap, dict.fromkeys(names, 2))
    # 117 fails for good; 137 has its key and follows it, and kills the process as soon as it is handled.
    case.live_on(deadly=DEADLY, failing="117", later=later)
    assert Counter(row.seq for row in case.out()) == {n: 1 for n in range(COUNT) if n not in (117, int(DEADLY))}
    assert sorted(row.seq for row in case.letters()) == [117, int(DEADLY)]
    of_key = [row.seq for row in case.out() if row.seq % 20 == 17]
    assert of_key == sorted(of_key)
