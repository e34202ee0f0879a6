"""The section of the settings about standing questions."""

from __future__ import annotations

from pydantic import Field

from streams.section import Section

__all__ = ["StandingQuestions"]


class StandingQuestions(Section):
    """Questions that are asked again when documents change their answer (`docs/adr/0020-standing-questions.md`)."""

    per_tenant: int = Field(1_000, ge=1, description="Most questions of a tenant that are watched, the oldest first.")
    interval_s: float = Field(
        1.0, ge=0, description="Least time between two askings of a question, seconds; edits meanwhile are one."
    )
    in_flight: int = Field(16, ge=1, description="Most that a worker asks at a time.")
    deadline_s: float = Field(
        60.0, gt=0, description="How long an answer may take, seconds; then the question is asked once more."
    )
    share: float = Field(
        0.25, gt=0, le=1, description="Share of a worker's time for finding out which answers still stand."
    )
    sweep_s: float = Field(60.0, gt=0, description="How often every question is looked at, whatever changed, seconds.")
    longest_s: float = Field(
        600.0, gt=0, description="Longest pause of a question that is asked again and again in vain, seconds."
    )
