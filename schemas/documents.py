"""What happens to a document: changed at the source, parsed, redacted, chunked, embedded, and what it now is."""

from __future__ import annotations

from typing import Literal

from schemas.envelope import Event, Micros, Value, Version

BlockKind = Literal["heading", "paragraph", "table", "code", "list", "UNKNOWN"]
GenerationState = Literal["living", "retired", "UNKNOWN"]
IndexOutcome = Literal["indexed", "unchanged", "outdated", "deleted", "access", "rejected", "UNKNOWN"]


class Claim(Value, frozen=True, kw_only=True):
    """A body kept outside the log because it is large: fetched by `uri`, proven by `sha256`."""

    uri: str
    sha256: str
    size: int


class DocumentChanged(Event, frozen=True, kw_only=True):
    """A document was created or changed at its source; either `body` or `claim` holds its bytes.

    `version` is None where the source has no position of its own: the first step then takes the record's offset.
    `access` lists who may see it (`*` is everyone of the tenant; `group:x`, `user:y`); empty means nobody.
    """

    document: str
    media_type: str
    body: bytes | None = None
    claim: Claim | None = None
    title: str = ""
    source_uri: str = ""
    access: tuple[str, ...] = ("*",)
    properties: dict[str, str] = {}
    version: Version | None = None


class DocumentDeleted(Event, frozen=True, kw_only=True):
    """A document is gone at its source. A delete has a version too, so that a late upsert can't bring it back."""

    document: str
    reason: str = ""
    version: Version | None = None


class AccessChanged(Event, frozen=True, kw_only=True):
    """Who may see a document changed, its content did not."""

    document: str
    access: tuple[str, ...]
    version: Version | None = None


class Block(Value, frozen=True, kw_only=True):
    """A piece of a document's structure; `start` and `end` are character offsets in the parsed text."""

    kind: BlockKind
    text: str
    start: int
    end: int
    level: int = 0
    page: int | None = None
    heading_path: tuple[str, ...] = ()


class DocumentParsed(Event, frozen=True, kw_only=True):
    """A document as blocks with offsets; bytes and formats are behind us."""

    document: str
    version: Version
    title: str
    media_type: str
    source_uri: str
    access: tuple[str, ...]
    blocks: tuple[Block, ...]
    properties: dict[str, str] = {}


class Redaction(Value, frozen=True, kw_only=True):
    """How many pieces of one kind (email, iban, secret) were found, and what was done: mask, tokenise or drop_block."""

    kind: str
    count: int
    action: str = "mask"


class DocumentRedacted(DocumentParsed, frozen=True, kw_only=True):
    """The same after PII and secrets are masked: what index generations are rebuilt from.

    Offsets are those of the text as it is here. `policy` is the fingerprint of the rules that were applied.
    """

    redactions: tuple[Redaction, ...] = ()
    policy: str = ""


class Parent(Value, frozen=True, kw_only=True):
    """The passage around a small chunk, which is read where the chunk was found; offsets as of the chunk."""

    text: str
    start: int
    end: int


class Chunk(Value, frozen=True, kw_only=True):
    """A passage: what is embedded, found and cited.

    `name` is stable over versions: chunker version, SHA-256 of the text and how-manieth occurrence.
    `start`, `end` are character offsets in the parsed text. The first `lead` characters of `text` stand further up:
    the header row of a table that was cut.
    """

    name: str
    ordinal: int
    text: str
    start: int
    end: int
    tokens: int
    kind: BlockKind = "paragraph"
    heading_path: tuple[str, ...] = ()
    page: int | None = None
    lead: int = 0
    parent: Parent | None = None


class ChunkCreated(Event, frozen=True, kw_only=True):
    """A chunk of one version of a document. All chunks of a version come before its DocumentChunked."""

    document: str
    version: Version
    title: str
    source_uri: str
    access: tuple[str, ...]
    chunk: Chunk


class Place(Value, frozen=True, kw_only=True):
    """Where a chunk stands in one version: characters of the parsed text, and the page where there are pages."""

    start: int
    end: int
    page: int | None = None


class DocumentChunked(Event, frozen=True, kw_only=True):
    """The manifest that closes a version: the order of its chunks. Order per key makes it the commit marker.

    `places` are those of `names`: a chunk that an edit further up moved keeps its name and its object.
    `words_hash` and `signature` are what documents are compared by (`processors/ingest/duplicates.py`), `properties`
    what questions may be narrowed by: those of the document that are short, and its `media_type`.
    """

    document: str
    version: Version
    title: str
    source_uri: str
    access: tuple[str, ...]
    names: tuple[str, ...]
    fingerprint: str
    places: tuple[Place, ...] = ()
    words_hash: str = ""
    signature: bytes | None = None
    properties: dict[str, str] = {}


class ChunkEmbedded(ChunkCreated, frozen=True, kw_only=True):
    """A chunk with its vector: little-endian float32, `dimension` of them, length 1."""

    model: str
    dimension: int
    vector: bytes


class EmbeddingComputed(Event, frozen=True, kw_only=True):
    """A vector that was really computed, by model and SHA-256 of the text: fills the cache, and is what is charged."""

    model: str
    text_hash: str
    dimension: int
    vector: bytes
    tokens: int
    seconds: float
    document: str


class HeadChunk(Value, frozen=True, kw_only=True):
    """A chunk's name, the id of the object in the index that holds it, and where it stands in this version.

    The object may have been written for an earlier version, in which the chunk stood elsewhere.
    """

    name: str
    object_id: str
    place: Place | None = None


class DocumentHead(Event, frozen=True, kw_only=True):
    """What a document is now. The log of heads is the truth; the index only finds candidates.

    Newer means that `version` or `access_version` is higher and neither is lower. `removed` is what only the head
    before listed; `gone` is a delete, kept so that nothing older can come back.
    """

    document: str
    version: Version
    access_version: Version
    generation: str
    chunks: tuple[HeadChunk, ...] = ()
    removed: tuple[str, ...] = ()
    supersedes: Version | None = None
    access: tuple[str, ...] = ()
    title: str = ""
    source_uri: str = ""
    fingerprint: str = ""
    gone: bool = False
    outcome: IndexOutcome = "indexed"
    kept: int = 0
    added: int = 0
    words_hash: str = ""
    signature: bytes | None = None
    properties: dict[str, str] = {}


class DocumentIndexed(Event, frozen=True, kw_only=True):
    """The receipt of a version: what it did to the index. `trail` holds the moment of every stage.

    `near_duplicate_of` names another document of the tenant that says the same or nearly so: nothing is dropped.
    """

    document: str
    version: Version
    outcome: IndexOutcome
    generation: str
    kept: int = 0
    added: int = 0
    removed: int = 0
    reason: str = ""
    near_duplicate_of: str = ""


class StoreErasure(Value, frozen=True, kw_only=True):
    """What one store held of an erased document, and what a read-back found afterwards."""

    store: str
    removed: int
    left: int


class DocumentErased(Event, frozen=True, kw_only=True):
    """The receipt of an erasure, store by store, and by when the logs have forgotten.

    `forgotten_by` is 0 where a log gives no such bound; `note` then names it. `request` is the event id of the request.
    """

    document: str
    stores: tuple[StoreErasure, ...]
    forgotten_by: Micros
    request: str = ""
    reason: str = ""
    note: str = ""


class RequestAccepted(Event, frozen=True, kw_only=True):
    """A request with an idempotency key was taken over: what it was, and where its event stands.

    `request` is derived from the key, so that the key itself, which a client chose, is kept nowhere.
    """

    request: str
    digest: str
    topic: str
    partition: int
    offset: int


class ErasureRequested(Event, frozen=True, kw_only=True):
    """Somebody wants everything of a document gone, also from the logs; `reason` stands on the receipt.

    `request` names the request that this one repeats, where a change of the source outran its delete.
    """

    document: str
    reason: str = ""
    request: str = ""


class StorePlan(Value, frozen=True, kw_only=True):
    """What one store held of a document before its erasure, by the store's own names: ids, hashes, offsets; no text."""

    store: str
    things: tuple[str, ...]


class ErasurePlanned(Event, frozen=True, kw_only=True):
    """What there was of a document before anything was removed, so that a crash in between changes no receipt.

    `deleted` says that a delete was published with this plan: the head that follows is newer than `after`.
    """

    document: str
    request: str
    reason: str
    stores: tuple[StorePlan, ...]
    deleted: bool
    after: Version


class IndexGeneration(Event, frozen=True, kw_only=True):
    """Which generation serves a corpus: promoting and rolling back are this one event.

    `tenants` names those that another one serves (a canary); the newest event of a corpus holds the whole truth.
    """

    corpus: str
    generation: str
    previous: str = ""
    reason: str = ""
    tenants: dict[str, str] = {}


class GenerationRegistered(Event, frozen=True, kw_only=True):
    """An index generation and what it is made by, so that every worker and every reader makes the same of it.

    `configuration` is JSON: the sections of the settings that count. `built` ones are replayed by consumer groups of
    their own; another is what ordinary ingest writes. The envelope's `git_sha` is the commit that made it.
    """

    corpus: str
    generation: str
    model: str
    dimension: int
    fingerprint: str
    configuration: str = "{}"
    built: bool = True
    state: GenerationState = "living"
    reason: str = ""
