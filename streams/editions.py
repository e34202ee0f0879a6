"""What this deployment says on its answers of what made them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from processors.answer.edition import Edition
from streams.generations import Generations
from streams.pins import pins_of

if TYPE_CHECKING:
    from streams.parts import Parts

__all__ = ["edition_of"]


def edition_of(parts: Parts) -> Edition:
    """The pipeline as the settings make it; the model of a generation as the log registered it, else the settings'."""
    own, model = parts.port("generation"), parts.port("embedder").model

    def model_of(generation: str) -> str | None:
        # Only where this worker searches does it follow which generations there are.
        generations: Generations | None = parts.port("serving") if parts.has("serving") else None
        registered = generations.living().get(generation) if generations else None
        if registered is not None:
            return registered.model
        return model if generation == own else None

    return Edition(own, pins_of(parts.settings).pipeline, model_of)
