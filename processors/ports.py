"""The doors to the outside: what a step may ask of a model, an index, the view of heads, or the machine.

Each port has a conformance suite in `tests/conformance/` that every implementation passes, fakes included.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from processors.ingest.formats import Outline
from schemas.documents import Chunk, DocumentHead
from schemas.envelope import Micros, Version
from schemas.queries import Lane

Vectors = npt.NDArray[np.float32]
BreakerState = Literal["closed", "half-open", "open"]


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


class Finding(NamedTuple):
    """Data of a kind (`email`, `iban`) in a text, from `start` up to `end`."""

    kind: str
    start: int
    end: int


class Recogniser(Protocol):
    """Finds personal data and secrets: in order, none over another. `version` changes whenever it may find others."""

    @property
    def version(self) -> str: ...

    @property
    def kinds(self) -> frozenset[str]: ...

    def find(self, text: str, kinds: AbstractSet[str]) -> Sequence[Finding]: ...


class Embedder(Protocol):
    """Turns texts into unit vectors: one row per text, float32, `dimension` wide."""

    @property
    def model(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> Vectors: ...

    def count(self, text: str) -> int: ...


class EmbeddingCache(Protocol):
    """Vectors already computed, by model and SHA-256 of the text. A cache, never the truth: a miss only costs.

    `drop` forgets one; one that is not there is no error.
    """

    def get(self, model: str, text_hash: str) -> bytes | None: ...

    def put(self, model: str, text_hash: str, vector: bytes) -> None: ...

    def drop(self, model: str, text_hash: str) -> None: ...


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


class Candidate(NamedTuple):
    """What a search found: the object and the score of the search that found it (not comparable across searches).

    Its vector is left out, since no reader of passages needs it and it is the largest part.
    """

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


@dataclass(frozen=True)
class Stretch:
    """A piece of one partition of the log, read without a gap: from offset `start` up to, but without, `end`."""

    partition: int
    start: int
    end: int


class FollowedHeads(Heads, Protocol):
    """A view of heads as its follower sees it: how far it holds the log, and whether that is all.

    `apply` folds a stretch and moves the partition's applied offset with it, in one go; where the view lacks something
    before the stretch it does neither. It returns the applied offset as it then is. `mark` names the view's life: one
    that was flushed, restarted, put back to an older copy or belongs to another log lives another. `prove` opens the
    view if it still lives the marked life and holds the log up to `ends`, which were asked for after the mark.
    """

    @property
    def is_open(self) -> bool: ...

    def applied(self) -> Mapping[int, int]: ...

    def apply(self, stretch: Stretch, heads: Sequence[DocumentHead]) -> int: ...

    def mark(self, log: str = "") -> str: ...

    def prove(self, mark: str, ends: Mapping[int, int]) -> bool: ...

    def walk(self, tenant: str | None = None) -> Iterator[DocumentHead]: ...


class Ranker(Protocol):
    """Scores texts against a question, higher is better; comparable within one call only."""

    @property
    def model(self) -> str: ...

    def score(self, question: str, texts: Sequence[str]) -> list[float]: ...


@dataclass(frozen=True)
class Piece:
    """A piece of generated text; the last one has no text. Tokens are what the server has counted until then.

    `finished` says that the model came to its end, `broken` that it was not a length that cut it off. The last names
    the `model` where several may have answered, and in `degraded` what was done without.
    """

    text: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    finished: bool = False
    broken: bool = False
    model: str = ""
    degraded: tuple[str, ...] = ()


OVERLOADED: Final = "overloaded"
"""In `degraded` of a piece without text: too much was asked for already, so the model was not asked at all."""
NO_DEADLINE: Final = Micros(0)


@dataclass(frozen=True)
class Occasion:
    """What a prompt is written for: a question of a lane, so many sources, until when somebody waits (0: for ever).

    `small` asks for the small model first, `shape` for JSON by this schema; a server that can't is not held to it.
    """

    question: str = ""
    sources: int = 0
    lane: Lane = "interactive"
    deadline_at: Micros = NO_DEADLINE
    small: bool = False
    shape: Mapping[str, Any] | None = None


ANY_OCCASION: Final = Occasion()


class Served(Protocol):
    """One index generation as a reader needs it: the store, its heads, and the model that its vectors are of."""

    @property
    def generation(self) -> str: ...

    @property
    def embedder(self) -> Embedder: ...

    @property
    def store(self) -> Index: ...

    @property
    def heads(self) -> Heads: ...


class Serving(Protocol):
    """Which index generation serves a tenant now.

    A question works inside one `lease` from start to end: what it was given stays open and stays the same until it
    leaves, whatever is promoted or retired meanwhile. Raises GenerationClosedError where none can be given yet.
    """

    def lease(self, tenant: str) -> AbstractContextManager[Served]: ...


class Generator(Protocol):
    """Writes text for a prompt, piece by piece. Raises GeneratorUnavailableError before the first piece only.

    `aclose` gives up its connections, in the event loop that it was asked in; it may be asked again afterwards.
    """

    @property
    def model(self) -> str: ...

    def generate(
        self, system: str, prompt: str, *, tenant: str, max_tokens: int, occasion: Occasion = ANY_OCCASION
    ) -> AsyncGenerator[Piece, None]: ...

    async def aclose(self) -> None: ...


class Breakers(Protocol):
    """Which servers are left alone for a while since they failed; those who ask them may share it. Never raises.

    `admits` says whether a server may be asked now: while it is closed always, while it is open never, and after its
    rest one at a time, as a trial. Whoever was admitted says with `tell` how it went, or None where that is not known.
    """

    async def admits(self, server: str) -> bool: ...

    async def tell(self, server: str, went_well: bool | None) -> BreakerState: ...

    async def aclose(self) -> None: ...


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
    """Bodies kept outside the log: stores one, fetches one, drops one for good. Raises ClaimMissingError.

    `drop` of a body that is not there is no error; `holds` says whether one is.
    """

    def put(self, body: bytes) -> str: ...

    def get(self, uri: str, sha256: str) -> bytes: ...

    def holds(self, uri: str) -> bool: ...

    def drop(self, uri: str) -> None: ...


class Parser(Protocol):
    """Reads a document of any media type; `media_type` is what its source declared, charset included.

    Raises Reject with the reason for a document that can't be read (also where its reader crashed, took too long or too
    much memory), UnavailableError (adapters/errors.py) where nothing can be read for now.
    """

    def parse(self, body: bytes, media_type: str) -> Outline: ...
