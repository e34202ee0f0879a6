"""Editions: what an answer says of what made it is what the pins say."""

from __future__ import annotations

from typing import Any

from schemas.documents import GenerationRegistered
from streams.parts import Parts
from streams.pins import pins_of
from streams.settings import Settings

GIVEN: dict[str, Any] = {"embed": {"model": "hashing"}}


def test_when_an_edition_is_asked_for_then_it_names_the_pinned_pipeline() -> None:
    settings = Settings(**GIVEN)
    edition = Parts(settings).port("edition")
    assert (edition.generation, edition.pipeline) == ("g1", pins_of(settings).pipeline)
    assert (edition.embedding("g1"), edition.embedding("g2")) == ("hashing-384", "")


def test_when_a_generation_has_a_model_of_its_own_then_the_answer_names_that() -> None:
    parts = Parts(Settings(**GIVEN))
    edition = parts.port("edition")
    assert (edition.embedding("g2"), parts.has("serving")) == ("", False), (
        "a worker that only checks follows no generations"
    )
    made_by: dict[str, Any] = {"model": "minilm", "dimension": 384, "fingerprint": "structure/3"}
    parts.port("serving").fold(GenerationRegistered(tenant="", corpus="main", generation="g2", **made_by))
    assert (edition.embedding("g1"), edition.embedding("g2")) == ("hashing-384", "minilm")
