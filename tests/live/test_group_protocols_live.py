"""Both group protocols, and static members: rebalances in mid-work, clean restarts, an id that is not free yet."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from confluent_kafka import Consumer

from headwater.local.broker import KafkaBroker
from processors.contract import Reject
from schemas.envelope import Event
from schemas.measures import FeedbackGiven
from streams.batches import BatchHop
from streams.clients import consumer_config
from streams.hop import Hop
from streams.keyed import KeyedHop
from streams.settings import Settings, load
from tests.streams.bench_hops import DEADLINE_S, Bench, eventually, feedback, running

pytestmark = pytest.mark.live

PROTOCOLS = ["consumer", "classic"]
RECORDS = 400
KEYS = 40
IN_FLIGHT = 6


def settings_for(kafka: KafkaBroker, protocol: str, slot: str, **worker: Any) -> Settings:
    return load(
        kafka={"bootstrap": kafka.bootstrap, "deadline_s": 10.0, "group_protocol": protocol},
        worker={"slot": slot, "drain_s": 5.0, **worker},
    )


def in_order(comments: Sequence[str]) -> bool:
    """Whether the numbers of every key rise, repeats aside."""
    first = list(dict.fromkeys(int(comment) for comment in comments))
    keys: dict[int, list[int]] = {}
    for number in first:
        keys.setdefault(number % KEYS, []).append(number)
    return all(numbers == sorted(numbers) for numbers in keys.values())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_when_members_come_and_go_in_mid_batch_then_each_record_is_copied_once_in_order(
    kafka: KafkaBroker, protocol: str
) -> None:
    bench = Bench(kafka.bootstrap, partitions=4)

    def slow(events: Sequence[FeedbackGiven]) -> list[list[Event] | Reject]:
        time.sleep(0.6)
        return [[event] for event in events]

    bench.put(*(feedback(n, key=f"k{n % KEYS}") for n in range(RECORDS)))
    hops = [Hop((bench.source,), slow, (bench.middle,))]

    def hop(slot: str) -> Any:
        return bench.hop(BatchHop, hops, settings_for(kafka, protocol, slot), most_records=25)

    with running(hop("0")):
        time.sleep(1.5)
        with running(second := hop("1")):
            eventually(lambda: len(places(second)) == 2)
            time.sleep(1.5)
        found = bench.comments(bench.middle, RECORDS)
    assert Counter(found) == Counter(str(n) for n in range(RECORDS))
    assert in_order(found)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_when_members_come_and_go_in_mid_work_then_no_key_is_lost_and_repeats_are_few(
    kafka: KafkaBroker, protocol: str
) -> None:
    bench = Bench(kafka.bootstrap, partitions=4)

    async def slow(event: FeedbackGiven) -> AsyncIterator[FeedbackGiven]:
        await asyncio.sleep(0.1)
        yield event

    bench.put(*(feedback(n, key=f"k{n % KEYS}") for n in range(RECORDS)))
    hops = [Hop((bench.source,), slow, (bench.middle,), mode="keyed")]

    def hop(slot: str) -> Any:
        return bench.hop(KeyedHop, hops, settings_for(kafka, protocol, slot, drain_s=1.0, in_flight_keys=IN_FLIGHT))

    with running(hop("0")):
        time.sleep(0.5)
        with running(second := hop("1")):
            eventually(lambda: len(places(second)) == 2)
            time.sleep(1.0)
        found = bench.comments(bench.middle, RECORDS)
    repeated = len(found) - len(set(found))
    print(f"{protocol}: {repeated} of {RECORDS} repeated over two rebalances")
    assert set(found) == {str(n) for n in range(RECORDS)}
    # What was in flight when a partition left or a worker ended, and nothing that was finished.
    assert repeated <= 2 * IN_FLIGHT
    assert in_order(found)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", [BatchHop, KeyedHop])
def test_when_a_static_member_restarts_then_it_has_its_partitions_again_and_nobody_else_is_disturbed(
    kafka: KafkaBroker, protocol: str, kind: type[Any]
) -> None:
    bench = Bench(kafka.bootstrap, partitions=4)
    mode: Any = "keyed" if kind is KeyedHop else "batch"
    hops = [Hop((bench.source,), one_by_one, (bench.middle,), mode=mode)]

    def hop(slot: str) -> Any:
        return bench.hop(kind, hops, settings_for(kafka, protocol, slot, static_member=True))

    stays = hop("stays")
    with running(stays):
        with running(warm := hop("warm")):
            eventually(lambda: len(places(stays)) == len(places(warm)) == 2)
            settled = stays._intake.revocations
        with running(hop("warm")):
            bench.put(*(feedback(n, key=f"k{n}") for n in range(40)))
            found = bench.comments(bench.middle, 40)
        assert Counter(found) == Counter(str(n) for n in range(40))
        assert len(places(stays)) == 2
        assert stays._intake.revocations == settled


def test_when_the_id_of_a_static_member_is_not_free_yet_then_it_waits_and_joins(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap)
    settings = settings_for(kafka, "consumer", "warm", static_member=True)
    config = consumer_config(settings.kafka, bench.group, **{"group.instance.id": f"{bench.group}-warm"})
    # As one that was killed leaves it: the id is taken until somebody gives it back.
    taken = Consumer(config)
    taken.subscribe([bench.source.name])
    poll_until(taken, lambda: bool(taken.assignment()))
    bench.put(feedback(1))
    hop = bench.hop(BatchHop, [Hop((bench.source,), one_by_one, (bench.middle,))], settings)
    with running(hop):
        poll_until(taken, lambda: False, 3.0)
        assert bench.read(bench.middle.name, 0) == []
        with contextlib.closing(taken):
            pass
        assert bench.comments(bench.middle, 1) == ["1"]


def one_by_one(event: FeedbackGiven) -> Any:
    yield event


def places(hop: Any) -> tuple[Any, ...]:
    found: tuple[Any, ...] = hop._intake.ledger.places() if hasattr(hop, "_intake") else ()
    return found


def poll_until(consumer: Any, check: Callable[[], bool], within_s: float = DEADLINE_S) -> None:
    until = time.monotonic() + within_s
    while not check() and time.monotonic() < until:
        consumer.poll(0.05)
