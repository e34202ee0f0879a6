"""Every setting, in sections, frozen: the only place that reads the environment.

Order: command-line flag > environment (`HEADWATER_SECTION__KEY`) > `HEADWATER_SECRETS_DIR` files > the file of
`--config` > `headwater.yaml` in the working folder > the default here. Unknown keys are errors.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from processors.ingest.capture import TableMapping
from streams.errors import StreamsError


class SettingsError(StreamsError):
    """A setting is unknown or has a value that can't be used; the message names it."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


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
    generation: str = Field("g1", description="The index generation that this deployment builds and serves.")
    kind: Literal["local", "weaviate"] = Field(
        "local", description="`local` is a folder of one process; `weaviate` a server (1.38.8 or newer) for any number."
    )
    corpus: str = Field("main", description="Names the collections on a server: letters, digits and underscores.")
    url: str = Field("http://127.0.0.1:8080", description="Base address of Weaviate.")
    grpc_port: int = Field(50051, ge=1, description="Port of Weaviate's gRPC, on the same host.")
    api_key: str = Field("", repr=False, description="Secret: key for Weaviate.", json_schema_extra={"secret": True})


class Embed(Section):
    """The embedding model."""

    model: Literal["minilm", "hashing"] = Field(
        "minilm", description="`minilm` needs the embed extra; `hashing` is for tests, its answers are poor."
    )
    batch: int = Field(8, ge=1, description="Texts per forward pass.")
    threads: int = Field(0, ge=0, description="Batches at a time, each in one thread; 0 is one per CPU.")


class Chunking(Section):
    """How documents are cut; a change of any of these is a new fingerprint and re-chunks everything."""

    max_tokens: int = Field(200, ge=16, description="Upper bound of a chunk, in tokens of the embedding model.")
    target_tokens: int = Field(120, ge=8, description="Cuts are sought from here on.")


class Retrieve(Section):
    """Search."""

    candidates: int = Field(30, ge=1, description="Candidates that go to the reranker.")
    passages: int = Field(6, ge=1, description="Passages that go into the prompt.")
    rerank_deadline_ms: int = Field(
        400, ge=1, description="Beyond this the fused order is used, and the answer says so."
    )


class Generate(Section):
    """The answering model: an OpenAI-compatible server, or none (extractive)."""

    url: str = Field("", description="Base address of an OpenAI-compatible server; empty means extractive answers.")
    model: str = Field("", description="Model name sent to the server.")
    api_key: str = Field(
        "", repr=False, description="Secret: key sent as bearer token.", json_schema_extra={"secret": True}
    )
    salt_secret: str = Field(
        "",
        repr=False,
        description="Secret: keeps tenants apart in the server's prefix cache (vLLM's cache_salt); empty sends none.",
        json_schema_extra={"secret": True},
    )
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
    batch_records: int = Field(2_000, ge=1, description="Most records of one batch.")
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


class Sources(Section):
    """Databases as sources, by Debezium's topics `cdc.<schema>.<table>`."""

    tables: dict[str, TableMapping] = Field(
        default_factory=dict, description="Which columns make a document, by table name; other tables are ignored."
    )


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
    embed: Embed = Embed()
    chunking: Chunking = Chunking()
    retrieve: Retrieve = Retrieve()
    generate: Generate = Generate()
    gateway: Gateway = Gateway()
    worker: Worker = Worker()
    sources: Sources = Sources()
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
