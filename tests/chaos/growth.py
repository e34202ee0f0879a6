"""What a process takes, sampled while it lives: memory, threads, descriptors; and how fast that grows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import psutil

JOIN_S: Final = 10.0
MIB: Final = 1024 * 1024


@dataclass(frozen=True)
class Sample:
    """One look at a process."""

    at: float
    memory_mb: float
    threads: int
    descriptors: int


@dataclass(frozen=True)
class Growth:
    """What became of one process after its warm-up; `mb_an_hour` is the slope of its memory by least squares.

    Threads and descriptors come and go, so the most of the last third is held against the most of the first.
    """

    seconds: float
    mb_an_hour: float
    memory_mb: float
    threads: int
    descriptors: int


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the straight line of least squares; 0 where all points share one place.

    >>> slope([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)])
    2.0
    """
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def growth(samples: Sequence[Sample], warm_up_s: float) -> Growth | None:
    """The growth of a process after its warm-up; None where it did not live long enough to say."""
    warm = [sample for sample in samples if sample.at - samples[0].at >= warm_up_s]
    if len(warm) < 6:
        return None
    third = len(warm) // 3
    first, last = warm[:third], warm[-third:]
    return Growth(
        seconds=warm[-1].at - warm[0].at,
        mb_an_hour=slope([(sample.at / 3_600, sample.memory_mb) for sample in warm]),
        memory_mb=max(sample.memory_mb for sample in last) - max(sample.memory_mb for sample in first),
        threads=max(sample.threads for sample in last) - max(sample.threads for sample in first),
        descriptors=max(sample.descriptors for sample in last) - max(sample.descriptors for sample in first),
    )


class Watch:
    """Samples processes every few seconds. Use it as a context; `pids` names those that live now, by slot."""

    def __init__(self, pids: Callable[[], Mapping[str, int]], every_s: float) -> None:
        self.samples: dict[tuple[str, int], list[Sample]] = {}
        self._pids = pids
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="growth", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(JOIN_S)

    def longest(self, slot: str) -> Sequence[Sample]:
        """The samples of the process that lived longest in a slot."""
        return max((found for (name, _), found in self.samples.items() if name == slot), key=len, default=[])

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            for slot, pid in self._pids().items():
                self._look(slot, pid)

    def _look(self, slot: str, pid: int) -> None:
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                memory, threads, descriptors = process.memory_info().rss, process.num_threads(), process.num_fds()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return
        sample = Sample(time.monotonic(), memory / MIB, threads, descriptors)
        self.samples.setdefault((slot, pid), []).append(sample)
