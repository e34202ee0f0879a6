"""A real Kafka Connect worker with Debezium, as a child process: distributed mode, exactly-once sources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final

import httpx

from headwater.local.child import Child, ChildSpec
from headwater.local.downloads import Progress, fetch, fetch_plugins
from headwater.local.errors import ChildDiedError
from headwater.local.java import find_java
from headwater.local.ports import HOST, choose_port, is_open
from topics.topic import MAX_SOURCE_BYTES

__all__ = ["ConnectSpec", "KafkaConnect"]

_LOG_SETTINGS: Final = Path(__file__).with_name("log4j2.properties")
_ANSWER_TIMEOUT_S: Final = 2.0
_STOP_GRACE_S: Final = 15.0
_STARTS: Final = 3

_DEFAULTS: Final = {
    "group.id": "headwater-connect",
    "exactly.once.source.support": "enabled",
    "config.storage.topic": "connect.configs",
    "offset.storage.topic": "connect.offsets",
    "status.storage.topic": "connect.status",
    "config.storage.replication.factor": "1",
    "offset.storage.replication.factor": "1",
    "status.storage.replication.factor": "1",
    "offset.storage.partitions": "1",
    "status.storage.partitions": "1",
    "offset.flush.interval.ms": "1000",
    # A worker that was killed is missed after this long; its connectors start again only then.
    "session.timeout.ms": "6000",
    "heartbeat.interval.ms": "1500",
    "scheduled.rebalance.max.delay.ms": "0",
    "plugin.discovery": "service_load",
    "key.converter": "org.apache.kafka.connect.json.JsonConverter",
    "value.converter": "org.apache.kafka.connect.json.JsonConverter",
    "connector.client.config.override.policy": "All",
    "producer.max.request.size": str(MAX_SOURCE_BYTES),
    "producer.buffer.memory": str(MAX_SOURCE_BYTES * 3 // 2),
    "producer.compression.type": "zstd",
    "producer.linger.ms": "0",
    # Secrets stay where they are: a connector's configuration names a variable of this process.
    "config.providers": "env",
    "config.providers.env.class": "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
    "config.providers.env.param.allowlist.pattern": "HEADWATER_SOURCES__PASSWORD|POSTGRES_PASSWORD",
}


@dataclass(frozen=True)
class ConnectSpec:
    """Where a worker lives and which brokers it uses; a port of 0 means the one used last time, or any free one.

    `bootstrap` is asked when it starts, since a broker of ours learns its port only then. `properties` override.
    """

    folder: Path
    cache_folder: Path
    bootstrap: Callable[[], str]
    java: str | None = None
    port: int = 0
    heap_mb: int = 512
    detached: bool = False
    quick: bool = False
    ready_timeout_s: float = 90.0
    properties: tuple[tuple[str, str], ...] = ()


class KafkaConnect:
    """One Connect worker: start it, use `url`, stop it.

    >>> with KafkaConnect(ConnectSpec(Path("state"), Path("cache"), lambda: "127.0.0.1:19092")) as connect:
    ...     connect.url  # doctest: +SKIP
    'http://127.0.0.1:24812'

    It keeps nothing in its folder but its log: its state is in Kafka. A broker that is away makes it exit, and
    `await_ready` then starts it again, a few times.
    """

    def __init__(self, spec: ConnectSpec, progress: Progress | None = None) -> None:
        self.spec = spec
        self._progress = progress
        self.child = Child(ChildSpec(self.name, (), spec.folder, detached=spec.detached))
        self.port = _read_port(self._port_path)

    @property
    def name(self) -> str:
        """Its name in status, logs and messages."""
        return "connect"

    @property
    def url(self) -> str:
        """Its REST address; known from `begin` on."""
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Start and wait until it takes connectors."""
        self.begin()
        self.await_ready()

    def begin(self) -> None:
        """Start without waiting; the broker may still be starting too. A worker that runs is left running."""
        if self.child.alive:
            return
        self.spec.folder.mkdir(parents=True, exist_ok=True)
        java = find_java(self.spec.java)
        jars = fetch(self.spec.cache_folder, progress=self._progress)
        plugins = fetch_plugins(self.spec.cache_folder, self._progress)
        self.port = choose_port("Kafka Connect", self.spec.port, self.port)
        self._port_path.write_text(str(self.port), encoding="utf-8")
        settings = self._write_settings(plugins)
        command = (
            str(java.command),
            f"-Xms{min(128, self.spec.heap_mb)}m",
            f"-Xmx{self.spec.heap_mb}m",
            "-XX:+UseSerialGC",
            *(("-XX:TieredStopAtLevel=1",) if self.spec.quick else ()),
            *java.options,
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={_LOG_SETTINGS}",
            "-cp",
            f"{jars}/*",
            "org.apache.kafka.connect.cli.ConnectDistributed",
            str(settings),
        )
        self.child.spec = replace(self.child.spec, command=command)
        self.child.start()

    def await_ready(self) -> None:
        """Wait until it takes connectors, starting it again where it gave up on a broker that was not there yet.

        Raises ChildDiedError or NotReadyError with its last output.
        """
        for attempt in range(1, _STARTS + 1):
            try:
                self.child.await_ready(self.is_ready, self.spec.ready_timeout_s)
                return
            except ChildDiedError:
                if attempt == _STARTS:
                    raise
                self.begin()

    def is_ready(self) -> bool:
        """Whether it lists its connectors now: it answers `/` long before it has joined its group."""
        if not self.port or not is_open(self.port):
            return False
        try:
            answer = httpx.get(f"{self.url}/connectors", timeout=_ANSWER_TIMEOUT_S, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.status_code == httpx.codes.OK

    def stop(self) -> None:
        """Stop it cleanly, by force after a grace."""
        self.child.stop(_STOP_GRACE_S)

    def __enter__(self) -> KafkaConnect:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _port_path(self) -> Path:
        return self.spec.folder / "connect.port"

    def _write_settings(self, plugins: Path) -> Path:
        path = self.spec.folder / "connect.properties"
        place = {
            "bootstrap.servers": self.spec.bootstrap(),
            "listeners": f"http://{HOST}:{self.port}",
            "rest.advertised.host.name": HOST,
            "rest.advertised.port": str(self.port),
            "plugin.path": str(plugins),
        }
        merged = {**_DEFAULTS, **place, **dict(self.spec.properties)}
        path.write_text("".join(f"{name}={value}\n" for name, value in merged.items()), encoding="utf-8")
        return path


def _read_port(path: Path) -> int:
    try:
        return int(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return 0
