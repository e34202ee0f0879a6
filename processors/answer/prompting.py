"""Prompts as values: a name, a version that is the hash of their content, and what they make of a question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from schemas.queries import Source

ANSWER_PROMPT: Final = "answer"
"""The prompt that `assemble` renders: answer from numbered sources only."""

NO_ANSWER: Final = "NOT IN THE DOCUMENTS"
"""What the prompt tells a model to say, and nothing else, where the sources hold no answer."""


@dataclass(frozen=True)
class Rendered:
    """What a model is asked: the system text, the same for every question, and the prompt."""

    system: str
    prompt: str


class Prompt(Protocol):
    """A versioned prompt. `source_tokens` is how many tokens of sources it is meant to hold."""

    @property
    def version(self) -> str: ...

    @property
    def source_tokens(self) -> int: ...

    def render(self, question: str, sources: Sequence[Source]) -> Rendered: ...


class Prompts(Protocol):
    """Finds a prompt by name; raises PromptMissingError with the names there are."""

    def get(self, name: str) -> Prompt: ...
