"""Settings of search: how wide it is, and the metadata that questions may be narrowed by."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from processors.answer.drawing import problem_of_phrase
from processors.answer.filters import FilterField, FilterFields, spelled
from processors.answer.limits import RetrievalLimits
from streams.section import Section

__all__ = ["DeclaredField", "Retrieve"]


class DeclaredField(Section):
    """A property of documents by which questions may be narrowed, and how questions speak of it."""

    kind: Literal["word", "number", "date", "choice"] = Field(
        "word", description="What its values are; `choice` is one of `values`."
    )
    values: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="`choice`: the values, each with the other words for it."
    )
    phrases: tuple[str, ...] = Field(
        (), description="Words that state it in a question, with the place of its value: `in the {value} handbook`."
    )
    since: tuple[str, ...] = Field((), description="Words that state the least value: `in papers since {value}`.")
    until: tuple[str, ...] = Field((), description="Words that state the greatest: `in papers until {value}`.")
    least: float = Field(float("-inf"), description="A smaller number in a question is something else.")
    most: float = Field(float("inf"), description="A greater number in a question is something else.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        phrases = (*self.phrases, *self.since, *self.until)
        problems = [wrong for phrase in phrases if (wrong := problem_of_phrase(phrase, self.kind))]
        called = [spelled(word) for value, others in self.values.items() for word in (value, *others)]
        if problems:
            raise ValueError(problems[0])
        if (self.kind == "choice") != bool(self.values):
            raise ValueError("wanted `values` for a choice and for nothing else; name them, or choose another kind")
        if len(set(called)) < len(called) or not all(called):
            raise ValueError("wanted each word to mean one of the `values`, got one twice or an empty one")
        if (self.since or self.until) and self.kind not in ("number", "date"):
            raise ValueError(f"wanted `since` and `until` for numbers and dates only, got them for a {self.kind}")
        return self

    def field(self) -> FilterField:
        """These values for the steps."""
        return FilterField(
            kind=self.kind,
            values=tuple(self.values.items()),
            phrases=self.phrases,
            since=self.since,
            until=self.until,
            least=self.least,
            most=self.most,
        )


class Retrieve(Section):
    """Search."""

    candidates: int = Field(30, ge=1, description="Candidates that go to the reranker.")
    passages: int = Field(6, ge=1, description="Passages that go into the prompt.")
    rerank_deadline_ms: int = Field(
        400, ge=1, description="Beyond this the fused order is used, and the answer says so."
    )
    filters: dict[str, DeclaredField] = Field(
        default_factory=dict,
        description="What questions may be narrowed by, by name of the property: docs/filters.md.",
    )
    tenant_filters: dict[str, dict[str, DeclaredField]] = Field(
        default_factory=dict, description="The same by tenant, laid over those for all."
    )
    drawn_margin: float = Field(
        1.5,
        ge=0,
        description="How much better (fused score) a passage may fit that a drawn filter hides than the best that it "
        "leaves; beyond, the filter is dropped.",
    )

    def limits(self) -> RetrievalLimits:
        """These values for the steps."""
        return RetrievalLimits(
            candidates=self.candidates,
            passages=self.passages,
            rerank_deadline_ms=self.rerank_deadline_ms,
            fields=self.fields(),
            drawn_margin=self.drawn_margin,
        )

    def fields(self) -> FilterFields:
        """What is declared, for the steps."""
        default = {name: one.field() for name, one in self.filters.items()}
        tenants = {
            tenant: {name: one.field() for name, one in declared.items()}
            for tenant, declared in self.tenant_filters.items()
        }
        return FilterFields(default, tenants)
