"""A broker that goes away in the middle of work: the hops wait, then go on; nothing is lost, doubled or given up."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from headwater.local.broker import BrokerSpec, KafkaBroker
from processors.contract import Reject
from schemas.envelope import Event
from schemas.measures import FeedbackGiven
from streams.batches import BatchHop
from streams.hop import Hop
from streams.keyed import KeyedHop
from tests.streams.bench_hops import Bench, copy, feedback, running

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]


@pytest.fixture
def own_broker(tmp_path: Path, cache_folder: Path) -> Iterator[KafkaBroker]:
    with KafkaBroker(BrokerSpec(tmp_path, cache_folder)) as broker:
        yield broker


def slowly(events: Sequence[FeedbackGiven]) -> list[list[Event] | Reject]:
    time.sleep(0.05)
    return [[event] for event in events]


@pytest.mark.parametrize("away_s", [2.0, 30.0])
def test_when_the_broker_is_killed_in_mid_batch_then_every_record_is_there_once(
    own_broker: KafkaBroker, away_s: float
) -> None:
    bench = Bench(own_broker.bootstrap)
    total = 1_000
    bench.put(*(feedback(n) for n in range(total)))
    with running(bench.hop(BatchHop, [Hop((bench.source,), slowly, (bench.middle,))], most_records=20)):
        time.sleep(1.5)
        own_broker.child.kill()
        time.sleep(away_s)
        own_broker.start()
        found = bench.comments(bench.middle, total)
        assert found == [str(n) for n in range(total)]
    assert bench.read(bench.source.dead_letters, 0, timeout_s=3.0) == []


def test_when_the_broker_is_killed_then_a_keyed_hop_goes_on_and_loses_nothing(own_broker: KafkaBroker) -> None:
    bench = Bench(own_broker.bootstrap)
    with running(bench.hop(KeyedHop, [Hop((bench.source,), copy, (bench.middle,), mode="keyed")])):
        bench.put(*(feedback(n, key=f"k{n}") for n in range(300)))
        own_broker.child.kill()
        time.sleep(2.0)
        own_broker.start()
        bench.put(*(feedback(n, key=f"k{n}") for n in range(300, 400)))
        found = Counter(bench.comments(bench.middle, 400))
    assert set(found) == {str(n) for n in range(400)}
