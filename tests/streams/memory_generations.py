"""Generations over parts in memory, that say when they are opened and closed."""

from __future__ import annotations

from typing import Any, cast

from adapters.errors import IndexUnavailableError
from adapters.heads_view import MemoryHeads
from adapters.memory import HashingEmbedder, MemoryIndex
from schemas.documents import GenerationRegistered, GenerationState, IndexGeneration
from streams.generations import Generations
from streams.parts import Parts
from streams.settings import load


class MemoryParts:
    """What Generations asks of the parts of one generation."""

    def __init__(self, generation: str, dimension: int = 384, most: int = 3) -> None:
        index = load().index.model_copy(update={"generation": generation, "open_generations": most})
        self.settings = load().model_copy(update={"index": index})
        self.store = MemoryIndex()
        self.heads = MemoryHeads(generation)
        self.heads.open()
        self.embedder = HashingEmbedder(dimension)
        self.opened: list[set[str]] = []
        self.closed = 0
        self.fails = False

    def port(self, name: str) -> Any:
        return getattr(self, name)

    def open(self, names: set[str]) -> None:
        if self.fails:
            raise IndexUnavailableError("held by another process")
        self.opened.append(names)

    def close(self) -> None:
        self.closed += 1


def memory_generations(
    most: int = 3, failing: frozenset[str] = frozenset()
) -> tuple[Generations, dict[str, MemoryParts]]:
    """The generations of a process whose own is g1, and the parts of whatever they open."""
    made: dict[str, MemoryParts] = {}

    def opens(event: GenerationRegistered) -> Parts:
        parts = made[event.generation] = MemoryParts(event.generation, event.dimension)
        parts.fails = event.generation in failing
        return cast("Parts", parts)

    return Generations(cast("Parts", MemoryParts("g1", most=most)), opens), made


def registered(name: str, state: GenerationState = "living", *, built: bool = True) -> GenerationRegistered:
    return GenerationRegistered(
        tenant="",
        corpus="main",
        generation=name,
        model="hashing-8",
        dimension=8,
        fingerprint="f",
        state=state,
        built=built,
    )


def promoted(name: str, previous: str = "g1", **tenants: str) -> IndexGeneration:
    return IndexGeneration(tenant="", corpus="main", generation=name, previous=previous, tenants=tenants)
