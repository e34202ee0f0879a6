"""Settings of load: from which wait on questions are answered with less, or turned away."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from processors.answer.load import LoadSteps
from streams.section import Section

__all__ = ["LoadSection"]


class LoadSection(Section):
    """From which wait of a worker's oldest question on all are answered with less (docs/load.md). Off until set."""

    rank_s: float = Field(0.0, ge=0, description="Ranking is left out: the fused order is used, seconds; 0: never.")
    fewer_s: float = Field(0.0, ge=0, description="Only the better half of the passages is read, seconds; 0: never.")
    small_s: float = Field(0.0, ge=0, description="The small model is asked first, seconds; 0: never.")
    quotes_s: float = Field(
        0.0, ge=0, description="Sources are quoted (`models.fallback: extractive`), seconds; 0: never."
    )
    shed_s: float = Field(
        0.0, ge=0, description="Questions are turned away (`overloaded`) but for cached answers, seconds; 0: never."
    )
    calm_s: float = Field(2.0, ge=0, description="How long half of a wait must last before its rung is left, seconds.")
    bulk_patience: float = Field(10.0, ge=1, description="How many times longer bulk questions may wait.")

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if not self.steps().rise:
            raise ValueError("wanted rank_s, fewer_s, small_s, quotes_s and shed_s to rise, as far as they are set")
        return self

    def steps(self) -> LoadSteps:
        """These values for the gauge."""
        return LoadSteps(**self.model_dump())
