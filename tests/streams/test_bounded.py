"""The deadline over calls of the client library that may ignore their own (librdkafka#5456)."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
import weakref
from concurrent.futures import Future

import pytest

from streams import bounded
from streams.bounded import Bounded, StuckError


def test_when_a_call_does_not_come_back_then_it_is_left_behind_in_time() -> None:
    release, began = threading.Event(), time.monotonic()

    def stuck() -> None:
        release.wait(30)

    with pytest.raises(StuckError, match=r"within 0\.1 s"):
        Bounded("test")(stuck, 0.1)
    assert time.monotonic() - began < 5.0
    release.set()


def test_when_a_call_fails_then_its_own_error_is_raised() -> None:
    def fail() -> None:
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        Bounded("test")(fail, 5.0)


def test_when_a_call_comes_back_then_nothing_is_raised() -> None:
    assert Bounded("test")(lambda: 7, 5.0) == 7


def test_when_a_call_became_hopeless_then_it_is_left_behind_long_before_its_time_and_the_next_one_runs() -> None:
    release, began, calls = threading.Event(), time.monotonic(), Bounded("test")
    with pytest.raises(StuckError, match="a broker was lost"):
        calls(lambda: release.wait(30), 20.0, hopeless=lambda: True)
    assert time.monotonic() - began < 5.0
    assert calls(lambda: "next", 5.0) == "next"
    release.set()


def test_when_a_call_itself_raises_a_timeout_then_that_is_raised() -> None:
    def late() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        Bounded("test")(late, 5.0)


def test_when_a_call_ends_in_the_moment_in_which_waiting_ended_then_its_result_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ends_just_after(future: Future[object], _within_s: float) -> bool:
        future.result(5.0)
        return False

    monkeypatch.setattr(bounded, "ended", ends_just_after)
    assert Bounded("test")(lambda: 7, 0.1) == 7


@pytest.mark.parametrize("late", [False, True])
def test_when_a_call_is_over_then_nothing_holds_what_it_was_given(late: bool) -> None:
    """A client that is held lives on: its threads wake up a thousand times a second after a broker was lost."""

    class Client:
        def fail(self) -> None:
            if late:
                release.wait(5.0)
            raise ValueError("refused")

    release, client, calls = threading.Event(), Client(), Bounded("test")
    alive = weakref.ref(client)
    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(ValueError, StuckError):
            calls(client.fail, 0.1 if late else 5.0)
        del client
        release.set()
        until = time.monotonic() + 5.0
        while alive() is not None and time.monotonic() < until:
            time.sleep(0.01)
        assert alive() is None
    finally:
        gc.enable()
