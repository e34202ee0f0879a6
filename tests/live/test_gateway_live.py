"""The gateway over a real server, a real broker and a real registry: answers, streams, documents, every refusal."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from adapters.schema_registry import ConfluentSchemaIds
from headwater.local.broker import KafkaBroker
from headwater.local.parts import OwnPart
from headwater.local.ports import choose_port
from schemas.codec import Codec
from schemas.documents import DocumentChanged, DocumentDeleted
from schemas.measures import FeedbackGiven
from schemas.queries import QueryCancelled
from streams.ensure import ensure
from streams.reading import Reader, Reading, Slice
from streams.settings import Gateway, Kafka, Registry, Settings
from tests.live.gateway_process import RunningGateway
from tests.streams.answerer import WORDS, Answerer, entrance
from topics.answer import QUERY_CANCELLED

pytestmark = pytest.mark.live


def settings_for(bootstrap: str, registry_url: str, deadline_s: float = 10.0) -> Settings:
    return Settings(
        kafka=Kafka(bootstrap=bootstrap, deadline_s=deadline_s),
        registry=Registry(url=registry_url, auto_register=True),
        gateway=Gateway(deadline_s=10.0, max_body_bytes=100_000),
    )


@pytest.fixture(scope="module")
def settings(kafka: KafkaBroker, registry: OwnPart) -> Settings:
    made = settings_for(kafka.bootstrap, registry.url)
    ensure(made)
    return made


@pytest.fixture(scope="module")
def codec(settings: Settings) -> Codec:
    return Codec(ConfluentSchemaIds(settings.registry.url, auto_register=True))


@pytest.fixture(scope="module")
def gateway(settings: Settings, codec: Codec) -> Iterator[str]:
    with Answerer(settings.kafka, codec), RunningGateway(settings) as running:
        yield running.wait_ready().url


def post(url: str, path: str, body: object, **headers: str) -> httpx.Response:
    return httpx.post(url + path, json=body, headers=headers, timeout=20)


def newest(settings: Settings, codec: Codec, topic: str, key: str) -> Reading:
    with Reader(settings.kafka, codec, entrance().clock) as reader:
        return list(reader.read(topic, Slice(keep=lambda found, _: found == key.encode())))[-1]


def test_when_a_question_is_asked_then_a_cited_answer_comes(gateway: str) -> None:
    response = post(gateway, "/v1/ask", {"question": "How long is a lease?", "tenant": "acme"})
    assert response.status_code == 200
    answer = response.json()
    assert (answer["text"], answer["withheld"], answer["tenant"]) == ("".join(WORDS), "", "acme")
    assert answer["citations"][0]["document"] == "lease.md"
    assert answer["citations"][0]["version"] == {"source": 0, "offset": 3}


def test_when_the_tenant_stands_in_a_header_then_it_counts(gateway: str) -> None:
    response = post(gateway, "/v1/ask", {"question": "How long?"}, **{"X-Tenant": "acme"})
    assert response.json()["tenant"] == "acme"


def test_when_a_stream_is_asked_for_then_tokens_come_before_the_answer(gateway: str) -> None:
    headers = {"Accept": "text/event-stream", "X-Request-Id": "req-7"}
    with httpx.stream(
        "POST", f"{gateway}/v1/ask", json={"question": "How?", "tenant": "acme"}, headers=headers, timeout=20
    ) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-request-id"] == "req-7"
        blocks = "".join(response.iter_text()).strip().split("\n\n")
    events = [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]
    names = [event["event"] for event in events]
    assert names == ["meta", *["token"] * (len(names) - 3), "citation", "done"]
    shown = [json.loads(event["data"])["text"] for event in events if event["event"] == "token"]
    assert ("".join(shown), shown[0]) == ("".join(WORDS), WORDS[0])
    assert events[1]["id"] == "0"
    assert json.loads(events[0]["data"])["answer_id"] == json.loads(events[-1]["data"])["answer_id"]


def test_when_a_stream_ends_in_a_refusal_then_its_last_event_is_a_problem(gateway: str) -> None:
    headers = {"Accept": "text/event-stream"}
    body = {"question": "withhold unknown_tenant", "tenant": "nobody"}
    text = httpx.post(f"{gateway}/v1/ask", json=body, headers=headers, timeout=20).text
    last = text.strip().split("\n\n")[-1].splitlines()
    assert last[0] == "event: error"
    assert json.loads(last[1].removeprefix("data: "))["type"] == "urn:headwater:problem:tenant-unknown"


@pytest.mark.parametrize(
    ("reason", "status", "kind"),
    [
        ("unknown_tenant", 404, "tenant-unknown"),
        ("invalid_question", 422, "question-refused"),
        ("refused", 403, "question-refused"),
        ("cancelled", 409, "question-cancelled"),
        ("expired", 504, "deadline-expired"),
        ("unavailable", 503, "unavailable"),
        ("overloaded", 503, "overloaded"),
    ],
)
def test_when_an_answer_is_withheld_then_the_status_says_why(gateway: str, reason: str, status: int, kind: str) -> None:
    response = post(gateway, "/v1/ask", {"question": f"withhold {reason}", "tenant": "acme"})
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    problem = response.json()
    assert (problem["type"], problem["detail"]) == (f"urn:headwater:problem:{kind}", f"so: {reason}")
    assert ("retry-after" in response.headers) == (status == 503)


@pytest.mark.parametrize("reason", ["not_in_documents", "no_question", "out_of_scope"])
def test_when_the_documents_dont_answer_or_nothing_was_asked_then_that_is_an_answer(gateway: str, reason: str) -> None:
    response = post(gateway, "/v1/ask", {"question": f"withhold {reason}", "tenant": "acme"})
    assert response.status_code == 200
    assert (response.json()["withheld"], response.json()["citations"]) == (reason, [])


def test_when_nobody_answers_then_it_is_504_at_the_deadline(gateway: str) -> None:
    began = time.monotonic()
    response = post(gateway, "/v1/ask", {"question": "silence", "tenant": "acme", "timeout_s": 0.4})
    assert (response.status_code, response.json()["type"]) == (504, "urn:headwater:problem:deadline-expired")
    assert time.monotonic() - began < 3


def test_when_a_document_is_published_and_deleted_then_both_lie_on_the_topic(
    gateway: str, settings: Settings, codec: Codec
) -> None:
    body = {"document": "guides/über leases.md", "tenant": "acme", "text": "# Lease", "access": ["group:hr"]}
    put = post(gateway, "/v1/documents", body)
    assert put.status_code == 202
    changed = newest(settings, codec, "rag.document.changed.v1", "acme|guides/über leases.md")
    assert isinstance(changed.event, DocumentChanged)
    assert (changed.event.body, changed.event.access) == (b"# Lease", ("group:hr",))
    assert (changed.partition, changed.offset) == (put.json()["partition"], put.json()["offset"])
    gone = httpx.delete(f"{gateway}/v1/documents/acme/guides/über leases.md", timeout=20)
    assert gone.status_code == 202
    deleted = newest(settings, codec, "rag.document.changed.v1", "acme|guides/über leases.md")
    assert isinstance(deleted.event, DocumentDeleted)


def test_when_a_document_is_large_then_its_body_is_left_at_the_claim_store(
    kafka: KafkaBroker, registry: OwnPart, tmp_path: object
) -> None:
    made = settings_for(kafka.bootstrap, registry.url)
    roomy = made.model_copy(update={"gateway": Gateway(max_body_bytes=1_000_000), "claims_folder": tmp_path})
    with RunningGateway(roomy) as running:
        body = {"document": "large.txt", "tenant": "acme", "text": "x" * 300_000, "media_type": "text/plain"}
        assert post(running.wait_ready().url, "/v1/documents", body).status_code == 202
    codec = Codec(ConfluentSchemaIds(registry.url))
    event = newest(roomy, codec, "rag.document.changed.v1", "acme|large.txt").event
    assert isinstance(event, DocumentChanged)
    assert event.claim is not None
    assert event.claim.size == 300_000


def test_when_a_request_is_repeated_with_its_key_then_it_counts_once(gateway: str) -> None:
    body = {"document": "once.md", "tenant": "acme", "text": "once"}
    first = post(gateway, "/v1/documents", body, **{"Idempotency-Key": "k1"})
    again = post(gateway, "/v1/documents", body, **{"Idempotency-Key": "k1"})
    assert first.json() == again.json()
    other = post(gateway, "/v1/documents", {**body, "text": "twice"}, **{"Idempotency-Key": "k1"})
    assert (other.status_code, other.json()["type"]) == (422, "urn:headwater:problem:idempotency-key-reused")


def test_when_feedback_is_given_then_it_lies_on_its_topic(gateway: str, settings: Settings, codec: Codec) -> None:
    body = {"answer_id": "a-1", "rating": "up", "tenant": "acme", "comment": "good"}
    assert post(gateway, "/v1/feedback", body).status_code == 202
    event = newest(settings, codec, "rag.feedback.given.v1", "a-1").event
    assert isinstance(event, FeedbackGiven)
    assert (event.rating, event.comment) == ("up", "good")


def test_when_metrics_are_read_then_questions_and_requests_are_counted(gateway: str) -> None:
    post(gateway, "/v1/ask", {"question": "How long?", "tenant": "acme"})
    text = httpx.get(f"{gateway}/metrics", timeout=5).text
    assert 'headwater_gateway_requests_total{method="POST",route="/v1/ask",status="200"}' in text
    assert 'headwater_answer_outcome_total{outcome="answered"}' in text
    assert "acme" not in text


def test_when_kafka_is_away_then_it_is_503_at_once(registry: OwnPart) -> None:
    away = settings_for(f"127.0.0.1:{choose_port('nothing')}", registry.url, deadline_s=1.0)
    with RunningGateway(away) as running:
        assert httpx.get(f"{running.url}/readyz", timeout=5).status_code == 503
        for path, body in (
            ("/v1/ask", {"question": "Anybody?", "tenant": "acme"}),
            ("/v1/documents", {"document": "a", "tenant": "acme", "text": "a"}),
            ("/v1/feedback", {"answer_id": "a", "tenant": "acme", "rating": "up"}),
        ):
            response = post(running.url, path, body)
            assert (response.status_code, response.headers["content-type"]) == (503, "application/problem+json")
            assert response.headers["retry-after"] == "2"


def test_when_kafka_comes_back_then_questions_are_answered_again(
    kafka: KafkaBroker, settings: Settings, codec: Codec
) -> None:
    with Answerer(settings.kafka, codec), RunningGateway(settings) as running:
        running.wait_ready()
        kafka.child.pause()
        try:
            slow = post(running.url, "/v1/ask", {"question": "How?", "tenant": "acme", "timeout_s": 1})
            assert slow.status_code in (503, 504)
        finally:
            kafka.child.resume()
        deadline = time.monotonic() + 20
        status = 0
        while status != 200 and time.monotonic() < deadline:
            status = post(running.url, "/v1/ask", {"question": "How?", "tenant": "acme", "timeout_s": 2}).status_code
        assert status == 200


def test_when_the_gateway_is_told_to_stop_then_what_is_being_answered_finishes(
    settings: Settings, codec: Codec, tmp_path: Path
) -> None:
    port = choose_port("the gateway")
    env = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "HEADWATER_KAFKA__BOOTSTRAP": settings.kafka.bootstrap,
        "HEADWATER_REGISTRY__URL": settings.registry.url,
    }
    command = [sys.executable, "-m", "headwater.cli.main", "gateway", "--port", str(port)]
    with Answerer(settings.kafka, codec), ThreadPoolExecutor(1) as pool:
        process = subprocess.Popen(command, env=env, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(f"{url}/readyz")
            body = {"question": "silence", "tenant": "acme", "timeout_s": 1.5}
            answering = pool.submit(post, url, "/v1/ask", body)
            time.sleep(0.4)
            process.terminate()
            assert answering.result(20).status_code == 504
            assert process.wait(20) == 0
        finally:
            process.kill()
            _, said = process.communicate(timeout=10)
    assert "Traceback" not in said


def wait_for(url: str, within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, timeout=2).status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError(f"{url} was not 200 within {within_s} s")


def test_when_a_stream_is_left_then_its_question_waits_no_longer(gateway: str) -> None:
    body, headers = {"question": "silence", "tenant": "acme", "timeout_s": 30}, {"Accept": "text/event-stream"}
    with httpx.stream("POST", f"{gateway}/v1/ask", json=body, headers=headers, timeout=20) as response:
        pieces = response.iter_text()
        assert next(pieces).startswith("event: meta")
        await_waiting(gateway, 1)
    await_waiting(gateway, 0)


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
def test_when_whoever_asked_hangs_up_then_the_question_is_cancelled(
    gateway: str, settings: Settings, codec: Codec, accept: str
) -> None:
    tenant = f"left-{accept[-4:]}"
    body = {"question": "silence", "tenant": tenant, "timeout_s": 30}
    with contextlib.suppress(httpx.TimeoutException):
        httpx.post(f"{gateway}/v1/ask", json=body, headers={"Accept": accept}, timeout=0.7)
    await_waiting(gateway, 0)
    (event,) = await_cancelled(settings, codec, tenant)
    assert event.deadline_at > entrance().clock.now()


def test_when_a_question_is_cancelled_by_its_id_then_the_topic_says_so_and_202_where(
    gateway: str, settings: Settings, codec: Codec
) -> None:
    response = httpx.delete(f"{gateway}/v1/ask/q-77", headers={"X-Tenant": "told"}, timeout=20)
    assert (response.status_code, response.json()["topic"]) == (202, QUERY_CANCELLED.name)
    (event,) = await_cancelled(settings, codec, "told")
    assert event.query_id == "q-77"
    assert httpx.delete(f"{gateway}/v1/ask/q-77", timeout=20).status_code == 422


def await_cancelled(settings: Settings, codec: Codec, tenant: str) -> list[QueryCancelled]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with Reader(settings.kafka, codec, entrance().clock) as reader:
            events = [reading.event for reading in reader.read(QUERY_CANCELLED.name)]
        if found := [event for event in events if isinstance(event, QueryCancelled) and event.tenant == tenant]:
            return found
        time.sleep(0.1)
    raise AssertionError("nothing was cancelled")


def await_waiting(gateway: str, questions: int) -> None:
    deadline = time.monotonic() + 10
    while waiting(gateway) != questions:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def waiting(gateway: str) -> float:
    text = httpx.get(f"{gateway}/metrics", timeout=5).text
    return float(
        next(line.split()[1] for line in text.splitlines() if line.startswith("headwater_gateway_questions_waiting "))
    )
