"""Steps that take long: a batch on a busy GPU, a generation that may hang. Each notes what it began, for the count."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from processors.contract import Reject
from schemas.envelope import Event
from schemas.measures import FeedbackGiven

_LONG_S: Final = 3_600.0


def gpu(argument: str) -> Callable[..., Any]:
    """`gpu:<milliseconds>:<file>`: every batch takes that long; the records it worked on stand in the file.

    The first of a process is quick: it shows that the worker is there.
    """
    milliseconds, _, path = argument.partition(":")
    warm = False

    def gpu(events: Sequence[FeedbackGiven]) -> list[list[Event] | Reject]:
        nonlocal warm
        _note(path, events)
        time.sleep(float(milliseconds) / 1_000 if warm else 0.0)
        warm = True
        return [[copied(event)] for event in events]

    return gpu


def generates(argument: str) -> Callable[..., Any]:
    """`generates:<milliseconds>:<flag>`: each takes that long; the first never ends while `flag` is there.

    What was begun stands in `<flag>.begun`, which of them hangs in `<flag>.hung`.
    """
    milliseconds, _, flag = argument.partition(":")

    async def generates(event: FeedbackGiven) -> AsyncIterator[FeedbackGiven]:
        _note(f"{flag}.begun", [event])
        hangs = Path(flag).exists() and _first(Path(f"{flag}.hung"), event)
        await asyncio.sleep(_LONG_S if hangs else float(milliseconds) / 1_000)
        yield copied(event)

    return generates


def noted(path: Path) -> Counter[str]:
    """How often each record was begun, by `key/number`."""
    return Counter(path.read_text(encoding="utf-8").split()) if path.exists() else Counter()


def hung(flag: Path) -> str:
    """Which record hangs, by `key/number`; empty where none does."""
    path = Path(f"{flag}.hung")
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _first(path: Path, event: FeedbackGiven) -> bool:
    """Whether this is the record that was begun first in a run, also after a restart."""
    what = f"{event.answer_id}/{event.comment}"
    with contextlib.suppress(FileExistsError), path.open("x", encoding="utf-8") as file:
        file.write(what)
    return path.read_text(encoding="utf-8") == what


def _note(path: str, events: Iterable[FeedbackGiven]) -> None:
    # One write to an appending descriptor: several processes share the file, and a kill tears no line.
    lines = "".join(f"{event.answer_id}/{event.comment}\n" for event in events)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, lines.encode())
    os.close(file)


def copied(event: FeedbackGiven) -> FeedbackGiven:
    """The same event once more."""
    return FeedbackGiven(tenant=event.tenant, answer_id=event.answer_id, rating=event.rating, comment=event.comment)
