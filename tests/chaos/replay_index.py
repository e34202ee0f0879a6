"""The ingest journey of T11 on a real broker: worked through, read again from 0, worked through once more."""

from __future__ import annotations

import hashlib
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from adapters.host import SystemClock, SystemIds
from headwater.local.beside import client_settings
from headwater.local.broker import BrokerSpec, KafkaBroker
from headwater.local.child import Child, ChildSpec
from headwater.local.parts import REGISTRY, OwnPart
from headwater.local.ports import choose_port
from headwater.local.weaviate import WeaviateServer
from processors.ports import IndexObject
from schemas.documents import DocumentHead
from streams.clients import client_config
from streams.committed_heads import committed_heads
from streams.ensure import ensure
from streams.group_lag import GroupLag
from streams.parts import Parts
from streams.publishing import Entrance, Publisher
from streams.reading import Reader
from streams.settings import load, user_cache
from tests.chaos.cdc_reader import ReaderSpec
from tests.chaos.replay_texts import TENANT, Change
from topics.ingest import ACCESS_CHANGED, DOCUMENT_CHANGED, DOCUMENT_HEAD, EMBEDDING_COMPUTED

GROUPS: Final = {
    "headwater.ingest.parse.v1": (DOCUMENT_CHANGED.name, ACCESS_CHANGED.name),
    "headwater.ingest.settle.v1": (DOCUMENT_HEAD.name,),
}
PARTITIONS: Final = 4
READY_S: Final = 60.0
LOOK_S: Final = 0.3


@dataclass(frozen=True)
class State:
    """What there is: per document a hash over its head and its objects with their vectors, and the log's counts."""

    documents: dict[str, str]
    objects: int
    embeddings: int
    heads_written: int

    @property
    def digest(self) -> str:
        return hashlib.sha256(repr(sorted(self.documents.items())).encode()).hexdigest()[:16]

    def differing(self, other: State) -> list[str]:
        """The documents that are not the same."""
        known = self.documents.keys() | other.documents.keys()
        return sorted(name for name in known if self.documents.get(name) != other.documents.get(name))


class IndexRun:
    """A broker, a registry and perhaps Weaviate: use it as a context; `kind` is that of the index."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder = folder
        self.kind = kind
        self._end = ExitStack()

    def __enter__(self) -> IndexRun:
        try:
            self._start()
        except BaseException:
            self._end.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()

    def _start(self) -> None:
        broker = self._end.enter_context(KafkaBroker(BrokerSpec(self.folder / "kafka", user_cache(), quick=True)))
        registry = OwnPart(REGISTRY, self.folder / "registry")
        self._end.callback(registry.stop)
        registry.begin(choose_port("the registry"), (("HEADWATER_KAFKA__BOOTSTRAP", broker.bootstrap),))
        index: dict[str, object] = {"folder": self.folder.absolute() / "index"}
        served: tuple[tuple[str, str], ...] = ()
        if self.kind == "weaviate":
            server = self._end.enter_context(WeaviateServer(self.folder / "weaviate", user_cache()))
            served = client_settings([server])
            index |= {"kind": "weaviate", "url": server.url, "grpc_port": server.grpc_port, "api_key": server.api_key}
        registry.await_ready(READY_S)
        self.settings = load(
            kafka={"bootstrap": broker.bootstrap, "partitions": PARTITIONS},
            registry={"url": registry.url, "auto_register": True},
            index=index,
            embed={"model": "hashing"},
            claims_folder=self.folder.absolute() / "claims",
        )
        ensure(self.settings)
        self._environment = (
            ("HEADWATER_KAFKA__BOOTSTRAP", broker.bootstrap),
            ("HEADWATER_REGISTRY__URL", registry.url),
            ("HEADWATER_REGISTRY__AUTO_REGISTER", "true"),
            ("HEADWATER_INDEX__FOLDER", str(self.settings.index.folder)),
            ("HEADWATER_CLAIMS_FOLDER", str(self.settings.claims_folder)),
            ("HEADWATER_EMBED__MODEL", "hashing"),
            *served,
        )

    def publish(self, made: Iterable[Change]) -> None:
        """Puts changes on their topic, in this order."""
        parts = Parts(self.settings)
        entrance = Entrance(SystemClock(), SystemIds(), "chaos")
        with Publisher(self.settings.kafka, parts.codec, entrance) as publisher:
            for sent in [publisher.send(DOCUMENT_CHANGED, change) for change in made]:
                publisher.wait(sent)
        parts.close()

    def work(self, within_s: float, defence: str = "") -> float:
        """A worker goes through all there is, and ends; the seconds it took. Raises TimeoutError."""
        spec = ReaderSpec(str(self.folder), defence=defence)
        command = (sys.executable, "-m", "tests.chaos.cdc_worker", "ingest", "ingest", spec.text())
        child = Child(ChildSpec("ingest", command, self.folder, self._environment))
        began = time.monotonic()
        child.start()
        try:
            while not self._is_done():
                if time.monotonic() - began > within_s or not child.alive:
                    raise TimeoutError(f"the worker did not come to the end within {within_s:g} s: {child.log_tail()}")
                time.sleep(LOOK_S)
        finally:
            child.stop(15.0)
        return time.monotonic() - began

    def _is_done(self) -> bool:
        lag = GroupLag(self.settings.kafka, SystemClock())
        try:
            stands = [
                one for group, topics in GROUPS.items() for name in topics for one in lag.of(group, name).values()
            ]
        finally:
            lag.close()
        return not any(one.records for one in stands)

    def reset(self) -> None:
        """Everything is to be read again: the groups, which have no members now, stand at 0."""
        admin = AdminClient(client_config(self.settings.kafka))
        for group, topics in GROUPS.items():
            places = [TopicPartition(name, partition, 0) for name in topics for partition in range(PARTITIONS)]
            for future in admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)]).values():
                future.result(30.0)

    def state(self) -> State:
        """What there is now; no worker may run."""
        parts = Parts(self.settings)
        try:
            held: defaultdict[str, list[IndexObject]] = defaultdict(list)
            for found in parts.port("store").walk(TENANT):
                held[found.document].append(found)
            heads = self.heads(parts)
            documents = {name: _digest(heads.get(name), held[name]) for name in heads.keys() | held.keys()}
            objects = sum(map(len, held.values()))
            return State(
                documents, objects, self._count(parts, EMBEDDING_COMPUTED.name), self._count(parts, DOCUMENT_HEAD.name)
            )
        finally:
            parts.close()

    def heads(self, parts: Parts) -> dict[str, DocumentHead]:
        """The committed heads, by document."""
        heads_of = committed_heads(self.settings, parts.codec, SystemClock())
        return {head.document: head for head in heads_of("texts/")}

    def _count(self, parts: Parts, topic: str) -> int:
        with Reader(self.settings.kafka, parts.codec, SystemClock()) as reader:
            return sum(1 for _ in reader.read(topic))


def _digest(head: DocumentHead | None, held: Sequence[IndexObject]) -> str:
    """Everything of a document that a reader could ever see, and where it stands in the protocol."""
    said = hashlib.sha256()
    if head is not None:
        chunks = [(one.name, one.object_id) for one in head.chunks]
        said.update(repr((head.version, head.access_version, head.access, head.title, head.gone, chunks)).encode())
    for one in sorted(held, key=lambda found: found.object_id):
        said.update(repr((one.object_id, one.version, one.title, one.access, one.chunk)).encode())
        said.update(one.vector)
    return said.hexdigest()


def shuffled(made: Sequence[Change], chance: random.Random) -> list[Change]:
    """A third of all changes once more, in any order: most of them are older than what there is."""
    return chance.sample(made, len(made) // 3)
