"""A real Apache Kafka broker as a child process: formatted once, started on free ports, ready when it can be used."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final

from headwater.local.child import Child, ChildSpec
from headwater.local.diagnosis import diagnosis, lock_owner
from headwater.local.downloads import Progress, fetch
from headwater.local.errors import ChildDiedError, DiskFullError, FolderInUseError, LocalStackError
from headwater.local.java import Java, find_java
from headwater.local.ports import HOST, choose_port, is_open
from headwater.local.properties import listeners, new_cluster_id, rendered
from streams.errors import ClusterUnavailableError
from streams.probe import probe

__all__ = ["BrokerSpec", "KafkaBroker"]

# Only the first of Java's two compilers: most of what a start runs is never run often enough for the second to pay.
_QUICK: Final = ("-XX:TieredStopAtLevel=1",)
_LOG_SETTINGS: Final = Path(__file__).with_name("log4j2.properties")
_FORMAT_TIMEOUT_S: Final = 60.0
_STOP_GRACE_S: Final = 20.0

# A topic is created in 0.1 s once the broker can; an attempt that takes longer is better begun anew.
_PROBE_TIMEOUT_S: Final = 2.0

# Offsets, transactions and a small corpus fit in a tenth of this; a broker that fills the disk takes its log down.
_LEAST_FREE_BYTES: Final = 256 * 1024 * 1024


@dataclass(frozen=True)
class BrokerSpec:
    """Where a broker lives and what it may take; a port of 0 means the one used last time, or any free one.

    `quick` halves the work of a start and lowers the throughput that a long run reaches: for demos and tests.
    `properties` override server.properties. `proxied` is the port of a proxy and the broker's own port behind it: the
    proxy must forward to it, and `proxied_bootstrap` is then the way through. A node of a cluster (`cluster.py`) has
    its `cluster_id` and finds its quorum among its properties; without one, a broker is a cluster of itself.
    """

    folder: Path
    cache_folder: Path
    java: str | None = None
    port: int = 0
    controller_port: int = 0
    heap_mb: int = 512
    node_id: int = 1
    detached: bool = False
    quick: bool = False
    least_free_bytes: int = _LEAST_FREE_BYTES
    ready_timeout_s: float = 60.0
    name: str = "kafka"
    cluster_id: str = ""
    proxied: tuple[int, int] | None = None
    properties: tuple[tuple[str, str], ...] = ()


class KafkaBroker:
    """One broker: start it, use `bootstrap`, stop it. Its folder keeps its data and its ports.

    >>> with KafkaBroker(BrokerSpec(Path("state"), Path("cache"))) as broker:  # doctest: +SKIP
    ...     broker.bootstrap
    '127.0.0.1:24817'

    Not detached (the default), it dies with this process, whatever ends it.
    """

    def __init__(self, spec: BrokerSpec, progress: Progress | None = None) -> None:
        self.spec = spec
        self._progress = progress
        self._child = Child(ChildSpec(self.name, (), spec.folder, detached=spec.detached))
        self._ports = _read_ports(self._ports_path)

    @property
    def name(self) -> str:
        """Its name in status, logs and messages."""
        return self.spec.name

    @property
    def port(self) -> int:
        """The port that clients use; 0 before its first start."""
        return self._ports[0]

    @property
    def bootstrap(self) -> str:
        """What clients connect to; known from `begin` on."""
        return f"{HOST}:{self.port}"

    @property
    def proxied_bootstrap(self) -> str:
        """What clients connect to that shall meet the proxy's faults; without a proxy, the straight way."""
        return self.bootstrap if self.spec.proxied is None else f"{HOST}:{self.spec.proxied[0]}"

    @property
    def child(self) -> Child:
        """Its process: pid, memory, log, kill, pause and resume."""
        return self._child

    @property
    def data_folder(self) -> Path:
        """Kafka's own log folder."""
        return self.spec.folder / "data"

    def start(self) -> None:
        """Start and wait until a topic can be created."""
        self.begin()
        self.await_ready()

    def begin(self) -> None:
        """Start without waiting, so that other parts can start meanwhile. A broker that runs is left running.

        1. Room on the disk.  2. Jars and Java.  3. Nobody else in the folder.  4. Ports.  5. Format, once.  6. Start.
        """
        if self._child.alive:
            return
        self.spec.folder.mkdir(parents=True, exist_ok=True)
        self._require_room()
        java = find_java(self.spec.java)
        jars = fetch(self.spec.cache_folder, progress=self._progress)
        self._require_unlocked()
        self._choose_ports()
        settings = self._write_settings()
        self._format(java, jars, settings)
        options = _QUICK if self.spec.quick else ()
        command = _command(java, jars, self.spec.heap_mb, *options, "kafka.Kafka", str(settings))
        self._child.spec = replace(self._child.spec, command=command)
        self._child.start()

    def await_ready(self) -> None:
        """Wait until a topic can be created; an error says what was wrong, with the broker's last lines."""
        with self._diagnosed():
            self._child.await_ready(self.is_ready, self.spec.ready_timeout_s)

    def is_ready(self) -> bool:
        """Whether a topic can be created now; it asks nothing while the port is closed."""
        if not self.port or not is_open(self.port):
            return False
        try:
            probe(self.bootstrap, _PROBE_TIMEOUT_S)
        except ClusterUnavailableError:
            return False
        return True

    def stop(self) -> None:
        """Stop it cleanly, by force after a grace; stopping one that does not run is no error."""
        self._child.stop(_STOP_GRACE_S)

    def __enter__(self) -> KafkaBroker:
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
    def _ports_path(self) -> Path:
        return self.spec.folder / "ports.json"

    def _require_room(self) -> None:
        free = shutil.disk_usage(self.spec.folder).free
        if free < self.spec.least_free_bytes:
            raise DiskFullError(
                f"starting Kafka in {str(self.spec.folder)!r}: wanted {self.spec.least_free_bytes >> 20} MB free, "
                f"there are {free >> 20} MB; make room, or set a state folder on another disk"
            )

    def _require_unlocked(self) -> None:
        owner = lock_owner(self.data_folder / ".lock")
        if owner is not None:
            raise FolderInUseError(
                f"starting Kafka in {str(self.spec.folder)!r}: process {owner} already runs a broker on this folder "
                "and is not one that this stack remembers; stop it by its number, or use another state folder"
            )

    def _choose_ports(self) -> None:
        self._ports = (
            choose_port("Kafka", self.spec.port, self._ports[0]),
            choose_port("Kafka's controller", self.spec.controller_port, self._ports[1]),
        )
        self._ports_path.write_text(json.dumps(self._ports), encoding="utf-8")

    def _write_settings(self) -> Path:
        path = self.spec.folder / "server.properties"
        port, controller_port = self._ports
        place = {
            "node.id": str(self.spec.node_id),
            "log.dirs": str(self.data_folder),
            **listeners(port, controller_port, self.spec.proxied),
        }
        if not self.spec.cluster_id:
            place["controller.quorum.bootstrap.servers"] = f"{HOST}:{controller_port}"
        path.write_text(rendered(place, self.spec.properties), encoding="utf-8")
        return path

    def _format(self, java: Java, jars: Path, settings: Path) -> None:
        if (self.data_folder / "meta.properties").exists():
            return
        cluster = ("-t", self.spec.cluster_id) if self.spec.cluster_id else ("--standalone", "-t", new_cluster_id())
        tool = (*_QUICK, "kafka.tools.StorageTool", "format", *cluster, "-c", str(settings))
        try:
            done = subprocess.run(
                _command(java, jars, self.spec.heap_mb, *tool),
                capture_output=True, text=True, timeout=_FORMAT_TIMEOUT_S, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ChildDiedError(f"formatting Kafka's folder with {java.command}: {error}") from error
        if done.returncode != 0:
            raise diagnosis(done.stdout + done.stderr, self.spec.folder) or ChildDiedError(
                f"formatting Kafka's folder {str(self.data_folder)!r} failed:\n{done.stdout}{done.stderr}"
            )

    @contextmanager
    def _diagnosed(self) -> Iterator[None]:
        try:
            yield
        except LocalStackError as error:
            raise diagnosis(self._child.log_tail(200), self.spec.folder) or error from error


def _command(java: Java, jars: Path, heap_mb: int, *arguments: str) -> tuple[str, ...]:
    return (
        str(java.command),
        f"-Xms{min(128, heap_mb)}m",
        f"-Xmx{heap_mb}m",
        "-XX:+UseSerialGC",
        *java.options,
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={_LOG_SETTINGS}",
        "-cp",
        f"{jars}/*",
        *arguments,
    )


def _read_ports(path: Path) -> tuple[int, int]:
    try:
        port, controller_port = json.loads(path.read_text(encoding="utf-8"))
        return int(port), int(controller_port)
    except (FileNotFoundError, ValueError, TypeError):
        return 0, 0
