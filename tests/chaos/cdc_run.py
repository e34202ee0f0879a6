"""A run of T10: workers over real servers, killed and begun again, until the documents are the table."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

import psycopg

from adapters.host import SystemClock
from adapters.schema_registry import ConfluentSchemaIds
from headwater.local.child import Child, ChildSpec
from schemas.codec import Codec
from schemas.documents import DocumentHead
from streams.committed_heads import committed_heads
from streams.group_lag import GroupLag
from tests.chaos.cdc_parts import READY_S, CdcParts
from tests.chaos.cdc_reader import ReaderSpec
from tests.chaos.history import History, Operation, merged
from topics.ingest import DOCUMENT_HEAD

# Two that share the partitions of ingest, so that a kill is a rebalance too.
WORKERS: Final = {"capture": "ingest.capture", "ingest0": "ingest", "ingest1": "ingest"}
SERVERS: Final = ("connect", "weaviate", "redis")
FLUSH: Final = "flush of redis"
SETTLE: Final = "headwater.ingest.settle.v1"
LOOK_S: Final = 0.25


class CdcRun:
    """Use it as a context over its parts, then `follow`, `kill` as you like, `await_equal`."""

    def __init__(self, parts: CdcParts, readers: Sequence[ReaderSpec]) -> None:
        self.parts = parts
        self.folder = parts.folder
        self.readers = {spec.name: spec for spec in readers}
        self.kills: Counter[str] = Counter()
        self.targets = (*WORKERS, *self.readers, *SERVERS, FLUSH)
        self._workers: dict[str, Child] = {}
        self._history = History(self.folder / "faults.jsonl", "run")

    def __enter__(self) -> CdcRun:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_workers()

    def follow(self) -> None:
        """Adds the source, then starts the workers: the topic is there when they look for it."""
        self.parts.follow()
        none = ReaderSpec(str(self.folder))
        for name, word in WORKERS.items():
            self._start(name, word, none)
        for name, spec in self.readers.items():
            self._start(name, "answer.retrieve", spec)
        until = time.monotonic() + READY_S
        while not all((self.folder / f"{name}.ready").exists() for name in self._workers):
            dead = [child.log_tail(20) for child in self._workers.values() if not child.alive]
            if dead or time.monotonic() > until:
                raise TimeoutError("the workers did not come up: " + "\n".join(dead))
            time.sleep(LOOK_S)

    def _start(self, name: str, word: str, spec: ReaderSpec) -> None:
        command = (sys.executable, "-m", "tests.chaos.cdc_worker", name, word, spec.text())
        told = tuple({**self.parts.environment, "HEADWATER_WORKER__SLOT": name}.items())
        self._workers[name] = Child(ChildSpec(name, command, self.folder, told))
        self._workers[name].start()

    def kill(self, target: str) -> None:
        """kill -9 of a worker or a server, or a flush; counts where there was something to hit."""
        if target == FLUSH:
            hit = self.parts.flush()
        elif target in SERVERS:
            hit = self.parts.kill(target)
        else:
            hit = self._workers[target].alive
            self._workers[target].kill()
        self.kills[target] += hit
        self._history.add("fault", "ok" if hit else "fail", what="kill", target=target)

    def revive(self) -> None:
        """Begins again whatever is down."""
        self.parts.revive()
        for child in self._workers.values():
            child.start()

    def rows(self) -> dict[str, tuple[str, str]]:
        """The table: title, which says the revision, and body, by document."""
        with psycopg.connect(self.parts.postgres.dsn) as connection:
            found = connection.execute("SELECT id, title, body FROM texts")
            return {f"texts/{key}": (title, body) for key, title, body in found}

    def heads(self) -> dict[str, DocumentHead]:
        """The committed heads as the log has them."""
        settings = self.parts.settings
        codec = Codec(ConfluentSchemaIds(settings.registry.url))
        heads_of = committed_heads(settings, codec, SystemClock())
        return {head.document: head for head in heads_of("texts/")}

    def await_equal(self, within_s: float) -> float:
        """Waits until the documents are the table; returns the seconds it took, or `within_s` where they did not."""
        began = time.monotonic()
        wanted = {document: title for document, (title, _) in self.rows().items()}
        while time.monotonic() - began < within_s:
            self.revive()
            looked = time.monotonic()
            if {name: head.title for name, head in self.heads().items() if not head.gone} == wanted:
                return time.monotonic() - began
            # A look reads the whole log of heads: never more than half of the time.
            time.sleep(max(LOOK_S, time.monotonic() - looked))
        return within_s

    def await_settled(self, within_s: float) -> bool:
        """Waits until what superseded heads listed was removed; whether it was."""
        lag = GroupLag(self.parts.settings.kafka, SystemClock())
        until = time.monotonic() + within_s
        try:
            while any(one.records for one in lag.of(SETTLE, DOCUMENT_HEAD.name).values()):
                if time.monotonic() > until:
                    return False
                self.revive()
                time.sleep(LOOK_S)
        finally:
            lag.close()
        return True

    def stop_workers(self) -> None:
        """Stops them cleanly, so that the index can be looked at."""
        for child in self._workers.values():
            child.stop(15.0)

    def history(self, reader: str) -> list[Operation]:
        """What a reader was given, in time, over all its lives."""
        return merged(self.folder.glob(f"{reader}-*.jsonl"))
