"""The pacing gate of sources: as long as too much is published and not indexed yet, they wait; nothing is dropped."""

from __future__ import annotations

import threading
from typing import Final

from prometheus_client import Gauge

from processors.ports import Clock
from streams.group_lag import GroupLag
from streams.settings import Settings
from topics.ingest import CHUNK_CREATED, CHUNK_EMBEDDED, DOCUMENT_CHANGED, DOCUMENT_PARSED, DOCUMENT_REDACTED

__all__ = ["Pace"]

BACKLOG: Final = Gauge("headwater_capture_backlog_documents", "Published and not yet indexed, as sources see it.")

# The steps by their groups; where they are fused, only the first has read anything.
_GROUPS: Final = (
    ("headwater.ingest.parse.v1", DOCUMENT_CHANGED.name, 1),
    ("headwater.ingest.redact.v1", DOCUMENT_PARSED.name, 1),
    ("headwater.ingest.chunk.v1", DOCUMENT_REDACTED.name, 1),
    # Records here are chunks: about so many make a document.
    ("headwater.ingest.embed.v1", CHUNK_CREATED.name, 10),
    ("headwater.ingest.index.v1", CHUNK_EMBEDDED.name, 10),
)
_LOOK_EVERY_S: Final = 0.25


class Pace:
    """How many documents may be published now. Use one per process that is a source; threads may share it.

        >>> pace = Pace(settings, clock)  # doctest: +SKIP
        >>> pace.wait()                   # doctest: +SKIP

    The backlog is asked for a few times a second; between two looks what went through this gate counts as not indexed.
    A step that never ran counts from the beginning of its topic only if it is the first; the others may be fused.
    Raises ClusterUnavailableError where the cluster does not say.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._most = settings.sources.max_backlog
        self._lag = GroupLag(settings.kafka, clock)
        self._clock = clock
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._backlog = 0

    def room(self) -> int:
        """How many may go through now."""
        with self._lock:
            now = self._clock.monotonic()
            if now - self._looked_at >= _LOOK_EVERY_S:
                self._backlog = self._ask()
                self._looked_at = self._clock.monotonic()
                BACKLOG.set(self._backlog)
            return max(0, self._most - self._backlog)

    def take(self) -> bool:
        """Goes through, if there is room; says whether it did."""
        if not self.room():
            return False
        with self._lock:
            self._backlog += 1
        return True

    def wait(self) -> None:
        """Goes through as soon as there is room, however long that takes."""
        while not self.take():
            threading.Event().wait(_LOOK_EVERY_S)

    def close(self) -> None:
        """Lets the clients go."""
        self._lag.close()

    def _ask(self) -> int:
        return sum(self._behind(group, topic, n == 0) // per for n, (group, topic, per) in enumerate(_GROUPS))

    def _behind(self, group: str, topic: str, first: bool) -> int:
        stands = self._lag.of(group, topic).values()
        return sum(one.records for one in stands if first or one.committed >= 0)
