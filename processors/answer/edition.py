"""What made an answer, as it stands on it: the pipeline, and the embedding model of the generation it was found in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Edition"]


@dataclass(frozen=True)
class Edition:
    """The names of what answers here. `generation` serves where a question found nothing that names another.

    >>> Edition("g1", "answers-1f", {"g1": "minilm"}.get).embedding("g2")
    ''
    """

    generation: str
    pipeline: str = ""
    model_of: Callable[[str], str | None] = lambda _generation: None

    def embedding(self, generation: str) -> str:
        """The embedding model of a generation; empty where it is not known."""
        return self.model_of(generation) or ""
