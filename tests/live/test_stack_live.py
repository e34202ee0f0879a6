"""The whole stack as people run it, with the hashing embedder: restarts, a lost index, measures, a broker killed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.host import SystemClock, SystemIds
from adapters.schema_registry import ConfluentSchemaIds
from headwater.client import Answer, Client
from headwater.errors import GatewayUnavailableError
from headwater.local.spec import StackSpec
from headwater.local.stack import Stack
from schemas.codec import Codec
from schemas.documents import AccessChanged, DocumentIndexed
from schemas.envelope import Event
from schemas.measures import AnswerEvaluated, CostRecorded
from streams.publishing import Entrance, Publisher
from streams.reading import Reader
from streams.settings import load
from topics.ingest import ACCESS_CHANGED, DOCUMENT_CHANGED, DOCUMENT_HEAD, DOCUMENT_INDEXED, EMBEDDING_COMPUTED
from topics.measure import ANSWER_EVALUATED, COST_RECORDED

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

TENANT = "acme"
QUESTION = "How long does a lease at Marlow run?"
LEASE = "# Lease\n\nA lease at Marlow runs for twelve months.\n\n## Deposit\n\nThe deposit is 400 pounds.\n"


@dataclass
class Running:
    """A stack, and what a test does with it."""

    stack: Stack
    client: Client
    folder: Path

    def put(self, document: str, text: str, patience_s: float = 0.0) -> None:
        """Publishes; with patience it tries again while the gateway says that Kafka is away, as applications do."""
        until = time.monotonic() + patience_s
        while True:
            try:
                self.client.publish(document, text, media_type="text/markdown")
                return
            except GatewayUnavailableError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.5)

    def ask(self, question: str = QUESTION, **more: Any) -> Answer:
        return self.client.ask(question, **more)

    def until(self, arrived: Callable[[Answer], bool], timeout_s: float = 30.0, **more: Any) -> Answer:
        until = time.monotonic() + timeout_s
        while not arrived(answer := self.ask(**more)):
            assert time.monotonic() < until, f"the answer did not come to hold what it should: {answer.text!r}"
        return answer

    def events(self, topic: str) -> list[Event]:
        settings = load(kafka={"bootstrap": self.stack.addresses.bootstrap})
        with Reader(settings.kafka, self.codec, SystemClock()) as reader:
            return [reading.event for reading in reader.read(topic) if reading.event is not None]

    @property
    def codec(self) -> Codec:
        return Codec(ConfluentSchemaIds(self.stack.addresses.registry_url))

    def restart_worker(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.stack.worker.stop()
        meanwhile()
        self.stack.up()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("stack")
    environment = (("HEADWATER_EMBED__MODEL", "hashing"), ("HEADWATER_TENANTS", f'["{TENANT}"]'))
    spec = StackSpec(folder / "state", cache_folder, detached=False, environment=environment)
    with Stack(spec) as stack, Client(stack.addresses.gateway_url, tenant=TENANT) as client:
        yield Running(stack, client, folder / "state")


def test_when_a_document_is_published_edited_and_deleted_then_answers_follow(running: Running) -> None:
    running.put("lease.md", LEASE)
    answer = running.until(lambda a: "twelve months" in a.text)
    assert answer.citations[0].document == "lease.md" and "twelve months" in answer.citations[0].quote
    running.put("lease.md", LEASE.replace("twelve", "eighteen"))
    assert "twelve" not in running.until(lambda a: "eighteen months" in a.text).text
    running.client.delete("lease.md")
    running.until(lambda a: not a.answered)


def test_when_the_worker_restarts_then_nothing_is_embedded_or_written_again(running: Running) -> None:
    running.put("again.md", LEASE.replace("Marlow", "Henley"))
    running.until(lambda a: "twelve months" in a.text, question="How long does a lease at Henley run?")
    before = [len(running.events(topic)) for topic in (EMBEDDING_COMPUTED.name, DOCUMENT_HEAD.name)]
    running.restart_worker()
    assert running.ask("How long does a lease at Henley run?").answered
    assert [len(running.events(topic)) for topic in (EMBEDDING_COMPUTED.name, DOCUMENT_HEAD.name)] == before


def test_when_the_same_file_is_published_again_then_no_chunk_is_embedded(running: Running) -> None:
    running.put("same.md", LEASE.replace("Marlow", "Oxford"))
    running.until(lambda a: "twelve months" in a.text, question="How long does a lease at Oxford run?")
    before = len(running.events(EMBEDDING_COMPUTED.name))
    running.put("same.md", LEASE.replace("Marlow", "Oxford"))
    _until(lambda: len(_receipts(running, "same.md")) == 2)
    assert len(running.events(EMBEDDING_COMPUTED.name)) == before
    assert _receipts(running, "same.md")[-1].added == 0


def test_when_the_index_is_lost_then_it_is_built_again_from_the_log_without_embedding(running: Running) -> None:
    running.put("kept.md", LEASE.replace("Marlow", "Reading"))
    running.until(lambda a: "twelve months" in a.text, question="How long does a lease at Reading run?")
    before = len(running.events(EMBEDDING_COMPUTED.name))
    running.restart_worker(lambda: shutil.rmtree(running.folder / "index"))
    assert "twelve months" in running.ask("How long does a lease at Reading run?").text
    assert len(running.events(EMBEDDING_COMPUTED.name)) == before


def test_when_access_changes_then_it_holds_at_the_next_question(running: Running) -> None:
    question = "How long does a lease at Cookham run?"
    running.put("secret.md", LEASE.replace("Marlow", "Cookham"))
    running.until(lambda a: "twelve months" in a.text, question=question)
    settings = load(kafka={"bootstrap": running.stack.addresses.bootstrap})
    with Publisher(settings.kafka, running.codec, Entrance(SystemClock(), SystemIds(), "test")) as publisher:
        access = AccessChanged(tenant=TENANT, document="secret.md", access=("group:board",))
        publisher.publish(ACCESS_CHANGED, access)
    running.until(lambda a: not a.answered, question=question)
    running.until(lambda a: a.answered, question=question, groups=("group:board",))


def test_when_answers_are_given_then_costs_and_scores_follow(running: Running) -> None:
    running.put("cost.md", LEASE.replace("Marlow", "Datchet"))
    answer = running.until(lambda a: "twelve months" in a.text, question="How long does a lease at Datchet run?")

    def evaluated() -> bool:
        scores = [event for event in running.events(ANSWER_EVALUATED.name) if isinstance(event, AnswerEvaluated)]
        return any(event.answer_id == answer.answer_id for event in scores)

    _until(evaluated)
    lines = [event for event in running.events(COST_RECORDED.name) if isinstance(event, CostRecorded)]
    assert {"document", "query"} == {line.subject for line in lines}
    assert len({line.line_id for line in lines}) == len(lines)


def test_when_the_broker_is_killed_and_started_again_then_what_was_published_before_and_after_is_answered(
    running: Running,
) -> None:
    for n in range(20):
        running.put(f"away-{n}.md", f"# Pier {n}\n\nThe lamp of pier number {n} has the colour teal.\n")
    running.stack.broker.child.kill()
    time.sleep(3.0)
    running.stack.broker.start()
    running.put("back.md", "# Pier 99\n\nThe lamp of pier number 99 has the colour mauve.\n", patience_s=30.0)
    wanted = {*(f"away-{n}.md" for n in range(20)), "back.md"}
    _until(lambda: {receipt.document for receipt in _all_receipts(running)} >= wanted, 60.0)
    assert running.events(DOCUMENT_CHANGED.dead_letters) == []
    running.until(lambda a: "mauve" in a.text, question="Which colour has the lamp of pier number 99?")


def _all_receipts(running: Running) -> list[DocumentIndexed]:
    return [event for event in running.events(DOCUMENT_INDEXED.name) if isinstance(event, DocumentIndexed)]


def _receipts(running: Running, document: str) -> list[DocumentIndexed]:
    return [receipt for receipt in _all_receipts(running) if receipt.document == document]


def _until(check: Callable[[], bool], timeout_s: float = 30.0) -> None:
    until = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.2)
