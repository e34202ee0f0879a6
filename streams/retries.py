"""How a failed step is tried again: the batch is halved until the guilty record stands alone; nothing else suffers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event as Signal
from typing import Any

from adapters.errors import UnavailableError
from processors.contract import Reject, Stop
from schemas.envelope import Event

Outputs = list[Event] | Reject


class GivenUp(Reject):
    """A record that failed alone too often; `attempts` says how often, its cause what failed."""

    def __init__(self, reason: str, attempts: int) -> None:
        super().__init__(reason)
        self.attempts = attempts


@dataclass(frozen=True)
class ErrorPolicy:
    """The budget of a failing record. `cancelled` ends a wait early when the worker stops."""

    attempts: int = 3
    backoff_s: float = 0.05
    backoff_max_s: float = 2.0
    cancelled: Signal = field(default_factory=Signal)

    def wait(self, attempt: int) -> None:
        """Waits before the next attempt, doubling each time. Raises Stop when the worker is stopping."""
        if self.cancelled.wait(min(self.backoff_s * 2 ** (attempt - 1), self.backoff_max_s)):
            raise Stop("the worker is stopping")


def as_stop(error: Exception) -> Stop | None:
    """The pause that an error asks for, None where it is no reason to pause."""
    if isinstance(error, Stop):
        return error
    if isinstance(error, UnavailableError):
        return Stop(str(error))
    return None


def isolate(call: Callable[[Sequence[Any]], list[Outputs]], items: Sequence[Any], policy: ErrorPolicy) -> list[Outputs]:
    """Runs a step on a batch; a batch that fails runs again in halves, a single record within its budget.

    Raises Stop (a dependency is away) untouched: nothing was decided about any record then.

    >>> def step(batch):
    ...     if "bad" in batch: raise ValueError("bad")
    ...     return [[] for _ in batch]
    >>> [type(o).__name__ for o in isolate(step, ["a", "bad", "c"], ErrorPolicy(attempts=1))]
    ['list', 'GivenUp', 'list']
    """
    if not items:
        return []
    try:
        return call(items)
    except Reject as reject:
        if len(items) == 1:
            return [reject]
    except Exception as error:
        if stop := as_stop(error):
            raise stop from error
        if len(items) == 1:
            return [_again(call, items, policy, error)]
    half = len(items) // 2
    return [*isolate(call, items[:half], policy), *isolate(call, items[half:], policy)]


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
