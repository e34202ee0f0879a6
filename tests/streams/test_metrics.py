"""What every hop counts: there from the start, told apart by hop and topic, asked for at the moment of a scrape."""

from __future__ import annotations

import math
import uuid

import pytest
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from adapters.memory import ManualClock
from streams import metrics
from streams.records import Record

BY_TOPIC = {"headwater_hop_events", "headwater_hop_lag_records"}


def hop() -> str:
    return f"metrics.{uuid.uuid4().hex[:8]}"


def value(name: str, hop: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"hop": hop, **labels})


def test_when_a_hop_begins_then_every_metric_of_it_is_there_at_zero() -> None:
    name = hop()
    metrics.announce(name)
    families = [each for each in vars(metrics).values() if isinstance(each, MetricWrapperBase)]
    hops = {each._name for each in families if each._labelnames == ("hop",)}
    page = [line for line in generate_latest().decode().splitlines() if f'hop="{name}"' in line]
    shown = {family for family in hops if any(line.startswith(family) for line in page)}
    assert shown == hops
    assert {each._name for each in families if each._labelnames[:1] == ("hop",)} - hops == BY_TOPIC
    assert value("headwater_hop_dead_letters_total", name) == 0


def test_when_positions_are_noted_then_lag_is_by_topic_and_a_lost_topic_has_none() -> None:
    name = hop()
    metrics.observe_positions(name, {("a", 0): (5, 9), ("a", 1): (7, 10), ("b", 0): (3, 3)}, owned=3)
    assert value("headwater_hop_lag_records", name, topic="a") == 7
    assert value("headwater_hop_lag_records", name, topic="b") == 0
    assert value("headwater_hop_partitions", name) == 3
    # A position may be ahead of a cached end.
    metrics.observe_positions(name, {("b", 0): (8, 3)}, owned=1)
    assert value("headwater_hop_lag_records", name, topic="a") == 0
    assert value("headwater_hop_lag_records", name, topic="b") == 0


@pytest.mark.parametrize(("seconds", "noted"), [(0.2, 1), (59.0, 1), (3_600.0, 0), (math.inf, 0)])
def test_when_partitions_come_then_the_pause_counts_only_if_some_were_lost_just_before(
    seconds: float, noted: int
) -> None:
    name = hop()
    metrics.announce(name)
    metrics.observe_rebalance(name, seconds)
    assert value("headwater_hop_rebalances_total", name) == 1
    assert value("headwater_hop_rebalance_seconds_count", name) == noted


def test_when_records_are_in_hand_then_the_age_counts_from_the_last_commit() -> None:
    name, clock = hop(), ManualClock()
    hand = metrics.InHand(name, clock)

    def age() -> float | None:
        return value("headwater_hop_commit_age_seconds", name)

    clock.advance(100)
    assert age() == 0
    hand.hold_batch([Record("t", 0, 0, b"k", b"four"), Record("t", 0, 1, b"k", None)])
    assert value("headwater_hop_in_flight_records", name) == 2
    assert value("headwater_hop_in_flight_bytes", name) == 4
    hand.hold_more([Record("t", 0, 2, b"k", b"three"), Record("t", 0, 3, b"k", b"")])
    hand.hold_more([])
    assert value("headwater_hop_in_flight_records", name) == 4
    assert value("headwater_hop_in_flight_bytes", name) == 9
    clock.advance(30)
    assert age() == 30
    hand.hold(5, 50)
    assert age() == 30
    hand.committed()
    assert age() == 0
    clock.advance(7)
    assert age() == 7
    hand.hold(0, 0)
    clock.advance(7)
    assert age() == 0
    hand.committed()
    clock.advance(7)
    assert age() == 0
