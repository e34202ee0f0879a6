"""The section of the settings about asking a model whether sources say what was written."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from streams.section import Section

__all__ = ["VerifySection"]


class VerifySection(Section):
    """A model is asked about sentences of which the offline judge is not sure. Off until set."""

    on: bool = Field(False, description="Ask: the small model where there is one, else that of `generate.url`.")
    low: float = Field(0.35, ge=0, le=1, description="Sentences with less support are not asked about, they fall.")
    high: float = Field(0.85, ge=0, le=1, description="Nor are those with at least so much, which stand.")
    sentences: int = Field(4, ge=1, le=32, description="Most questions about one answer.")
    timeout_s: float = Field(2.0, gt=0, description="How long all of them together may take, seconds.")
    reserve_ms: int = Field(300, ge=0, description="Time of a question left for what comes after, milliseconds.")
    max_tokens: int = Field(160, ge=16, description="Upper bound of a reply, in tokens.")
    shape: Literal["response_format", "structured_outputs", "none"] = Field(
        "response_format",
        description="How a server is held to JSON: OpenAI's field, vLLM's own (not sent to a small server without "
        "extensions), or not at all.",
    )

    @model_validator(mode="after")
    def _in_order(self) -> VerifySection:
        if self.low >= self.high:
            raise ValueError(f"wanted low below high, got {self.low:g} and {self.high:g}")
        return self
