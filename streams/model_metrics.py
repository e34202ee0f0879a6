"""What is counted on the way to the models; the step's word is `generate`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

__all__ = ["note", "watch_waiting"]

BREAKER: Final = Gauge("headwater_breaker_state", "0 closed, 1 half-open, 2 open.", ["target"])
FIRST_WORD: Final = Histogram(
    "headwater_generate_first_word_seconds",
    "From asking a model to its first word.",
    ["route"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
RETRIES: Final = Counter("headwater_generate_retries_total", "Second tries of a server.", ["route"])
FALLBACKS: Final = Counter("headwater_generate_fallbacks_total", "Questions given up by a route.", ["route"])
HEDGES: Final = Counter("headwater_generate_hedges_total", "Second servers asked, since one was late.", ["route"])
OVERLOADED: Final = Counter("headwater_generate_overloaded_total", "Questions for which there was no room.")
WAITING: Final = Gauge("headwater_generate_waiting", "Questions that wait for a place of their tenant.")

_COUNTERS: Final = {"retry": RETRIES, "fallback": FALLBACKS, "hedge": HEDGES}


def note(what: str, route: str, value: float) -> None:
    """Counts what the way to the models says of itself (`adapters/model_race.py: Note`).

    >>> note("retry", "large", 1); RETRIES.labels("large")._value.get() >= 1
    True
    """
    if what == "breaker":
        BREAKER.labels(route).set(value)
    elif what == "first_word":
        FIRST_WORD.labels(route).observe(value)
    elif what == "overloaded":
        OVERLOADED.inc(value)
    else:
        _COUNTERS[what].labels(route).inc(value)


def watch_waiting(count: Callable[[], float]) -> None:
    """From now on the gauge of waiting questions says what this does when it is asked."""
    WAITING.set_function(count)
