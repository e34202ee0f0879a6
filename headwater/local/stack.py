"""The whole of Headwater on this machine: broker, registry, worker and gateway as child processes, servers beside them.

They start together, since the broker's Java and the worker's model both take seconds, and each is ready when it can be
used. What a stack started detached outlives the command; what it started otherwise dies with its process.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Final

from headwater.local.beside import Server, addresses_beside, beside, client_settings, is_asked_at_start
from headwater.local.broker import BrokerSpec, KafkaBroker
from headwater.local.child import write_whole
from headwater.local.downloads import Progress
from headwater.local.errors import FolderInUseError, LocalStackError
from headwater.local.parts import GATEWAY, REGISTRY, WORKER, OwnPart, run_command
from headwater.local.ports import HOST, choose_port
from headwater.local.spec import Addresses, PartStatus, StackSpec, notes, remembered_ports

__all__ = ["Stack"]

_ENSURE_TIMEOUT_S: Final = 60.0

# All that a stack writes. What else stands in its folder is somebody's, and `remove` leaves it.
_OWN_ENTRIES: Final = (
    *("kafka", "run", "index", "claims", "stack.json", "stack.lock"),
    *("postgres", "connect", "redis", "weaviate"),
)

Report = Callable[[str], None]
"""Told in one line what the stack is doing now."""


class Stack:
    """A profile's parts. `up` and `down` may be called at any time, from any process; both can be repeated.

    >>> with Stack(StackSpec(Path("state"), Path("cache"), detached=False)) as stack:  # doctest: +SKIP
    ...     stack.addresses.gateway_url
    'http://127.0.0.1:23051'

    As a context it is up inside, and afterwards stops what it started, and only that.
    """

    def __init__(self, spec: StackSpec, report: Report | None = None, progress: Progress | None = None) -> None:
        self.spec = spec
        self._report = report or (lambda _: None)
        self.broker = KafkaBroker(_broker_spec(spec), progress)
        kept = remembered_ports(spec.state_folder)
        run = spec.state_folder / "run"
        self.registry, self.worker, self.gateway = (
            OwnPart(kind, run, kept.get(kind.name, 0), spec.detached) for kind in (REGISTRY, WORKER, GATEWAY)
        )
        if spec.profile == "full":
            # Only where something writes them: a worker of the embedded profile has no other systems' topics to read.
            self.worker.kind = replace(WORKER, arguments=(*WORKER.arguments, "--sources"))
        self.servers = beside(spec, lambda: self.broker.bootstrap, progress)
        self._started: list[str] = []

    @property
    def parts(self) -> tuple[KafkaBroker | OwnPart | Server, ...]:
        """Its parts in the order in which they need each other; they are stopped the other way round."""
        return (self.broker, self.registry, *self.servers, self.worker, self.gateway)

    @property
    def addresses(self) -> Addresses:
        """Where its parts are reached; known once it was up."""
        own = (self.registry.url, self.gateway.url, self.worker.url)
        return Addresses(self.broker.bootstrap, *own, **addresses_beside(self.servers))

    def up(self, wait: bool = True) -> None:
        """Start what does not run, and return when everything can be used, or with `wait=False` when Kafka can.

        1. Take the folder.  2. Start all parts at once.  3. Wait for broker and registry.  4. Create the topics.
        5. Wait for the others.  Where one fails, what was started here is stopped again.
        """
        with self._alone():
            try:
                self._begin_all()
                self._await_kafka()
                if wait:
                    self._await_servers()
                    self._await(self.worker)
                    self._await(self.gateway)
            except BaseException:
                self._stop(self._started)
                raise

    def down(self) -> list[str]:
        """Stop everything that runs, and return the names of what was stopped."""
        if not notes(self.spec.state_folder).exists():
            return []
        with self._alone():
            running = [part.name for part in self.parts if part.child.alive]
            self._stop(running)
            return running

    def remove(self) -> list[str]:
        """Stop everything and delete its topics, index, logs and remembered ports; returns what else the folder holds.

        The folder goes too when nothing else is in it. Raises LocalStackError where no stack was ever started.
        """
        folder = self.spec.state_folder
        if not notes(folder).exists():
            raise LocalStackError(
                f"wanted to remove the stack in {str(folder)!r}, but none was ever started there (no stack.json); "
                "check the setting local.state_folder"
            )
        self.down()
        for name in _OWN_ENTRIES:
            _delete(folder / name)
        left = sorted(entry.name for entry in folder.iterdir())
        if not left:
            folder.rmdir()
        return left

    def status(self) -> list[PartStatus]:
        """Every part: whether it runs, and whether it can be used now."""
        return [
            PartStatus(
                name=part.name,
                pid=part.child.pid,
                port=part.port,
                ready=part.child.alive and part.is_ready(),
                memory_mb=part.child.memory_bytes >> 20,
                log=str(part.child.log_path),
            )
            for part in self.parts
        ]

    def __enter__(self) -> Stack:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop(self._started)

    def _begin_all(self) -> None:
        if not notes(self.spec.state_folder).exists():
            write_whole(notes(self.spec.state_folder), "{}")
        self._report("starting Kafka")
        self._note_start(self.broker)
        self.broker.begin()
        for server in self.servers:
            self._report(f"starting {server.name}")
            self._note_start(server)
            server.begin()
        for server in filter(is_asked_at_start, self.servers):
            server.await_ready()
        ports = [self._port_of(part, wanted) for part, wanted in self._own_parts()]
        environment = self._environment(registry_port=ports[0])
        self._remember(ports)
        for (part, _), port in zip(self._own_parts(), ports, strict=True):
            self._report(f"starting the {part.name}")
            self._note_start(part)
            part.begin(port, environment, self.spec.program)

    def _await_kafka(self) -> None:
        self._report("waiting for Kafka")
        self.broker.await_ready()
        self._await(self.registry)
        self._report("creating topics")
        environment = self._environment(self.registry.port)
        run_command(("topics", "ensure"), environment, _ENSURE_TIMEOUT_S, self.spec.program)

    def _await_servers(self) -> None:
        for server in self.servers:
            self._report(f"waiting for {server.name}")
            server.await_ready()

    def _await(self, part: OwnPart) -> None:
        self._report(f"waiting for the {part.name}")
        part.await_ready(self.spec.ready_timeout_s)

    def _note_start(self, part: KafkaBroker | OwnPart | Server) -> None:
        """Remember, before it happens, that this stack starts a part: an interrupt in between must still stop it."""
        if not part.child.alive:
            self._started.append(part.name)

    def _stop(self, names: list[str]) -> None:
        for part in reversed(self.parts):
            if part.name in names:
                self._report(f"stopping {part.name}")
                part.stop()
        self._started = []

    def _own_parts(self) -> tuple[tuple[OwnPart, int], ...]:
        spec = self.spec
        return (
            (self.registry, spec.registry_port),
            (self.worker, spec.worker_port),
            (self.gateway, spec.gateway_port),
        )

    def _port_of(self, part: OwnPart, wanted: int) -> int:
        return part.port if part.child.alive else choose_port(f"the {part.name}", wanted, part.port)

    def _environment(self, registry_port: int) -> tuple[tuple[str, str], ...]:
        """What the parts must know of each other; the rest of their settings comes from where everyone's does."""
        return (
            ("HEADWATER_KAFKA__BOOTSTRAP", self.broker.bootstrap),
            ("HEADWATER_REGISTRY__URL", f"http://{HOST}:{registry_port}"),
            ("HEADWATER_REGISTRY__AUTO_REGISTER", "true"),
            ("HEADWATER_INDEX__FOLDER", str(self.spec.state_folder / "index")),
            ("HEADWATER_CLAIMS_FOLDER", str(self.spec.state_folder / "claims")),
            *client_settings(self.servers),
            *self.spec.environment,
        )

    def _remember(self, ports: list[int]) -> None:
        """Write down where everything will be reached, for the next `up` and for the other commands."""
        named = dict(zip((part.name for part, _ in self._own_parts()), ports, strict=True))
        for (part, _), port in zip(self._own_parts(), ports, strict=True):
            part.port = port
        named |= {server.name: server.port for server in self.servers if server.name == "redis"}
        kept = {"profile": self.spec.profile, "ports": named, "addresses": asdict(self.addresses)}
        text = json.dumps(kept, indent=2)
        write_whole(notes(self.spec.state_folder), text)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the folder while starting or stopping; the kernel lets go of it when this process ends, however."""
        self.spec.state_folder.mkdir(parents=True, exist_ok=True)
        with (self.spec.state_folder / "stack.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise FolderInUseError(
                    f"another command starts or stops the stack in {str(self.spec.state_folder)!r} right now; "
                    "wait until it is done, or use another state folder"
                ) from error
            yield


def _broker_spec(spec: StackSpec) -> BrokerSpec:
    return BrokerSpec(
        spec.state_folder / "kafka",
        spec.cache_folder,
        java=spec.java,
        port=spec.kafka_port,
        heap_mb=spec.heap_mb,
        detached=spec.detached,
        quick=spec.quick,
        ready_timeout_s=spec.ready_timeout_s,
    )


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
