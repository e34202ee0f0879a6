"""How many generations one tenant may have at a time, and how many of its questions may wait for one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

__all__ = ["TenantPlaces"]


@dataclass
class _Tenant:
    busy: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)


class TenantPlaces:
    """Shares a model among tenants within this process. Use it from one event loop; `most` 0 means no bound.

    >>> places = TenantPlaces(most=2, queue=8)  # doctest: +SKIP
    >>> async with places.place("acme", until) as granted:  # doctest: +SKIP
    ...     assert granted  # else: too many wait already, or the time ran out first

    First come, first served. `waiting` counts who waits, over all tenants.
    """

    def __init__(self, most: int = 0, queue: int = 16) -> None:
        self.waiting = 0
        self._most = most
        self._queue = queue
        self._tenants: dict[str, _Tenant] = {}

    @asynccontextmanager
    async def place(self, tenant: str, until: float) -> AsyncIterator[bool]:
        """A place for as long as the block runs; False where there is none by `until`, in the loop's time."""
        if not self._most:
            yield True
            return
        found = self._tenants.setdefault(tenant, _Tenant())
        granted = await self._take(found, until)
        try:
            yield granted
        finally:
            if granted:
                self._give(found)
            # Names come from askers: whoever has nothing here is not remembered.
            if not found.busy:
                self._tenants.pop(tenant, None)

    async def _take(self, found: _Tenant, until: float) -> bool:
        if found.busy < self._most:
            found.busy += 1
            return True
        if len(found.waiting) >= self._queue:
            return False
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        found.waiting.append(turn)
        self.waiting += 1
        try:
            async with asyncio.timeout_at(until if until < float("inf") else None):
                await turn
        except TimeoutError:
            # Granted at the very moment: then it is ours.
            return not turn.cancelled()
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._give(found)
            raise
        finally:
            self.waiting -= 1
            if turn in found.waiting:
                found.waiting.remove(turn)
        return True

    @staticmethod
    def _give(found: _Tenant) -> None:
        """Hands the place on to who waits longest, so that nobody can come in between."""
        while found.waiting:
            turn = found.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        found.busy -= 1
