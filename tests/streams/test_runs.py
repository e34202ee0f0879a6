"""Completed offsets as commit metadata: a round trip, never too long, and what is cut only forgets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.runs import METADATA_BYTES, decode, encode

OFFSETS = st.sets(st.integers(0, 5_000), max_size=300)


@given(OFFSETS, st.integers(0, 10**12))
def test_when_written_and_read_then_the_same_offsets_are_completed(completed: set[int], committed: int) -> None:
    above = {committed + offset for offset in completed}
    assert decode(committed, encode(committed, above)) == above


@given(st.integers(0, 3_000), st.integers(2, 9), st.integers(8, 400))
def test_when_there_is_no_room_then_only_the_newest_are_forgotten(count: int, step: int, room: int) -> None:
    completed = [7 + step * n for n in range(count)]
    text = encode(7, completed, room)
    kept = decode(7, text)
    assert len(text) <= room
    assert sorted(kept) == completed[: len(kept)]


def test_when_every_second_record_is_done_then_it_fits_what_kafka_keeps() -> None:
    assert len(encode(0, range(1, 100_000, 2))) <= METADATA_BYTES


@pytest.mark.parametrize(
    "metadata", [None, "", "r1", "r1+", "r1+x", "r1+1.0", "r1+1.zzzzzz", "r2+1.1", "r1+-1.2", "r1+1.1.1", "später"]
)
def test_when_metadata_is_not_ours_then_nothing_is_completed(metadata: str | None) -> None:
    assert decode(3, metadata) == frozenset()
