"""What a worker has to know of the index generations before it starts: may it write the configured one, and does it?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from processors.ingest.generations import Identity, differences
from schemas.documents import GenerationRegistered, IndexGeneration
from streams.generations import GenerationError, Generations
from streams.parts import Parts
from streams.publishing import Entrance, Publisher
from streams.selection import Selected
from topics.ingest import INDEX_GENERATION

__all__ = ["WRITES_OWN", "enter_generations", "without_own"]

WRITES_OWN: Final = frozenset({"chunk", "embed", "index", "settle"})
"""The steps of ordinary ingest that write the configured generation."""


def enter_generations(parts: Parts, *, writes: bool) -> Generations:
    """Follows the log of generations and holds the settings against it; the first worker writes its own into it.

    Raises GenerationError where the configured generation is built from other settings, or by a group of its own.
    """
    generations = parts.follow_generations()
    registered = generations.table.registered.get(generations.own)
    if registered is not None:
        _require_same(registered, parts)
    elif writes:
        if generations.living():
            raise GenerationError(
                f"wanted index.generation among those there are ({', '.join(sorted(generations.living()))}), got "
                f"{generations.own!r}, which would begin empty; put it back, and make a new one with: "
                f"headwater index build {generations.own}"
            )
        _announce(parts, generations)
        parts.follow_generations()
    return generations


def without_own(selected: Iterable[Selected]) -> list[Selected]:
    """The hops without those that write the configured generation: after it is retired, the others go on from
    redacted documents."""
    left = [Selected(one.journey, tuple(hop for hop in one.hops if not _writes_own(one, hop.name))) for one in selected]
    return [one for one in left if one.hops]


def _writes_own(selected: Selected, step: str) -> bool:
    return selected.journey == "ingest" and step in WRITES_OWN


def _require_same(registered: GenerationRegistered, parts: Parts) -> None:
    name = registered.generation
    if registered.built:
        raise GenerationError(
            f"index generation {name!r} is built by a consumer group of its own, so it can't be the one that ordinary "
            "ingest writes too; put index.generation back, it says nothing about what serves (headwater index ls)"
        )
    recorded = Identity(registered.model, registered.dimension, registered.fingerprint)
    if found := differences(recorded, parts.identity()):
        raise GenerationError(
            f"index generation {name!r} is made with {'; '.join(found)}: put these settings back, or make the change "
            "as a generation of its own (headwater index build NAME) and promote that"
        )


def _announce(parts: Parts, generations: Generations) -> None:
    """Writes the configured generation into the log, and that it serves."""
    from streams.generation_parts import registered_of

    corpus = generations.table.corpus
    entrance = Entrance(parts.port("clock"), parts.port("ids"), parts.version, parts.settings.git_sha)
    events: Sequence[GenerationRegistered | IndexGeneration] = (
        registered_of(parts, corpus, built=False),
        IndexGeneration(tenant="", corpus=corpus, generation=generations.own, reason="the first of its corpus"),
    )
    with Publisher(parts.settings.kafka, parts.codec, entrance) as publisher:
        for event in events:
            publisher.publish(INDEX_GENERATION, event)
