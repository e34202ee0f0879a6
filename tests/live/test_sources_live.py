"""Topics, webhooks, keys and the pacing gate over a real broker."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from fastapi.testclient import TestClient

from adapters.folder_claims import FolderClaims
from adapters.host import SystemClock
from adapters.object_source import ObjectSource
from headwater.gateway.app import create_app
from headwater.gateway.hooks import signature
from processors.ingest.mapping import KEY, FieldMapping, TopicMapping
from schemas.documents import DocumentChanged
from streams.mirror import FolderMirror, read_known
from streams.pacing import Pace
from streams.parts import Parts
from streams.publishing import Publisher
from streams.reading import Reader
from streams.selection import select
from streams.settings import Hook, Settings, Sources
from streams.worker import Worker
from tests.live.erasure_world import TENANT, World, until
from tests.streams.answerer import entrance
from topics.ingest import DOCUMENT_CHANGED, SOURCE_CHANGES

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

SECRET = "a secret of sixteen or more"
TOPIC = "crm.notes"


def with_sources(upkeep: World, **sources: Any) -> Settings:
    return upkeep.settings.model_copy(update={"sources": Sources(**sources)})


@contextmanager
def gateway(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings)) as client:
        until(lambda: client.get("/readyz").status_code == 200, "the gateway")
        yield client


def changes(upkeep: World, document: str) -> list[DocumentChanged]:
    events = [reading.event for reading in upkeep.readings(DOCUMENT_CHANGED.name)]
    return [event for event in events if isinstance(event, DocumentChanged) and event.document == document]


def test_when_a_gateway_is_restarted_then_a_repeated_request_still_counts_once(upkeep: World) -> None:
    body = {"document": "keyed.md", "tenant": TENANT, "text": "# Once"}
    headers = {"Idempotency-Key": "k-1"}
    with gateway(upkeep.settings) as client:
        first = client.post("/v1/documents", json=body, headers=headers)
        assert first.status_code == 202
    with gateway(upkeep.settings) as client:
        assert client.post("/v1/documents", json=body, headers=headers).json() == first.json()
        other = client.post("/v1/documents", json=body | {"text": "# Twice"}, headers=headers)
        assert (other.status_code, other.json()["type"]) == (422, "urn:headwater:problem:idempotency-key-reused")
    assert len(changes(upkeep, "keyed.md")) == 1


def test_when_a_webhook_is_signed_and_fresh_then_it_is_a_document_and_otherwise_nothing(upkeep: World) -> None:
    mapping = FieldMapping(tenant=TENANT, body="/text", prefix="hooked")
    settings = with_sources(upkeep, hooks={"crm": Hook(secret=SECRET, mapping=mapping)})
    body, now = json.dumps({"id": 1, "text": "Hello."}).encode(), int(time.time())
    with gateway(settings) as client:

        def send(header: str, name: str = "crm", content: bytes = body) -> tuple[int, dict[str, Any]]:
            answer = client.post(f"/v1/hooks/{name}", content=content, headers={"X-Headwater-Signature": header})
            return answer.status_code, answer.json()

        good = signature(SECRET, now, body)
        code, receipt = send(good)
        assert code == 202
        assert send(good) == (202, receipt), "a replay counts once"
        for header, name, content in (
            ("", "crm", body),
            (good, "unknown", body),
            (good, "crm", body + b" "),
            (signature("another secret of sixteen", now, body), "crm", body),
            (signature(SECRET, now - 400, body), "crm", body),
            (signature(SECRET, now + 400, body), "crm", body),
        ):
            assert send(header, name, content)[0] == 401
        wrong = b'{"text": "no id"}'
        assert send(signature(SECRET, now, wrong), "crm", wrong)[0] == 422
    assert len(changes(upkeep, "hooked/1")) == 1


def test_when_a_topic_is_declared_then_its_records_are_documents_and_bad_ones_dead_letters(upkeep: World) -> None:
    admin = AdminClient({"bootstrap.servers": upkeep.settings.kafka.bootstrap})
    admin.create_topics([NewTopic(TOPIC, 1)])[TOPIC].result(10)
    producer = Producer({"bootstrap.servers": upkeep.settings.kafka.bootstrap})
    producer.produce(TOPIC, b'{"text": "# One"}', b"one")
    producer.produce(TOPIC, b"not json", b"bad")
    producer.produce(TOPIC, b'{"text": "# Two"}', b"two")
    producer.produce(TOPIC, None, b"one")
    assert producer.flush(10) == 0
    mapping = TopicMapping(tenant=TENANT, id=(KEY,), body="/text", prefix="crm", media_type="text/markdown")
    parts = Parts(with_sources(upkeep, topics={TOPIC: mapping}))
    worker = Worker(parts.settings, select(("ingest",), sources=True), parts)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        until(lambda: {"crm/one", "crm/two"} <= upkeep.heads().keys(), "heads")
        until(lambda: upkeep.heads()["crm/one"].gone, "the delete")
        assert len(upkeep.heads()["crm/two"].chunks) == 1
    finally:
        worker.stop.set()
        thread.join(40)
    letters = upkeep.readings(SOURCE_CHANGES.dead_letters)
    reasons = [dict(letter.headers) for letter in letters if letter.key == "bad"]
    assert len(reasons) == 1 and any(b"wanted JSON" in value for value in reasons[0].values())


def test_when_the_worker_stands_still_then_sources_wait_and_nothing_is_lost(upkeep: World, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for number in range(30):
        (tmp_path / "docs" / f"paced-{number}.md").write_text(f"# Paced\n\nNumber {number}.\n")
    settings = with_sources(upkeep, max_backlog=10)
    pace = Pace(settings, SystemClock())
    with upkeep.running():
        until(lambda: pace.room() == 10, "what other tests left to be handled")
    source = ObjectSource(f"file://{tmp_path}/docs", 10_000)
    with gateway(settings) as client, Publisher(settings.kafka, upkeep.codec, entrance()) as publisher:
        with Reader(settings.kafka, upkeep.codec, SystemClock()) as reader:
            known = read_known(reader, TENANT, source.root)
        mirror = FolderMirror(source, publisher, FolderClaims(tmp_path / "claims"), TENANT, known)

        class Stood(Exception):
            """The source waits."""

        def gate() -> None:
            if not pace.take():
                raise Stood

        mirror.pace = gate
        with pytest.raises(Stood):
            list(mirror.sync())
        publisher.close()
        sent = [one for one in upkeep.readings(DOCUMENT_CHANGED.name) if "paced-" in one.key]
        assert len(sent) == 10, "as many as may be in flight, and no more"
        full = client.post("/v1/documents", json={"document": "x.md", "tenant": TENANT, "text": "x"})
        assert (full.status_code, full.headers["Retry-After"]) == (429, "2")
    with upkeep.running(), Publisher(settings.kafka, upkeep.codec, entrance()) as publisher:
        with Reader(settings.kafka, upkeep.codec, SystemClock()) as reader:
            known = read_known(reader, TENANT, source.root)
        assert len(known.hashes) == 10
        mirror = FolderMirror(source, publisher, FolderClaims(tmp_path / "claims"), TENANT, known)
        mirror.pace = pace.wait
        assert sum(change.action == "published" for change in mirror.sync()) == 20
        until(lambda: sum("paced-" in name for name in upkeep.heads()) == 30, "all of them")
    pace.close()
