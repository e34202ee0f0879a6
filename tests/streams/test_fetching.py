"""What is fetched comes in bounded amounts, and as runs of one partition in the order of the log."""

from __future__ import annotations

from itertools import pairwise

from confluent_kafka import KafkaError, Message
from hypothesis import given
from hypothesis import strategies as st

from streams.fetching import SLICE, fetched, runs


class Queue:
    """A consumer's queue: hands out what it holds, never more than asked for."""

    def __init__(self, sizes: list[int]) -> None:
        self.left = [Message(topic="t", partition=0, offset=n, value=b"x" * size) for n, size in enumerate(sizes)]

    def consume(self, most: int, _wait_s: float) -> list[Message]:
        taken, self.left = self.left[:most], self.left[most:]
        return taken


def test_when_more_is_there_than_asked_for_then_the_rest_stays() -> None:
    queue = Queue([1] * 5_000)
    found, are_all = fetched(queue, 2_500, 10**9)
    assert [message.offset() for message in found] == list(range(2_500)) and not are_all
    assert len(queue.left) == 2_500
    assert fetched(queue, 2_501, 10**9)[1]


def test_when_values_are_large_then_one_slice_beyond_the_bytes_is_the_most() -> None:
    queue = Queue([1_000] * 5 * SLICE)
    found, are_all = fetched(queue, 5 * SLICE, 1_500_000)
    assert (len(found), are_all) == (2 * SLICE, False)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2)), max_size=60))
def test_when_messages_are_sorted_into_runs_then_none_is_lost_and_neighbours_share_a_run(
    places: list[tuple[str, int]],
) -> None:
    messages = [Message(topic=t, partition=p, offset=n, value=b"") for n, (t, p) in enumerate(places)]
    found = list(runs(messages, None, lambda _: None))
    assert [message.offset() for _, run in found for message in run] == list(range(len(places)))
    assert [place for place, run in found for _ in run] == places
    assert all(one[0] != other[0] for one, other in pairwise(found))


def test_when_an_error_is_among_them_then_it_is_reported_and_the_others_stay_a_run() -> None:
    broken = Message(topic="t", partition=0, error=KafkaError(KafkaError._ALL_BROKERS_DOWN))
    good = [Message(topic="t", partition=0, offset=n, value=b"") for n in range(2)]
    errors: list[KafkaError] = []
    found = list(runs([good[0], broken, good[1]], "t", errors.append))
    assert [(place, len(run)) for place, run in found] == [(("t", 0), 2)]
    assert [error.code() for error in errors] == [KafkaError._ALL_BROKERS_DOWN]
