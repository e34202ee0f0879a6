"""Steps that fail: for good, for a while, or by taking their process with them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from processors.contract import Reject
from schemas.envelope import Event
from schemas.measures import FeedbackGiven

PERCENT: Final = 100
# More would be more than the tries that there are: two at once, and two after each of two delays.
FAILS_MOST: Final = 4


def fails_for_good(key: str, seq: int) -> bool:
    """One record in a hundred."""
    return crc32(f"{key}/{seq}".encode()) % PERCENT == 0


def fails_first(key: str, seq: int) -> int:
    """How often a record fails before it works: one in ten, up to four times."""
    chosen = crc32(f"{key}:{seq}".encode())
    return 1 + chosen // 10 % FAILS_MOST if chosen % 10 == 0 else 0


def _said(event: FeedbackGiven) -> FeedbackGiven:
    return FeedbackGiven(tenant=event.tenant, answer_id=event.answer_id, rating=event.rating, comment=event.comment)


def poison(deadly: str) -> Callable[..., Any]:
    """`poison:k3/17`: one record in a hundred raises, that one kills the process."""

    def poison(events: Sequence[FeedbackGiven]) -> list[list[Event] | Reject]:
        for event in events:
            if f"{event.answer_id}/{event.comment}" == deadly:
                os.kill(os.getpid(), signal.SIGSEGV)
                time.sleep(5.0)
            if fails_for_good(event.answer_id, int(event.comment)):
                raise ValueError(f"can't do {event.answer_id}/{event.comment}")
        return [[_said(event)] for event in events]

    return poison


def flaky(folder: str) -> Callable[..., Any]:
    """`flaky:FOLDER`: one record in ten fails a few times; the folder keeps the count, for all processes."""
    kept = Path(folder)
    kept.mkdir(parents=True, exist_ok=True)

    def tried(event: FeedbackGiven) -> bool:
        for n in range(fails_first(event.answer_id, int(event.comment))):
            path = kept / f"{event.answer_id}-{event.comment}-{n}"
            if not path.exists():
                path.touch()
                return False
        return True

    def flaky(events: Sequence[FeedbackGiven]) -> list[list[Event] | Reject]:
        # Only a record alone is charged with a try: a batch that fails is halved first.
        failing = [event for event in events if fails_first(event.answer_id, int(event.comment))]
        if failing and (len(events) > 1 or not tried(failing[0])):
            raise ValueError(f"not yet: {len(failing)} of {len(events)}")
        return [[_said(event)] for event in events]

    return flaky
