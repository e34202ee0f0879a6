"""What the bench says while it runs, and how figures are written."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Final

_BEGAN: Final = time.monotonic()


def say(part: str, line: str) -> None:
    """One line of progress, with the seconds since the start."""
    print(f"[{time.monotonic() - _BEGAN:5.0f} s] {part}: {line}", file=sys.stderr, flush=True)


def quantile(ordered: Sequence[float], share: float) -> float:
    """A quantile of sorted figures."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def quantiles(figures: Sequence[float]) -> dict[str, float]:
    """p50, p95, p99 and the largest, as they are given (milliseconds)."""
    ordered = sorted(figures)
    return {
        "p50": round(quantile(ordered, 0.5), 2),
        "p95": round(quantile(ordered, 0.95), 2),
        "p99": round(quantile(ordered, 0.99), 2),
        "max": round(ordered[-1], 2),
    }
