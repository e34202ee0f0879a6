"""A deadline over calls of the client library that ignore their own (librdkafka#5456, #5511)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import Final, TypeVar

from streams.errors import StreamsError

__all__ = ["Bounded", "StuckError", "ended"]

_LOOK_S: Final = 0.1
# What a call gets once nothing is to be hoped for: a broker that answers at all does so within this.
LAST_CHANCE_S: Final = 1.0


_Result = TypeVar("_Result")
_Call = tuple[Callable[[], object], "Future[object]"]


class StuckError(StreamsError):
    """A call of the client library did not come back within the time it was given."""


class Bounded:
    """Runs calls in a thread of its own and stops waiting for one in time. Use one per owner of such calls.

        >>> Bounded("offsets")(lambda: 7, timeout_s=1.0)
        7

    A stuck call keeps its thread: it ends when the call does, or with the process. The next call gets a new one.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls = self._new()

    def __call__(
        self,
        call: Callable[[], object],
        timeout_s: float,
        hopeless: Callable[[], bool] = lambda: False,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> object:
        """The call's result or error. `hopeless` is asked now and then: from its first yes on one more second is given.

        `meanwhile` is done here while the call is under way. Raises StuckError.
        """
        future: Future[object] = Future()
        self._calls.put((call, future))
        meanwhile()
        left, given_up = timeout_s, False
        try:
            while left > 0 and not ended(future, min(_LOOK_S, left)):
                left -= _LOOK_S
                if not given_up and hopeless():
                    left, given_up = min(left, LAST_CHANCE_S), True
            if future.done():
                return future.result()
        finally:
            # An error holds this frame: held by the frame in turn, it would keep the call's client alive, whose threads
            # wake up a thousand times a second once its broker was lost.
            del future, call
        self.close()
        self._calls = self._new()
        what = "a broker was lost and" if given_up else f"wanted an answer within {timeout_s:.1f} s,"
        raise StuckError(f"{what} the client library gave none")

    def close(self) -> None:
        """Ends the thread, once its last call is over."""
        self._calls.put(None)

    def _new(self) -> SimpleQueue[_Call | None]:
        calls: SimpleQueue[_Call | None] = SimpleQueue()
        # Not a pool: the interpreter would wait for its threads at the end, and so for a stuck call.
        threading.Thread(target=_serve, args=(calls,), name=f"bounded {self._name}", daemon=True).start()
        return calls


def _serve(calls: SimpleQueue[_Call | None]) -> None:
    while (taken := calls.get()) is not None:
        _run(*taken)
        # Waiting for the next call must not keep alive what the last one was given.
        del taken


def ended(future: Future[_Result], within_s: float) -> bool:
    """Whether a call ended within a time, whatever came of it."""
    wait((future,), within_s)
    return future.done()


def _run(call: Callable[[], object], future: Future[object]) -> None:
    try:
        future.set_result(call())
    except BaseException as error:
        future.set_exception(error)
    finally:
        # The error holds this frame, and the future holds the error.
        del call, future
