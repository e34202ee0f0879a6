"""Isolation: the guilty record alone is given up, and a pause decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event as Signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import IndexUnavailableError
from processors.contract import Reject, Retry, Stop
from streams.retries import ErrorPolicy, GivenUp, Outputs, RetryLater, isolate

POLICY = ErrorPolicy(attempts=3, backoff_s=0.0)


@given(st.lists(st.sampled_from(["ok", "bad", "reject"]), max_size=40))
def test_when_some_fail_then_exactly_those_are_given_up(items: list[str]) -> None:
    def step(batch: Sequence[str]) -> list[Outputs]:
        if "bad" in batch:
            raise ValueError("bad")
        if "reject" in batch:
            raise Reject("no")
        return [[] for _ in batch]

    found = [type(outputs).__name__ for outputs in isolate(step, items, POLICY)]
    assert found == [{"ok": "list", "bad": "GivenUp", "reject": "Reject"}[item] for item in items]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["ok", "bad"])), max_size=30))
def test_when_one_fails_then_what_waits_for_it_is_left_out(items: list[tuple[str, str]]) -> None:
    numbered, stuck, called = list(enumerate(items)), dict[str, int](), list[int]()

    def step(batch: Sequence[tuple[int, tuple[str, str]]]) -> list[Outputs]:
        if any(says == "bad" for _, (_, says) in batch):
            raise ValueError("bad")
        called.extend(n for n, _ in batch)
        return [[] for _ in batch]

    def waits(item: tuple[int, tuple[str, str]]) -> bool:
        return stuck.get(item[1][0], item[0]) < item[0]

    def given_up(item: tuple[int, tuple[str, str]], _: GivenUp) -> None:
        stuck.setdefault(item[1][0], item[0])

    outputs = isolate(step, numbered, POLICY, given_up, waits)
    assert len(outputs) == len(items)
    for n, (key, says) in numbered:
        first = next((m for m, (other, bad) in numbered if other == key and bad == "bad"), len(items))
        assert (n in called) == (n < first and says == "ok")
        assert isinstance(outputs[n], GivenUp) == (n == first)


@pytest.mark.parametrize("delays", [(), (0,), (5, 5), (30, 5), (-1,)])
def test_when_delays_do_not_rise_then_they_are_refused(delays: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="rising delays"):
        RetryLater(delays)


def test_when_delays_are_named_then_in_the_largest_unit_that_fits() -> None:
    assert RetryLater((0.2, 1, 90, 120, 7_200)).topics("t") == tuple(
        f"t.retry.{words}" for words in ("200ms", "1s", "90s", "2m", "2h")
    )


def test_when_it_works_the_third_time_then_it_is_not_given_up() -> None:
    calls = 0

    def step(batch: Sequence[str]) -> list[Outputs]:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise Retry("flaky")
        return [[]]

    assert isolate(step, ["one"], POLICY) == [[]]


def test_when_it_never_works_then_the_reason_and_the_attempts_are_kept() -> None:
    def step(batch: Sequence[str]) -> list[Outputs]:
        raise KeyError("colour")

    (given_up,) = isolate(step, ["one"], POLICY)
    assert isinstance(given_up, GivenUp)
    assert (str(given_up), given_up.attempts) == ("KeyError: 'colour'", 3)
    assert isinstance(given_up.__cause__, KeyError)


@pytest.mark.parametrize("error", [Stop("later", 2.0), IndexUnavailableError("down")])
def test_when_a_dependency_is_away_then_the_whole_batch_waits(error: Exception) -> None:
    def step(batch: Sequence[str]) -> list[Outputs]:
        raise error

    with pytest.raises(Stop):
        isolate(step, ["a", "b"], POLICY)


def test_when_the_worker_stops_then_a_retry_does_not_hold_it_up() -> None:
    cancelled = Signal()
    cancelled.set()

    def step(batch: Sequence[str]) -> list[Outputs]:
        raise Retry("flaky")

    with pytest.raises(Stop, match="stopping"):
        isolate(step, ["a"], ErrorPolicy(attempts=9, backoff_s=60.0, cancelled=cancelled))
