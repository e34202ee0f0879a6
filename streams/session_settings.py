"""The section of the settings about sessions: what was asked before, and against which the next question is read."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from processors.answer.sessions import SessionLimits
from streams.section import Section

__all__ = ["SessionsSection"]


class SessionsSection(Section):
    """What is remembered of the questions of a session (`docs/adr/0019-sessions.md`)."""

    kind: Literal["none", "memory", "redis"] = Field(
        "memory",
        description="`memory`: a worker that runs the whole answer journey remembers by itself, until it ends; "
        "`redis`: all share those in the Redis of `heads.url`; `none`: every question stands by itself.",
    )
    ttl_s: float = Field(7_200.0, gt=0, description="How long a session lasts after its last answer, seconds.")
    turns: int = Field(8, ge=1, description="Turns of a session kept in full; older ones are summarised.")
    turn_bytes: int = Field(16_384, ge=1_024, description="Most bytes of those turns.")
    note_bytes: int = Field(4_096, ge=0, description="Most bytes of what older turns are summarised to.")
    most: int = Field(10_000, ge=1, description="Most sessions kept; the one that is over soonest goes first.")
    timeout_s: float = Field(
        0.2, gt=0, description="How long one call to Redis may take, seconds; then a question goes on without."
    )

    def limits(self) -> SessionLimits:
        """These values for a store."""
        return SessionLimits(self.ttl_s, self.turns, self.turn_bytes, self.note_bytes, self.most)
