"""The section of the settings about answers that are given again."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from streams.section import Section

__all__ = ["AnswerCaching"]


class AnswerCaching(Section):
    """Answers given again to who asks the same, as long as they still hold (`docs/adr/0018-answer-cache.md`)."""

    kind: Literal["none", "memory", "redis"] = Field(
        "none", description="`memory`: each worker keeps its own; `redis`: all share those in the Redis of `heads.url`."
    )
    entries: int = Field(5_000, ge=1, description="Most answers kept; the one not used for longest goes first.")
    ttl_s: float = Field(3_600.0, gt=0, description="Longest that an answer is kept, seconds.")
    timeout_s: float = Field(0.2, gt=0, description="How long one call to Redis may take, seconds; then it is a miss.")
    wait_s: float = Field(
        10.0, ge=0, description="Longest that a question waits for the same one that is being answered, seconds."
    )
    waiting: int = Field(32, ge=0, description="Most questions that wait so at a time in a worker.")
    questions: int = Field(
        2_000,
        ge=0,
        description="Vectors of questions that a worker keeps, so that a repeated one is not embedded again; 0: none.",
    )
    nearness: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Cosine from which another wording is the same question, where it would be answered from the very "
        "same passages; 0: never.",
    )
