"""The parts of one more index generation in a process that has parts already: its own where it differs, else shared."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from pydantic import ValidationError

from processors.ingest.generations import Identity, require_name
from schemas.documents import GenerationRegistered
from schemas.envelope import Micros
from streams.follow import Follower
from streams.generations import GenerationError
from streams.parts import Parts
from streams.settings import Chunking, Embed, Settings

__all__ = ["GenerationParts", "configuration_of", "registered_of", "settings_of"]

# What another generation has of its own; whatever else a step asks for is the same for all of them.
_OWN: Final = frozenset({"generation", "heads", "store", "splitter", "materials", "build_pace", "registered_at"})
_OF_THE_MODEL: Final = frozenset({"embedder", "embedding_cache"})
# Which model, not how it is run here.
_MODEL: Final = {"model", "dimension"}


def configuration_of(settings: Settings) -> str:
    """The settings that a generation is made by, as they are written into the log.

    >>> from streams.settings import load
    >>> json.loads(configuration_of(load()))["chunking"]["max_tokens"]
    200
    """
    sections = {
        "embed": settings.embed.model_dump(mode="json", include=_MODEL),
        "chunking": settings.chunking.model_dump(mode="json"),
    }
    return json.dumps(sections, sort_keys=True)


def settings_of(settings: Settings, registered: GenerationRegistered) -> Settings:
    """These settings with what the generation has of its own. Raises GenerationError where this release can't."""
    try:
        sections = json.loads(registered.configuration)
        changed = {
            "embed": Embed.model_validate({**settings.embed.model_dump(), **sections.get("embed", {})}),
            "chunking": Chunking.model_validate(sections.get("chunking", {})),
            "index": settings.index.model_copy(update={"generation": require_name(registered.generation)}),
        }
    except (ValueError, ValidationError) as error:
        raise GenerationError(
            f"the configuration of generation {registered.generation!r} can't be used by this release: {error}"
        ) from error
    return settings.model_copy(update=changed)


def registered_of(parts: Parts, corpus: str, *, built: bool) -> GenerationRegistered:
    """The event that says what the generation of these parts is made by. Loads its model."""
    embedder = parts.port("embedder")
    return GenerationRegistered(
        tenant="",
        corpus=corpus,
        generation=require_name(parts.port("generation")),
        model=embedder.model,
        dimension=embedder.dimension,
        fingerprint=parts.port("splitter").fingerprint,
        configuration=configuration_of(parts.settings),
        built=built,
    )


class GenerationParts(Parts):
    """Ports of another generation beside those of `root`. Close it when the generation is retired; `root` stays.

    The model and the vectors known of it are the root's where the generation uses the same; the store, the heads and
    the splitter never are.
    """

    def __init__(self, root: Parts, registered: GenerationRegistered) -> None:
        super().__init__(settings_of(root.settings, registered))
        self._root = root
        self._registered = registered
        ours, theirs = self.settings.embed, root.settings.embed
        same_model = ours.model_dump(include=_MODEL) == theirs.model_dump(include=_MODEL)
        self._own = _OWN if same_model else _OWN | _OF_THE_MODEL
        # One codec for all: it remembers the registry's ids.
        self.__dict__["codec"] = root.codec

    def port(self, name: str) -> Any:
        return super().port(name) if name in self._own else self._root.port(name)

    def has(self, name: str) -> bool:
        return super().has(name) if name in self._own else self._root.has(name)

    def _registered_at(self) -> Micros:
        return self._registered.occurred_at

    def identity(self) -> Identity:
        """What the log says that it is made by."""
        registered = self._registered
        return Identity(registered.model, registered.dimension, registered.fingerprint)

    def open(self, names: set[str], mending: bool = True) -> None:
        """Follows the views of these names; one that the root follows already is followed once."""
        super().open({name for name in names if not self._shared(name)}, mending)

    def followers(self, names: Iterable[str]) -> tuple[Follower, ...]:
        return tuple(self._root._followers[n] if self._shared(n) else self._followers[n] for n in sorted(names))

    def _shared(self, name: str) -> bool:
        return name not in self._own and name in self._root._followers
