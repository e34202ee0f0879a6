"""What the workers of a run do to a batch: the steps that a scenario can name, as `name` or `name:argument`."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from processors.contract import Reject
from schemas.envelope import Event
from schemas.measures import FeedbackGiven
from tests.chaos.dependency import asks, asks_blindly, asks_each
from tests.chaos.poison_steps import flaky, poison
from tests.chaos.slow_steps import generates, gpu

Step = Callable[..., Any]


def copied(event: FeedbackGiven) -> FeedbackGiven:
    """The same event once more."""
    return FeedbackGiven(tenant=event.tenant, answer_id=event.answer_id, rating=event.rating, comment=event.comment)


def copy(_: str) -> Step:
    """`copy`: as fast as it goes."""

    def copy(events: Sequence[FeedbackGiven]) -> list[list[Event] | Reject]:
        return [[copied(event)] for event in events]

    return copy


def slow(milliseconds: str) -> Step:
    """`slow:2000`: every batch takes that long, however many records it has."""

    def slow(events: Sequence[FeedbackGiven]) -> list[list[Event] | Reject]:
        time.sleep(float(milliseconds) / 1000)
        return [[copied(event)] for event in events]

    return slow


def each(milliseconds: str) -> Step:
    """`each:20`: every record takes that long, one by one; for keyed hops too."""

    def each(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
        time.sleep(float(milliseconds) / 1000)
        yield copied(event)

    return each


def leak(kilobytes: str) -> Step:
    """`leak:100`: every batch keeps that much memory, a descriptor and a thread for ever; a control of the soak."""
    kept: list[object] = []

    def leak(events: Sequence[FeedbackGiven]) -> list[list[Event] | Reject]:
        thread = threading.Thread(target=threading.Event().wait, daemon=True)
        thread.start()
        kept.append((os.urandom(int(kilobytes) * 1024), os.open(os.devnull, os.O_RDONLY), thread))
        return [[copied(event)] for event in events]

    return leak


HANDLERS: dict[str, Callable[[str], Step]] = {
    "copy": copy,
    "slow": slow,
    "each": each,
    "leak": leak,
    "asks": asks,
    "asks-each": asks_each,
    "asks-blindly": asks_blindly,
    "gpu": gpu,
    "generates": generates,
    "poison": poison,
    "flaky": flaky,
}
"""Name of a handler to what makes its step of the argument; other scenarios add theirs here, one line each."""


def step_of(handler: str) -> Step:
    """The step that a handler's name and argument stand for. Raises KeyError."""
    name, _, argument = handler.partition(":")
    return HANDLERS[name](argument)
