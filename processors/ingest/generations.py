"""Index generations as the log tells of them: which there are, what each is made by, and which one serves whom."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from schemas.documents import GenerationRegistered, IndexGeneration
from schemas.envelope import Event

__all__ = ["Choice", "GenerationTable", "Identity", "differences", "named_well", "require_name"]

# It names a folder, a consumer group and a collection.
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,30}")


def named_well(name: str) -> bool:
    """Whether a name can be a generation's: lower case letters, digits and underscores, a letter first.

    >>> named_well("g2_words"), named_well("../g2"), named_well("G2")
    (True, False, False)
    """
    return _NAME.fullmatch(name) is not None


def require_name(name: str) -> str:
    """The name, where it can be one. Raises ValueError."""
    if named_well(name):
        return name
    raise ValueError(
        f"wanted a name of at most 31 lower case letters, digits and underscores, a letter first, got {name!r}"
    )


@dataclass(frozen=True)
class Identity:
    """What makes vectors and chunks of two indexes the same kind; an empty field is not known."""

    model: str = ""
    dimension: int = 0
    fingerprint: str = ""


def differences(recorded: Identity, wanted: Identity) -> list[str]:
    """Where two identities contradict each other, in words; what one of them does not know is no contradiction.

    >>> differences(Identity("a", 384), Identity("a", 256, "s1"))
    ['dimension 384, not 256']
    """
    pairs = (
        ("model", recorded.model, wanted.model),
        ("dimension", recorded.dimension, wanted.dimension),
        ("chunking", recorded.fingerprint, wanted.fingerprint),
    )
    return [f"{name} {was}, not {now}" for name, was, now in pairs if was and now and was != now]


@dataclass(frozen=True)
class Choice:
    """Who is served by what: one generation for all, others for some tenants (a canary)."""

    generation: str
    previous: str = ""
    tenants: Mapping[str, str] = field(default_factory=dict)

    def of(self, tenant: str) -> str:
        return self.tenants.get(tenant, self.generation)

    @property
    def serving(self) -> frozenset[str]:
        """Every generation that serves somebody."""
        return frozenset({self.generation, *self.tenants.values()})


class GenerationTable:
    """The state of one corpus, folded from `rag.index.generation.v1`. Not safe for threads: its owner locks.

    >>> table = GenerationTable("main")
    >>> table.fold(IndexGeneration(tenant="", corpus="main", generation="g2", previous="g1"))
    >>> table.choice.of("acme")
    'g2'

    Events of other corpora, and names that can't be a generation's, are passed over: they become paths.
    """

    def __init__(self, corpus: str) -> None:
        self.corpus = corpus
        self.registered: dict[str, GenerationRegistered] = {}
        self.choice: Choice | None = None

    def fold(self, event: Event) -> None:
        """Takes an event in the order of the log; the newest counts."""
        if isinstance(event, GenerationRegistered) and self._ours(event.corpus, (event.generation,)):
            self.registered[event.generation] = event
        elif isinstance(event, IndexGeneration) and self._ours(
            event.corpus, (event.generation, *event.tenants.values())
        ):
            self.choice = Choice(event.generation, event.previous, dict(event.tenants))

    def living(self) -> dict[str, GenerationRegistered]:
        """The generations that are not retired, by name."""
        return {name: one for name, one in self.registered.items() if one.state != "retired"}

    def retired(self, name: str) -> bool:
        return name in self.registered and self.registered[name].state == "retired"

    def _ours(self, corpus: str, names: Iterable[str]) -> bool:
        return corpus == self.corpus and all(map(named_well, names))
