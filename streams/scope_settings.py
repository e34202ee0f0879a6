"""Settings of what an assistant is not for."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from processors.answer.scope import Scope
from streams.section import Section

__all__ = ["ScopeSection"]

Examples = tuple[Annotated[str, Field(min_length=1, max_length=500)], ...]

# Of all topics of a tenant: each question is compared with each.
_MOST = 500


class ScopeSection(Section):
    """What the assistant is not for (docs/scope.md). Nothing is out of scope by itself."""

    topics: dict[str, Examples] = Field(
        default_factory=dict,
        description="What is out of scope, as it is told (`medical advice`), each with questions that ask for it.",
    )
    tenant_topics: dict[str, dict[str, Examples]] = Field(
        default_factory=dict, description="The same by tenant, laid over those for all."
    )
    nearness: float = Field(0.25, ge=-1, le=1, description="Least cosine of a question to one of these, by MiniLM.")
    margin: float = Field(0.15, ge=0, le=2, description="And how much more that is than its cosine to any passage.")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        for topics in (self.topics, *self.tenant_topics.values()):
            if (count := sum(map(len, topics.values()))) > _MOST:
                raise ValueError(f"wanted at most {_MOST} questions in all topics, got {count}; leave similar ones out")
        return self

    def scope(self) -> Scope:
        """These values for the step."""
        return Scope(self.topics, self.tenant_topics, self.nearness, self.margin)
