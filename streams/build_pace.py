"""Building beside serving: while questions come, a build takes a share of the time and leaves them the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from processors.ports import Clock
from streams.generations import Generations

__all__ = ["BuildPace"]

# A longer rest would let a stop wait, and a batch that took so long was slow for other reasons.
_LONGEST_S: Final = 2.0


class BuildPace:
    """The rest between two batches of a build. Use one per generation: `begin` before a batch, `rest` after it.

    Builder and readers share one interpreter where the index is a folder: a build without rests would make the
    questions wait behind it until their deadlines. Where nobody asked anything meanwhile, it does not rest.
    """

    def __init__(
        self,
        generations: Generations,
        clock: Clock,
        share: float,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self._generations, self._clock, self._share = generations, clock, share
        self._pause = pause or threading.Event().wait
        self._began = clock.monotonic()
        self._leases = 0

    def begin(self) -> None:
        """A batch is taken in hand."""
        self._began, self._leases = self._clock.monotonic(), self._generations.leases

    def rest(self) -> None:
        """Waits so long that the batch was `share` of the time, if questions came while it was made."""
        if self._generations.leases == self._leases:
            return
        worked = self._clock.monotonic() - self._began
        self._pause(min(_LONGEST_S, worked * (1.0 / self._share - 1.0)))
