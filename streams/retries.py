"""How a failed step is tried again: the batch is halved until the guilty record stands alone; nothing else suffers.

First within the process (`ErrorPolicy`), then, where a hop declares it, later and from a topic (`RetryLater`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event as Signal
from typing import Any, Final

from adapters.errors import UnavailableError
from processors.contract import Reject, Stop
from schemas.envelope import Event
from streams import metrics

Outputs = list[Event] | Reject
RETRY: Final = ".retry."
"""Stands between the name of a topic and the delay of its retry topic."""
_UNITS: Final = ((3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms"))


@dataclass(frozen=True)
class RetryLater:
    """When a record that used up its tries in the process is tried again: after each of some delays, then no more.

    >>> RetryLater(delays_s=(5, 300)).topics("rag.document.changed.v1")
    ('rag.document.changed.v1.retry.5s', 'rag.document.changed.v1.retry.5m')

    Raises ValueError for delays that do not rise.
    """

    delays_s: tuple[float, ...]

    def __post_init__(self) -> None:
        millis = [round(delay * 1_000) for delay in self.delays_s]
        if not millis or millis[0] < 1 or millis != sorted(set(millis)):
            raise ValueError(f"wanted rising delays of a millisecond and more, got {self.delays_s}")

    def topics(self, topic: str) -> tuple[str, ...]:
        """The retry topics of a topic, one per delay."""
        return tuple(f"{topic}{RETRY}{_words(round(delay * 1_000))}" for delay in self.delays_s)


def _words(millis: int) -> str:
    size, unit = next(each for each in _UNITS if millis % each[0] == 0)
    return f"{millis // size}{unit}"


class GivenUp(Reject):
    """A record that failed alone too often; `attempts` says how often, its cause what failed."""

    def __init__(self, reason: str, attempts: int) -> None:
        super().__init__(reason)
        self.attempts = attempts


@dataclass(frozen=True)
class ErrorPolicy:
    """The budget of a failing record. `cancelled` ends a wait early when the worker stops; `hop` is who counts it."""

    attempts: int = 3
    backoff_s: float = 0.05
    backoff_max_s: float = 2.0
    cancelled: Signal = field(default_factory=Signal)
    hop: str = ""

    def wait(self, attempt: int) -> None:
        """Waits before the next attempt, doubling each time. Raises Stop when the worker is stopping."""
        metrics.RETRIES.labels(self.hop).inc()
        if self.cancelled.wait(min(self.backoff_s * 2 ** (attempt - 1), self.backoff_max_s)):
            raise Stop("the worker is stopping")


def as_stop(error: Exception) -> Stop | None:
    """The pause that an error asks for, None where it is no reason to pause."""
    if isinstance(error, Stop):
        return error
    if isinstance(error, UnavailableError):
        return Stop(str(error))
    return None


def isolate(
    call: Callable[[Sequence[Any]], list[Outputs]],
    items: Sequence[Any],
    policy: ErrorPolicy,
    given_up: Callable[[Any, GivenUp], None] = lambda *_: None,
    waits: Callable[[Any], bool] = lambda _: False,
) -> list[Outputs]:
    """Runs a step on a batch; a batch that fails runs again in halves, a single record within its budget.

    `given_up` hears of a failure at once, and what `waits` because of it is left out: it comes back without outputs.
    Raises Stop (a dependency is away) untouched: nothing was decided about any record then.

    >>> def step(batch):
    ...     if "bad" in batch: raise ValueError("bad")
    ...     return [[] for _ in batch]
    >>> [type(o).__name__ for o in isolate(step, ["a", "bad", "c"], ErrorPolicy(attempts=1))]
    ['list', 'GivenUp', 'list']
    """
    if not items:
        return []
    held = [waits(item) for item in items]
    if any(held):
        free = [item for item, waiting in zip(items, held, strict=True) if not waiting]
        found = iter(isolate(call, free, policy, given_up, waits))
        return [[] if waiting else next(found) for waiting in held]
    try:
        return call(items)
    except Exception as error:
        if stop := as_stop(error):
            raise stop from error
        if len(items) == 1:
            return [_alone(call, items, policy, error, given_up)]
    half = len(items) // 2
    return [
        *isolate(call, items[:half], policy, given_up, waits),
        *isolate(call, items[half:], policy, given_up, waits),
    ]


def _alone(
    call: Callable[[Sequence[Any]], list[Outputs]],
    items: Sequence[Any],
    policy: ErrorPolicy,
    error: Exception,
    given_up: Callable[[Any, GivenUp], None],
) -> Outputs:
    """What becomes of a single record that failed."""
    outputs = error if isinstance(error, Reject) else _again(call, items, policy, error)
    if isinstance(outputs, GivenUp):
        given_up(items[0], outputs)
    return outputs


def _again(
    call: Callable[[Sequence[Any]], list[Outputs]], items: Sequence[Any], policy: ErrorPolicy, error: Exception
) -> Outputs:
    for attempt in range(1, policy.attempts):
        policy.wait(attempt)
        try:
            return call(items)[0]
        except Reject as reject:
            return reject
        except Exception as again:
            if stop := as_stop(again):
                raise stop from again
            error = again
    given_up = GivenUp(f"{type(error).__name__}: {error}", policy.attempts)
    given_up.__cause__ = error
    return given_up
