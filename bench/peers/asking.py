"""How a way to passages is asked: the same for every contender. Only the standard library, as peers import it too."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, Final

__all__ = ["ASKERS", "TOP", "WARM", "Ask", "fresh", "measured"]

TOP: Final = 10
ASKERS: Final = 8
WARM: Final = 20
CROWD_S: Final = 6.0
# An edit that nobody finds for so long is lost.
FOUND_S: Final = 30.0
_TICK_S: Final = 1.0 / os.sysconf("SC_CLK_TCK")

Question = Sequence[str]
"""Its id and its text."""
Ask = Callable[[str], list[str]]
"""A question's text becomes the ids of passages, best first."""


def measured(
    ask: Ask, judged: Sequence[Question], others: Sequence[Question], processes: Iterable[int] = ()
) -> dict[str, Any]:
    """One question at a time, then eight askers with questions that were not asked yet.

    `processes` are those that answer, where it is not this one: their processor time is counted.
    """
    pids = tuple(processes)
    for _, text in others[:WARM]:
        ask(text)
    runs, milliseconds, used = {}, [], _cpu_s(pids)
    for name, text in judged:
        began = time.perf_counter()
        found = ask(text)
        milliseconds.append(1000 * (time.perf_counter() - began))
        runs[name] = found[:TOP]
    used = _cpu_s(pids) - used
    return {
        "runs": runs,
        "ms": [round(each, 3) for each in milliseconds],
        "cpu_ms": round(1000 * used / len(judged), 2),
        "per_s": round(_crowded(ask, others[WARM:]), 1),
    }


def fresh(
    change: Callable[[int], None], arrived: Callable[[int], bool], edits: int, rest_s: float = 0.02
) -> list[float]:
    """Milliseconds from before each edit is handed over until a question has found its text."""
    milliseconds = []
    for edit in range(edits):
        time.sleep(rest_s)
        began = time.perf_counter()
        change(edit)
        while not arrived(edit):
            if time.perf_counter() - began > FOUND_S:
                raise TimeoutError(f"edit {edit} was not found within {FOUND_S:g} s")
        milliseconds.append(round(1000 * (time.perf_counter() - began), 2))
    return milliseconds


def _crowded(ask: Ask, questions: Sequence[Question]) -> float:
    """Questions answered in a second, eight being open all the time."""
    left, lock = iter(questions), Lock()
    began = time.perf_counter()
    until = began + CROWD_S

    def asker(_: int) -> int:
        done = 0
        while time.perf_counter() < until:
            with lock:
                question = next(left, None)
            if question is None:
                break
            ask(question[1])
            done += 1
        return done

    with ThreadPoolExecutor(ASKERS) as pool:
        done = sum(pool.map(asker, range(ASKERS)))
    return done / (time.perf_counter() - began)


def _cpu_s(pids: Sequence[int]) -> float:
    """Processor time used so far, by this process or by others."""
    if not pids:
        return time.process_time()
    return sum(_used_s(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")) for pid in pids)


def _used_s(stat: str) -> float:
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S
