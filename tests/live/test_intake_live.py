"""Intake against a real broker: what it reads when partitions come and go while it is paused."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from adapters.host import SystemClock
from headwater.local.broker import KafkaBroker
from streams.intake import Intake
from tests.streams.bench_hops import DEADLINE_S, Bench, feedback, settings_for

pytestmark = pytest.mark.live

RECORDS = 40


def intake(bench: Bench, slot: str) -> Intake:
    settings = settings_for(bench.bootstrap, slot=slot)
    return Intake(settings.kafka, settings.worker, bench.group, [bench.source.name], SystemClock())


def read_until(check: Callable[[], bool], *intakes: Intake) -> None:
    """Polls all of them, in one thread, until it holds; there is nothing to read yet."""
    until = time.monotonic() + DEADLINE_S
    while not check():
        assert time.monotonic() < until, "the partitions were not shared out in time"
        for each in intakes:
            assert each.read(100, 0.05) == []


def test_when_a_partition_is_taken_while_paused_and_comes_back_then_it_is_read(kafka: KafkaBroker) -> None:
    bench = Bench(kafka.bootstrap, partitions=4)
    first = intake(bench, "a")
    read_until(lambda: len(first.ledger.places()) == 4, first)
    first.pause()
    second = intake(bench, "b")
    read_until(lambda: len(second.ledger.places()) == 2 and len(first.ledger.places()) == 2, first, second)
    first.resume()
    second.close()
    read_until(lambda: len(first.ledger.places()) == 4, first)
    bench.put(*(feedback(n, key=f"k{n}") for n in range(RECORDS)))
    found = set[tuple[int, int]]()
    until = time.monotonic() + DEADLINE_S
    while len(found) < RECORDS and time.monotonic() < until:
        found |= {(record.partition, record.offset) for record in first.read(100, 0.1)}
    first.close()
    assert len(found) == RECORDS
    assert len({partition for partition, _ in found}) == 4
