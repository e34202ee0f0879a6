"""A broker, a registry and a folder for index generations: documents go in, questions are asked, over real Kafka."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from adapters.heads_view import MemoryHeads
from adapters.host import SystemClock, SystemIds
from adapters.memory import MemoryClaims
from adapters.schema_registry import ConfluentSchemaIds
from headwater.local.broker import BrokerSpec, KafkaBroker
from headwater.local.parts import REGISTRY, OwnPart
from headwater.local.ports import choose_port
from schemas.codec import Codec
from schemas.documents import DocumentDeleted, DocumentErased, DocumentHead, EmbeddingComputed, ErasureRequested
from schemas.envelope import Event
from schemas.queries import AnswerGiven, AnswerWithheld, Query, QueryAsked
from streams.audit_service import Audits
from streams.promotion import Operator
from streams.publishing import Entrance, Publisher, Upload, document_changed
from streams.reading import Reader
from streams.selection import select
from streams.settings import Audit, Settings
from streams.worker import Worker
from tests.live.in_process import working
from topics.answer import ANSWER_GIVEN, QUERY_ASKED
from topics.ingest import DOCUMENT_CHANGED, DOCUMENT_ERASED, DOCUMENT_HEAD, EMBEDDING_COMPUTED, ERASURE_REQUESTED

TENANT = "acme"
WITHIN_S = 90.0


@pytest.fixture(scope="module")
def generation_cluster(
    tmp_path_factory: pytest.TempPathFactory, cache_folder: Path, small_program: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    """A broker and a registry; `(bootstrap, url)`."""
    with KafkaBroker(BrokerSpec(tmp_path_factory.mktemp("kafka"), cache_folder, quick=True)) as broker:
        registry = OwnPart(REGISTRY, tmp_path_factory.mktemp("registry"))
        registry.begin(choose_port("the registry"), (("HEADWATER_KAFKA__BOOTSTRAP", broker.bootstrap),), small_program)
        try:
            registry.await_ready(30.0)
            yield broker.bootstrap, registry.url
        finally:
            registry.stop()


@dataclass
class World:
    """Everything that a test of generations needs; `settings` are those of its workers."""

    settings: Settings
    codec: Codec = field(init=False)
    entrance: Entrance = field(init=False)
    operator: Operator = field(init=False)

    def __post_init__(self) -> None:
        self.codec = Codec(ConfluentSchemaIds(self.settings.registry.url, True))
        self.entrance = Entrance(SystemClock(), SystemIds(), "test")
        self.operator = Operator(self.settings, self.codec, self.entrance)

    @contextmanager
    def worker(self, *steps: str) -> Iterator[Worker]:
        """A worker in this process, stopped at the end; what it failed of is raised."""
        with working(Worker(self.settings, select(steps or ("ingest", "answer")))) as worker:
            yield worker

    def publish(self, texts: dict[str, str | None], tenant: str = TENANT) -> None:
        """Publishes documents; None deletes one."""
        with Publisher(self.settings.kafka, self.codec, self.entrance) as publisher:
            sent = [publisher.send(DOCUMENT_CHANGED, _event(name, text, tenant)) for name, text in texts.items()]
            for one in sent:
                publisher.wait(one)

    def ask(self, question: str, tenant: str = TENANT) -> AnswerGiven | AnswerWithheld:
        """The answer to a question, by the way of every question."""
        query = Query(query_id=SystemIds().new(), question=question)
        with Publisher(self.settings.kafka, self.codec, self.entrance) as publisher:
            publisher.publish(QUERY_ASKED, QueryAsked(tenant=tenant, query=query))
        until = time.monotonic() + WITHIN_S
        while time.monotonic() < until:
            for event in self.events(ANSWER_GIVEN.name):
                if isinstance(event, AnswerGiven | AnswerWithheld) and event.answer_id == query.query_id:
                    return event
            time.sleep(0.05)
        raise AssertionError(f"no answer to {question!r}")

    def erase(self, document: str, tenant: str = TENANT) -> dict[str, tuple[int, int]]:
        """Asks for an erasure and waits for its receipt: what each store removed and has left."""
        with Publisher(self.settings.kafka, self.codec, self.entrance) as publisher:
            publisher.publish(ERASURE_REQUESTED, ErasureRequested(tenant=tenant, document=document, reason="test"))
        until = time.monotonic() + WITHIN_S
        while time.monotonic() < until:
            for event in self.events(DOCUMENT_ERASED.name):
                if isinstance(event, DocumentErased) and event.document == document:
                    return {store.store: (store.removed, store.left) for store in event.stores}
            time.sleep(0.05)
        raise AssertionError(f"no receipt for the erasure of {document!r}")

    def events(self, topic: str) -> list[Event]:
        with Reader(self.settings.kafka, self.codec, SystemClock()) as reader:
            return [reading.event for reading in reader.read(topic) if reading.event is not None]

    def heads(self, generation: str) -> MemoryHeads:
        """The heads of a generation as the log has them."""
        view = MemoryHeads(generation)
        for event in self.events(DOCUMENT_HEAD.name):
            if isinstance(event, DocumentHead):
                view.fold(event)
        view.open()
        return view

    def computed(self) -> int:
        """How many vectors were ever computed."""
        return sum(isinstance(event, EmbeddingComputed) for event in self.events(EMBEDDING_COMPUTED.name))

    def settled(self, generation: str, documents: int) -> None:
        """Waits until a generation knows so many documents."""
        until = time.monotonic() + WITHIN_S
        while len(list(self.heads(generation).walk())) < documents:
            assert time.monotonic() < until, f"generation {generation} did not get its documents"
            time.sleep(0.1)


def other(settings: Settings, *, max_tokens: int = 0, dimension: int = 0) -> Settings:
    """Settings of another generation."""
    chunking = {"max_tokens": max_tokens, "target_tokens": max_tokens // 2} if max_tokens else {}
    return settings.model_copy(
        update={
            "chunking": settings.chunking.model_copy(update=chunking),
            "embed": settings.embed.model_copy(update={"dimension": dimension} if dimension else {}),
        }
    )


def mended(worker: Worker, serving: str, document: str) -> bool:
    """Whether what is taken out of the index that serves is back after two looks of the worker's auditors."""
    generations = worker._parts.port("serving")
    audits = Audits(generations, Audit(every_s=1.0, grace_s=0.2, repair=True))
    with generations.lease(TENANT) as served:
        assert served.generation == serving
        lost = [found.object_id for found in served.store.walk(TENANT) if found.document == document]
        served.store.remove(TENANT, lost)
        assert served.store.existing(TENANT, lost) == set()
        for _ in range(2):
            assert serving in audits.look()
            time.sleep(0.3)
        return bool(lost) and served.store.existing(TENANT, lost) == set(lost)


def folder_of(settings: Settings, generation: str) -> Path:
    return settings.index.folder / generation


def _event(document: str, text: str | None, tenant: str) -> Event:
    if text is None:
        return DocumentDeleted(tenant=tenant, document=document)
    upload = Upload(tenant=tenant, document=document, body=text.encode(), media_type="text/markdown")
    return document_changed(upload, MemoryClaims())
