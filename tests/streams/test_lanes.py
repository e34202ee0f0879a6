"""Lanes: places by weight without starvation, bounds in records, bytes and distance with a high and a low mark."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.lanes import Backlog, Limits, Turns, lane_of
from streams.records import Record
from topics.answer import QUERY_ASKED, QUERY_ASKED_BULK

WEIGHTS = {"interactive": 8, "bulk": 1}
FAST, SLOW = ("asked", 0), ("bulk", 0)


def record(topic: str = "asked", size: int = 10, headers: tuple[tuple[str, bytes], ...] = ()) -> Record:
    return Record(topic, 0, 0, None, b"x" * size, headers)


async def settled() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def served(waiting: list[str], places: int = 1, weights: dict[str, int] | None = None) -> list[str]:
    """The order in which lanes that all wait for the same places get them."""
    turns, order = Turns(places, weights or WEIGHTS), list[str]()
    for _ in range(places):
        await turns.take("")

    async def wait(lane: str) -> None:
        await turns.take(lane)
        order.append(lane)

    tasks = [asyncio.ensure_future(wait(lane)) for lane in waiting]
    await settled()
    for _ in waiting:
        turns.give()
        await settled()
    await asyncio.gather(*tasks)
    return order


@pytest.mark.parametrize(
    ("topic", "header", "lane"),
    [
        (QUERY_ASKED, None, "interactive"),
        (QUERY_ASKED, b"bulk", "bulk"),
        (QUERY_ASKED_BULK, None, "bulk"),
        (QUERY_ASKED_BULK, b"interactive", "bulk"),
        (QUERY_ASKED, b"\xff", "�"),
    ],
)
def test_when_a_record_comes_then_its_topic_says_the_lane_and_else_its_header(
    topic: object, header: bytes | None, lane: str
) -> None:
    headers = (("lane", header),) if header else ()
    assert lane_of(topic, record(headers=headers)) == lane  # type: ignore[arg-type]


def test_when_both_lanes_wait_then_places_go_by_weight() -> None:
    order = asyncio.run(served(["bulk"] * 50 + ["interactive"] * 50))
    assert order[0] == "interactive"
    assert Counter(order[:45]) == {"interactive": 40, "bulk": 5}


@given(
    st.integers(1, 4),
    st.integers(1, 9),
    st.lists(st.sampled_from(["interactive", "bulk", "made up", "made up too"]), max_size=40),
)
def test_when_any_lanes_wait_then_each_is_served_and_none_waits_longer_than_the_weights_say(
    places: int, weight: int, waiting: list[str]
) -> None:
    weights = {"interactive": weight, "bulk": 1}
    order = asyncio.run(served(waiting, places, weights))
    assert Counter(order) == Counter(waiting)
    if "bulk" in waiting:
        # Lanes that are not declared share one, of weight 1.
        assert order.index("bulk") <= weight + 2


def test_when_a_waiter_is_cancelled_then_its_place_is_not_lost() -> None:
    async def scene() -> None:
        turns = Turns(1, WEIGHTS)
        await turns.take("bulk")
        gone = asyncio.ensure_future(turns.take("bulk"))
        stays = asyncio.ensure_future(turns.take("bulk"))
        await settled()
        gone.cancel()
        await settled()
        turns.give()
        await asyncio.wait_for(stays, 1)
        late = asyncio.ensure_future(turns.take("bulk"))
        await settled()
        # The place is given and taken back in the same moment.
        turns.give()
        late.cancel()
        await settled()
        await asyncio.wait_for(turns.take("bulk"), 1)

    asyncio.run(scene())


def test_when_a_lane_is_full_then_only_its_partitions_are_held_until_half_is_done() -> None:
    backlog = Backlog(Limits(records=4, kbytes=1_000, gap=100), {"asked": "", "bulk": "bulk"})
    gaps = {FAST: 0, SLOW: 0}
    for _ in range(4):
        backlog.enter(record("bulk"))
    assert backlog.held(gaps) == {SLOW}
    backlog.leave(record("bulk"))
    backlog.leave(record("bulk"))
    assert backlog.held(gaps) == {SLOW}
    backlog.leave(record("bulk"))
    assert backlog.held(gaps) == frozenset()
    assert backlog.records() == {"bulk": 1}


def test_when_records_are_large_then_bytes_are_the_bound() -> None:
    backlog = Backlog(Limits(records=1_000, kbytes=64, gap=100), {"asked": ""})
    backlog.enter(record(size=70_000))
    assert backlog.held({FAST: 1}) == {FAST}
    backlog.leave(record(size=70_000))
    assert backlog.held({FAST: 0}) == frozenset()


@pytest.mark.parametrize(("gaps", "held"), [([9], False), ([10], True), ([10, 5], True), ([10, 4], False)])
def test_when_one_record_is_stuck_then_its_partition_alone_is_held(gaps: list[int], held: bool) -> None:
    backlog = Backlog(Limits(records=1_000, kbytes=1_000, gap=10), {"asked": ""})
    found = [backlog.held({FAST: gap, ("asked", 1): 0}) for gap in gaps][-1]
    assert found == ({FAST} if held else frozenset())


@given(st.lists(st.tuples(st.sampled_from(["asked", "bulk"]), st.integers(0, 200_000)), max_size=30))
def test_when_everything_is_done_then_nothing_is_held(coming: list[tuple[str, int]]) -> None:
    backlog = Backlog(Limits(records=3, kbytes=64, gap=1), {"asked": "", "bulk": "bulk"})
    for topic, size in coming:
        backlog.enter(record(topic, size))
        backlog.held({FAST: 5, SLOW: 5})
    for topic, size in coming:
        backlog.leave(record(topic, size))
    assert backlog.held({FAST: 0, SLOW: 0}) == frozenset()
    assert set(backlog.records().values()) <= {0}
