"""The doors to the outside: what a step may ask of a model, an index, the view of heads, or the machine.

Each port has a conformance suite in `tests/conformance/` that every implementation passes, fakes included.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from schemas.documents import Chunk, DocumentHead
from schemas.envelope import Micros, Version

Vectors = npt.NDArray[np.float32]


class Clock(Protocol):
    """The time, so that tests can move it by hand."""

    def now(self) -> Micros: ...

    def monotonic(self) -> float: ...


class Ids(Protocol):
    """New ids where something enters the platform (UUIDv7)."""

    def new(self) -> str: ...


class Tokens(Protocol):
    """Counts tokens as the embedding model does."""

    def count(self, text: str) -> int: ...


class Splitter(Protocol):
    """Cuts blocks into chunks whose boundaries hold still under edits; `fingerprint` names its whole configuration.

    `splitter_for` is the one that cuts documents of a type: itself where there is only one.
    """

    @property
    def fingerprint(self) -> str: ...

    def splitter_for(self, media_type: str, blocks: Sequence[Any]) -> Splitter: ...

    def split(self, blocks: Sequence[Any]) -> list[Chunk]: ...


@dataclass(frozen=True)
class Symbol:
    """A definition in code: where it stands (characters), what it is called, and the definitions within it."""

    name: str
    start: int
    end: int
    inner: tuple[Symbol, ...] = ()


class Syntax(Protocol):
    """Finds the functions and classes of a source text, in order and without overlap.

    `symbols` is None where the language is not known or the text does not parse. `fingerprint` names the grammar.
    """

    def symbols(self, language: str, text: str) -> tuple[Symbol, ...] | None: ...

    def fingerprint(self, language: str) -> str: ...


class Embedder(Protocol):
    """Turns texts into unit vectors: one row per text, float32, `dimension` wide."""

    @property
    def model(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> Vectors: ...

    def count(self, text: str) -> int: ...


class EmbeddingCache(Protocol):
    """Vectors already computed, by model and SHA-256 of the text. A cache, never the truth: a miss only costs."""

    def get(self, model: str, text_hash: str) -> bytes | None: ...

    def put(self, model: str, text_hash: str, vector: bytes) -> None: ...


@dataclass(frozen=True)
class IndexObject:
    """A chunk as the index holds it. `object_id` is never used again once it was removed."""

    object_id: str
    tenant: str
    document: str
    version: Version
    title: str
    source_uri: str
    access: tuple[str, ...]
    chunk: Chunk
    vector: bytes


@dataclass(frozen=True)
class Candidate:
    """What a search found: the object and the score of the search that found it (not comparable across searches)."""

    object: IndexObject
    score: float


class Index(Protocol):
    """Finds candidates; what a document is, its head decides.

    `upsert` returns once the objects are durable and searchable. `existing` says which ids are held in full.
    Both searches see one tenant only. `set_access` patches the filter hint without touching a vector.
    Raises IndexUnavailableError (adapters/errors.py) when it can't be reached.
    """

    def upsert(self, objects: Sequence[IndexObject]) -> None: ...

    def remove(self, tenant: str, object_ids: Iterable[str]) -> int: ...

    def existing(self, tenant: str, object_ids: Iterable[str]) -> set[str]: ...

    def search_text(self, tenant: str, text: str, limit: int, access: frozenset[str]) -> list[Candidate]: ...

    def search_vector(self, tenant: str, vector: Vectors, limit: int, access: frozenset[str]) -> list[Candidate]: ...

    def set_access(self, tenant: str, object_ids: Iterable[str], access: tuple[str, ...]) -> None: ...

    def walk(self, tenant: str | None = None) -> Iterator[IndexObject]: ...


class Heads(Protocol):
    """The view of document heads of one generation: folded from the log, closed until it has caught up.

    `fold` takes a head if it is newer (`processors/ingest/heads.py: newer`). `get` and `all_of` raise
    HeadsClosedError while the view is being rebuilt: an unknown head means no, a closed view answers nothing.
    """

    def get(self, tenant: str, document: str) -> DocumentHead | None: ...

    def get_many(self, tenant: str, documents: Iterable[str]) -> Mapping[str, DocumentHead]: ...

    def fold(self, head: DocumentHead) -> bool: ...

    def knows(self, tenant: str) -> bool: ...


class Ranker(Protocol):
    """Scores texts against a question, higher is better; comparable within one call only."""

    @property
    def model(self) -> str: ...

    def score(self, question: str, texts: Sequence[str]) -> list[float]: ...


@dataclass(frozen=True)
class Piece:
    """A piece of generated text; the last one has no text and carries the usage the server counted."""

    text: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    finished: bool = False


class Generator(Protocol):
    """Writes text for a prompt, piece by piece. Raises GeneratorUnavailableError before the first piece only."""

    @property
    def model(self) -> str: ...

    def generate(self, system: str, prompt: str, *, tenant: str, max_tokens: int) -> AsyncIterator[Piece]: ...


class Judge(Protocol):
    """Says how far a sentence is supported by texts: 0 not at all, 1 entirely."""

    def support(self, sentence: str, texts: Sequence[str]) -> float: ...


class Signer(Protocol):
    """Sums up the runs of words of a text in a few bytes, alike for texts that share most of them."""

    def sign(self, shingles: npt.NDArray[np.uint32]) -> bytes: ...


class Duplicates(Protocol):
    """The documents that say nearly the same, folded from the log of heads: `like` names one, or is empty."""

    def fold(self, head: DocumentHead) -> None: ...

    def like(self, head: DocumentHead) -> str: ...


class Claims(Protocol):
    """Bodies kept outside the log: stores one, fetches one. Raises ClaimMissingError."""

    def put(self, body: bytes) -> str: ...

    def get(self, uri: str, sha256: str) -> bytes: ...
