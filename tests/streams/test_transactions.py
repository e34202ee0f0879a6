"""The deadline over calls of the client library that may ignore their own (librdkafka#5456)."""

from __future__ import annotations

import threading
import time

import pytest

from streams.transactions import StuckError, bounded


def test_when_a_call_does_not_come_back_then_it_is_left_behind_in_time() -> None:
    release, began = threading.Event(), time.monotonic()

    def stuck() -> None:
        release.wait(30)

    with pytest.raises(StuckError, match=r"within 0\.1 s"):
        bounded(stuck, 0.1)
    assert time.monotonic() - began < 5.0
    release.set()


def test_when_a_call_fails_then_its_own_error_is_raised() -> None:
    def fail() -> None:
        raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        bounded(fail, 5.0)


def test_when_a_call_comes_back_then_nothing_is_raised() -> None:
    bounded(lambda: None, 5.0)
