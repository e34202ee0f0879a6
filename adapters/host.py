"""This machine: its clock, and new ids. The one place that tells time or makes ids inside the rooms."""

from __future__ import annotations

import os
import time
import uuid

from schemas.envelope import Micros


class SystemClock:
    """The Clock port over this machine's clocks."""

    def now(self) -> Micros:
        """Wall-clock time in microseconds since the epoch."""
        return Micros(time.time_ns() // 1_000)

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.monotonic()


class SystemIds:
    """The Ids port: UUIDv7 (RFC 9562), so that ids sort by the time they were made. Python 3.11 has none of its own."""

    def new(self) -> str:
        millis = time.time_ns() // 1_000_000
        random = int.from_bytes(os.urandom(10), "big")
        value = (millis & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | (random >> 68 & 0xFFF) << 64
        return str(uuid.UUID(int=value | 0b10 << 62 | random & 0x3FFF_FFFF_FFFF_FFFF))
