"""Every setting, in sections, frozen: the only place that reads the environment.

Order: command-line flag > environment (`HEADWATER_SECTION__KEY`) > `HEADWATER_SECRETS_DIR` files > the file of
`--config` > `headwater.yaml` in the working folder > the default here. Unknown keys are errors.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from processors.ingest.capture import TableMapping
from processors.ingest.joins import JoinMapping
from processors.ingest.mapping import FieldMapping, TopicMapping
from processors.ingest.policies import Action
from processors.ingest.prose import SEPARATORS
from processors.ingest.strategies import Rule, Strategy
from streams.cache_settings import AnswerCaching
from streams.errors import StreamsError
from streams.load_settings import LoadSection
from streams.memory_settings import MemorySection
from streams.model_settings import Models
from streams.outlet_settings import OutletSection
from streams.retrieve_settings import Retrieve
from streams.scope_settings import ScopeSection
from streams.section import Section, secret
from streams.session_settings import SessionsSection
from streams.standing_settings import StandingQuestions
from streams.verify_settings import VerifySection


class SettingsError(StreamsError):
    """A setting is unknown or has a value that can't be used; the message names it."""


class Kafka(Section):
    """How to reach the brokers; `extra` passes TLS, SASL or tuning to librdkafka untouched."""

    bootstrap: str = Field("127.0.0.1:19092", description="Broker addresses, host:port, comma separated.")
    partitions: int = Field(4, ge=1, description="Partitions of every topic that `topics ensure` creates.")
    replication: int = Field(1, ge=1, description="Replicas of every topic that `topics ensure` creates.")
    group_protocol: Literal["consumer", "classic"] = Field(
        "consumer", description="`consumer` is KIP-848 (brokers 4.0+); `classic` serves older brokers."
    )
    transaction_timeout_ms: int = Field(8_000, description="Below the group's session timeout, else a zombie lives.")
    max_poll_interval_ms: int = Field(300_000, description="A worker that does not poll for this long is replaced.")
    compression: Literal["none", "lz4", "zstd", "snappy", "gzip"] = Field(
        "lz4", description="Of what is produced. zstd packs tighter and costs up to half of a worker's throughput."
    )
    deadline_s: float = Field(30.0, description="How long any single exchange with the cluster may take, seconds.")
    extra: dict[str, str] = Field(
        default_factory=dict, repr=False, description="librdkafka settings for every client (TLS, SASL)."
    )


class Registry(Section):
    """The schema registry: any that speaks Confluent's REST protocol."""

    url: str = Field("http://127.0.0.1:18081", description="Base address.")
    auto_register: bool = Field(
        False, description="Register missing schemas at start (development only; CI registers otherwise)."
    )


class IndexSection(Section):
    """Where chunks are searched."""

    folder: Path = Field(Path(".headwater/index"), description="Folder of the local index.")
    generation: str = Field("g1", description="The index generation that ordinary ingest writes.")
    corpus: str = Field(
        "main",
        description="What the generations are generations of; letters, digits, underscores: it names collections.",
    )
    open_generations: int = Field(3, ge=1, description="Most generations that one process holds open.")
    recall_gate: float = Field(0.8, ge=0, le=1, description="Least recall@5 on golden questions to be promoted.")
    build_share: float = Field(
        0.25, gt=0, le=1, description="Share of the time that building a generation may take while questions come."
    )
    kind: Literal["local", "weaviate"] = Field(
        "local", description="`local` is a folder of one process; `weaviate` a server (1.38.8 or newer) for any number."
    )
    url: str = Field("http://127.0.0.1:8080", description="Base address of Weaviate.")
    grpc_port: int = Field(50051, ge=1, description="Port of Weaviate's gRPC, on the same host.")
    api_key: str = secret("key for Weaviate.")


class Heads(Section):
    """The view of document heads: of each process its own, or one in Redis that all share."""

    kind: Literal["memory", "redis"] = Field(
        "memory", description="`memory`: each worker folds a view of its own; `redis`: all share one."
    )
    url: str = Field(
        "redis://127.0.0.1:6379/0",
        repr=False,
        description="Secret, as it may hold a password: the Redis server, redis:// or rediss://.",
        json_schema_extra={"secret": True},
    )
    timeout_s: float = Field(1.0, gt=0, description="How long one call to Redis may take, seconds; tried twice.")


class Embed(Section):
    """The embedding model."""

    model: Literal["minilm", "hashing"] = Field(
        "minilm", description="`minilm` needs the embed extra; `hashing` is for tests, its answers are poor."
    )
    dimension: int = Field(384, ge=8, description="Width of the vectors of `hashing`; other models have their own.")
    batch: int = Field(8, ge=1, description="Texts per forward pass.")
    threads: int = Field(0, ge=0, description="Batches at a time, each in one thread; 0 is one per CPU.")


class Parse(Section):
    """How documents are read: in processes of their own, within limits."""

    timeout_s: float = Field(20.0, gt=0, description="How long one document may take, seconds; then it is refused.")
    memory_mb: int = Field(512, ge=64, description="Most memory that reading one document may need, megabytes.")
    processes: int = Field(2, ge=1, description="Processes that read; the second is ready when the first must go.")
    documents: int = Field(500, ge=1, description="Documents that one process reads before it is replaced.")
    max_pages: int = Field(2_000, ge=1, description="PDFs of more pages are refused.")
    max_cells: int = Field(500_000, ge=1, description="Tables (CSV) of more cells are refused.")
    max_characters: int = Field(4_000_000, ge=1, description="Documents with more text are refused.")
    max_unpacked_bytes: int = Field(134_217_728, ge=1, description="Files (.docx) that unpack to more are refused.")
    table_pages: int = Field(100, ge=0, description="Pages of a PDF on which tables are looked for; 0 for none.")
    table_s: float = Field(5.0, ge=0, description="Time to look for the tables of a PDF, seconds; beyond it, text.")


class ChunkRule(Section):
    """How documents of a type are cut; each strategy reads the parameters that are its own."""

    strategy: Strategy = Field("structure", description="How documents are cut: see docs/steps/chunk.md.")
    max_tokens: int = Field(200, ge=16, description="Upper bound of a chunk, in tokens of the embedding model.")
    target_tokens: int = Field(120, ge=8, description="Cuts are sought from here on.")
    overlap: float = Field(
        0.0, ge=0, le=0.3, description="Share of a chunk that may repeat the end of the prose before it; not for code."
    )
    separators: tuple[str, ...] = Field(SEPARATORS, description="`recursive`: where to cut, the best first.")
    sentences: int = Field(6, ge=1, description="`sentence`: most sentences of a chunk.")
    similarity: float = Field(
        0.2, ge=-1, le=1, description="`semantic`: below it two neighbours are about other things."
    )
    parent_tokens: int = Field(600, ge=16, description="`parent`: most tokens of what is read around a found chunk.")

    def rule(self) -> Rule:
        """These values for the splitter."""
        return Rule(**{name: getattr(self, name) for name in Rule.__dataclass_fields__})


class Chunking(ChunkRule):
    """How documents are cut; a change of any of these is another index generation (`headwater index build`)."""

    by_type: dict[str, ChunkRule] = Field(
        default_factory=dict,
        description="Other rules by media type, pattern (`text/x-*`) or only kind of block (`blocks/table`).",
    )


class Redaction(Section):
    """What becomes of personal data and secrets, by kind; a change of any of these is a new fingerprint."""

    default: dict[str, Action] = Field(
        default_factory=dict, description="Kind to mask, tokenise, drop_block, drop_document or allow, for all tenants."
    )
    tenants: dict[str, dict[str, Action]] = Field(
        default_factory=dict, description="The same by tenant, laid over the default."
    )
    token_secret: SecretStr = Field(
        SecretStr(""), description="Secret: what tokens are made with.", json_schema_extra={"secret": True}
    )
    token_secrets: dict[str, SecretStr] = Field(
        default_factory=dict,
        repr=False,
        description="Secret: the same by tenant, in place of the one for all.",
        json_schema_extra={"secret": True},
    )
    presidio: bool = Field(False, description="Also look with Presidio's recognisers; needs the guard extra.")


class Freshness(Section):
    """How soon a change must be searchable."""

    slo_ms: int = Field(250, ge=1, description="From the source's commit to the receipt, milliseconds.")


class Generate(Section):
    """The answering model: an OpenAI-compatible server, or none (extractive)."""

    url: str = Field("", description="Base address of an OpenAI-compatible server; empty means extractive answers.")
    model: str = Field("", description="Model name sent to the server.")
    api_key: str = secret("key sent as bearer token.")
    salt_secret: str = secret("keeps tenants apart in the server's prefix cache (vLLM's cache_salt); empty sends none.")
    prompts: Path | None = Field(None, description="Folder of prompts (`answer.md`) in place of those that ship.")
    max_tokens: int = Field(400, ge=1, description="Upper bound of an answer, in tokens.")
    timeout_s: float = Field(60.0, description="How long one generation may take, seconds.")
    support_bar: float = Field(0.6, ge=0, le=1, description="A sentence that its sources support less is taken out.")
    confidence_bar: float = Field(0.3, ge=0, le=1, description="An answer below it is withheld: not in the documents.")


class Gateway(Section):
    """The HTTP door."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(18080, ge=0, description="Port to listen on.")
    reply_partition: int = Field(-1, description="Partition of answers this replica reads; -1 derives it from its id.")
    deadline_s: float = Field(20.0, description="How long a question may take unless it says otherwise, seconds.")
    max_question_chars: int = Field(4_000, description="Longer questions are refused.")
    max_body_bytes: int = Field(25_000_000, description="Larger published documents are refused.")


class Worker(Section):
    """One worker process."""

    slot: str = Field("0", description="Names this worker's transactional ids; one living worker per slot.")
    static_member: bool = Field(
        False, description="The group keeps a worker's partitions for it while it restarts, found by its slot."
    )
    ops_host: str = Field("127.0.0.1", description="Address of that port; a container says 0.0.0.0.")
    ops_port: int = Field(0, ge=0, description="Port of /livez, /readyz and /metrics; 0 means none.")
    batch_records: int = Field(10_000, ge=1, description="Most records of one batch.")
    in_flight_keys: int = Field(64, ge=1, description="Most keys that a keyed hop works on at once.")
    in_flight_records: int = Field(1_000, ge=1, description="Most records a keyed hop holds of each lane.")
    in_flight_kbytes: int = Field(16_384, ge=64, description="Most kilobytes a keyed hop holds of each lane.")
    max_gap: int = Field(10_000, ge=1, description="Most records between a partition's oldest open and newest one.")
    lane_weights: dict[str, int] = Field(
        {"interactive": 8, "bulk": 1}, description="How places are shared while several lanes wait for one."
    )
    queue_kbytes: int = Field(16_384, ge=64, description="Most kilobytes a consumer fetches ahead.")
    attempts: int = Field(3, ge=1, description="Tries of a record that fails alone, before it is a dead letter.")
    crash_limit: int = Field(
        3, ge=0, description="Deaths of a process with one record alone in hand, until that is a dead letter; 0: never."
    )
    crash_watch_s: float = Field(
        3.0, gt=0, description="How long a record is left alone after such a death; longer after each, seconds."
    )
    drain_s: float = Field(20.0, description="How long SIGTERM lets work in flight finish, seconds.")
    stall_s: float = Field(30.0, description="A partition with lag that stands still this long is re-sought.")
    start_s: float = Field(60.0, description="How long a start may wait for the cluster, seconds.")


class Hook(Section):
    """A webhook: who signs it, and which fields of its JSON make a document."""

    secret: str = Field(min_length=16, repr=False, description="Secret: signs each request by HMAC-SHA256.")
    tolerance_s: float = Field(300.0, gt=0, description="How far a request's timestamp may be from now, seconds.")
    mapping: FieldMapping


class Sources(Section):
    """Databases as sources, by Debezium's topics `cdc.<schema>.<table>`; any other topics; webhooks."""

    tables: dict[str, TableMapping] = Field(
        default_factory=dict, description="Which columns make a document, by table name; other tables are ignored."
    )
    joins: dict[str, JoinMapping] = Field(
        default_factory=dict, description="Documents made of rows of several tables, by the name of the joined table."
    )
    connect: str = Field("http://127.0.0.1:18084", description="Kafka Connect's REST address.")
    password: str = secret("the password of database sources; Kafka Connect needs it in its own environment.")
    topics: dict[str, TopicMapping] = Field(
        default_factory=dict, description="Which fields of a topic's records make a document, by topic name."
    )
    hooks: dict[str, Hook] = Field(
        default_factory=dict, repr=False, description="Webhooks, by the name in POST /v1/hooks/NAME."
    )
    max_backlog: int = Field(
        5_000, ge=1, description="Most documents published and not yet indexed; sources wait beyond, HTTP says 429."
    )


class Audit(Section):
    """The drift auditor: log of changes, heads and index compared again and again."""

    every_s: float = Field(0.0, ge=0, description="How often the worker that holds the index looks, seconds; 0: never.")
    grace_s: float = Field(60.0, ge=0, description="What differs for less than this long is on its way, seconds.")
    repair: bool = Field(False, description="Repair what drifted; else only tell.")


class Watch(Section):
    """Folders as sources."""

    max_file_bytes: int = Field(20_000_000, description="Larger files are refused with a dead letter.")
    settle_ms: int = Field(50, description="Quiet time after a change before a file is read, milliseconds.")


class Local(Section):
    """The stack on this machine."""

    state_folder: Path = Field(Path(".headwater"), description="Data, logs and remembered ports of the local stack.")
    cache_folder: Path | None = Field(None, description="Downloads; default: the user's cache folder.")
    java: str = Field("", description="Java 17+ to use; default: the system's, else the one of the local extra.")
    heap_mb: int = Field(512, ge=128, description="Most memory of the broker's heap, megabytes.")
    weaviate_mb: int = Field(
        1_024, ge=256, description="Memory that Weaviate tries to stay below, megabytes; beyond, it refuses writes."
    )
    kafka_port: int = Field(0, ge=0, description="Port of the broker; 0 chooses a free one and remembers it.")
    registry_port: int = Field(0, ge=0, description="Port of the registry; 0 chooses a free one and remembers it.")
    gateway_port: int = Field(0, ge=0, description="Port of the gateway; 0 chooses a free one and remembers it.")


class Settings(BaseSettings):
    """All sections. Read once, with `load`, and pass on whole."""

    model_config = SettingsConfigDict(
        env_prefix="HEADWATER_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        nested_model_default_partial_update=True,
    )

    kafka: Kafka = Kafka()
    registry: Registry = Registry()
    index: IndexSection = IndexSection()
    heads: Heads = Heads()
    embed: Embed = Embed()
    parse: Parse = Parse()
    chunking: Chunking = Chunking()
    redaction: Redaction = Redaction()
    freshness: Freshness = Freshness()
    retrieve: Retrieve = Retrieve()
    scope: ScopeSection = ScopeSection()
    load: LoadSection = LoadSection()
    generate: Generate = Generate()
    models: Models = Models()
    verify: VerifySection = VerifySection()
    outlet: OutletSection = OutletSection()
    cache: AnswerCaching = AnswerCaching()
    standing: StandingQuestions = StandingQuestions()
    sessions: SessionsSection = SessionsSection()
    memory: MemorySection = MemorySection()
    gateway: Gateway = Gateway()
    worker: Worker = Worker()
    sources: Sources = Sources()
    audit: Audit = Audit()
    watch: Watch = Watch()
    local: Local = Local()
    claims_folder: Path = Field(Path(".headwater/claims"), description="Bodies too large for the log, by their hash.")
    tenants: tuple[str, ...] = Field((), description="Tenants known before their first document.")
    git_sha: str = Field("", description="Commit that was built; set by the image.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the library passes it; there is no .env here
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        yaml = YamlConfigSettingsSource(settings_cls, yaml_file=_config_file)
        return init_settings, env_settings, file_secret_settings, yaml


_config_file: Path = Path("headwater.yaml")


def load(config: Path | None = None, **flags: Any) -> Settings:
    """Reads the settings once. Use it at the entry of a process, never inside a room.

    Raises SettingsError for an unknown key or a value that can't be used.
    """
    global _config_file
    if config is not None and not config.is_file():
        raise SettingsError(f"wanted a settings file at {str(config)!r}, found none; give --config an existing file")
    _config_file = config or Path("headwater.yaml")
    try:
        secrets = os.environ.get("HEADWATER_SECRETS_DIR")
        return Settings(_secrets_dir=secrets, **flags)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise SettingsError(f"settings can't be used: {problems}; see docs/settings.md") from error


def user_cache() -> Path:
    """This user's folder for what can be fetched again (XDG base directory specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headwater"


def child_environment(**values: str) -> dict[str, str]:
    """The environment for a child process of the local stack: this one's, with some values set."""
    return {**os.environ, **values}
