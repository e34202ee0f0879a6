"""The section of the settings about long-term memory: what users want kept beyond a session."""

from __future__ import annotations

from pydantic import Field

from processors.ingest.memories import MemoryLimits
from streams.section import Section

__all__ = ["MemorySection"]


class MemorySection(Section):
    """Notes of users, each its owner's alone (`docs/adr/0023-long-term-memory.md`)."""

    chars: int = Field(1_000, ge=1, le=8_000, description="Most characters of a note.")
    per_user: int = Field(200, ge=1, le=10_000, description="Most notes of a user; a further one is refused.")
    recalled: int = Field(
        2, ge=0, le=10, description="Most notes that a question reads which asks for its user's; 0: none are read."
    )

    def limits(self) -> MemoryLimits:
        """What may be kept."""
        return MemoryLimits(self.chars, self.per_user)
