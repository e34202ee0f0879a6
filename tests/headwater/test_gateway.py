"""What the gateway refuses by itself, before anything reaches a broker: a table of bad requests."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from headwater.gateway.app import create_app
from headwater.gateway.changes import Changes
from headwater.gateway.problems import members_of, of_error
from headwater.gateway.repeats import Repeats
from headwater.local.ports import choose_port
from schemas.envelope import Version
from schemas.queries import AnswerChanged
from streams.errors import TooManyQuestionsError
from streams.publishing import Published
from streams.retrieve_settings import DeclaredField, Retrieve
from streams.settings import Gateway, Kafka, Registry, Settings

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def client(anyio_backend: str) -> Any:
    settings = Settings(
        kafka=Kafka(bootstrap=f"127.0.0.1:{choose_port('nothing')}", deadline_s=0.5),
        registry=Registry(url=f"http://127.0.0.1:{choose_port('nothing')}"),
        gateway=Gateway(max_body_bytes=1_000, max_question_chars=100),
        retrieve=Retrieve(filters={"year": DeclaredField(kind="number")}),
    )
    app = create_app(settings)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway") as http,
    ):
        yield http


ASK, DOCUMENTS, FEEDBACK, NOTES = "/v1/ask", "/v1/documents", "/v1/feedback", "/v1/memories"

REFUSED: list[tuple[str, Any, int, str]] = [
    (ASK, b"{no json", 400, "json-invalid"),
    (ASK, b"", 422, "body-invalid"),
    (ASK, {"tenant": "acme"}, 422, "body-invalid"),
    (ASK, {"question": "", "tenant": "acme"}, 422, "question-empty"),
    (ASK, {"question": " \n ", "tenant": "acme"}, 422, "question-empty"),
    (ASK, {"question": "x" * 101, "tenant": "acme"}, 413, "question-too-long"),
    (ASK, {"question": "x" * 100_000, "tenant": "acme"}, 413, "question-too-long"),
    (ASK, {"question": "x" * 2_000_000, "tenant": "acme"}, 413, "body-too-large"),
    (ASK, {"question": "How?"}, 422, "tenant-invalid"),
    (ASK, {"question": "How?", "tenant": "a|b"}, 422, "tenant-invalid"),
    (ASK, {"question": "How?", "tenant": "acme", "max_passages": 0}, 422, "body-invalid"),
    (ASK, {"question": "How?", "tenant": "acme", "surprise": 1}, 422, "body-invalid"),
    (ASK, {"question": "How?", "tenant": "acme", "filters": {"mood": "good"}}, 400, "filter-invalid"),
    (ASK, {"question": "How?", "tenant": "acme", "filters": {"year": "new"}}, 400, "filter-invalid"),
    (ASK, {"question": "How?", "tenant": "acme", "filters": {"year": "1990..1999"}}, 503, "unavailable"),
    (ASK, {"question": "How?", "tenant": "acme"}, 503, "unavailable"),
    (DOCUMENTS, {"document": "a", "tenant": "acme"}, 422, "body-invalid"),
    (DOCUMENTS, {"document": "a", "tenant": "acme", "text": "a", "content_base64": "YQ=="}, 422, "body-invalid"),
    (DOCUMENTS, {"document": "a", "tenant": "acme", "content_base64": "not base64!"}, 422, "body-invalid"),
    (DOCUMENTS, {"document": "a\n", "tenant": "acme", "text": "a"}, 422, "body-invalid"),
    (DOCUMENTS, {"document": "", "tenant": "acme", "text": "a"}, 422, "body-invalid"),
    (DOCUMENTS, {"document": "a", "tenant": "acme", "text": "x" * 1_001}, 413, "body-too-large"),
    (DOCUMENTS, {"document": "a", "tenant": "acme", "text": "x" * 2_000_000}, 413, "body-too-large"),
    (DOCUMENTS, {"document": "a", "tenant": "acme", "text": "a"}, 503, "unavailable"),
    (FEEDBACK, {"answer_id": "a", "tenant": "acme", "rating": "sideways"}, 422, "body-invalid"),
    (FEEDBACK, {"answer_id": "a", "tenant": "acme", "rating": "up"}, 503, "unavailable"),
]


@pytest.mark.parametrize(("path", "body", "status", "kind"), REFUSED)
async def test_when_a_request_is_bad_then_a_problem_says_what_is_wrong(
    client: httpx.AsyncClient, path: str, body: Any, status: int, kind: str
) -> None:
    said = {"content": body} if isinstance(body, bytes) else {"json": body}
    response = await client.post(path, headers={"content-type": "application/json"}, **said)
    problem = response.json()
    assert (response.status_code, problem["type"]) == (status, f"urn:headwater:problem:{kind}")
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    assert problem["detail"]
    assert problem["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("place", "body", "status", "kind"),
    [
        ("acme/a.md", {"access": ["ops"]}, 422, "body-invalid"),
        ("acme/a.md", {"access": ["group:"]}, 422, "body-invalid"),
        ("acme/a.md", {"access": ["group:a\nb"]}, 422, "body-invalid"),
        ("acme/a.md", {}, 422, "body-invalid"),
        ("a|b/a.md", {"access": ["*"]}, 422, "tenant-invalid"),
        ("acme/a%07", {"access": ["*"]}, 422, "body-invalid"),
        ("acme/guides/a.md", {"access": []}, 503, "unavailable"),
        ("acme/guides/a.md", {"access": ["*", "group:x", "user:y z"]}, 503, "unavailable"),
    ],
)
async def test_when_an_access_list_is_set_then_only_one_that_somebody_could_ask_under_goes_on(
    client: httpx.AsyncClient, place: str, body: Any, status: int, kind: str
) -> None:
    response = await client.put(f"{DOCUMENTS}/{place}/access", json=body)
    assert (response.status_code, response.json()["type"]) == (status, f"urn:headwater:problem:{kind}")


async def test_when_a_body_lies_about_its_length_then_it_is_still_bounded(client: httpx.AsyncClient) -> None:
    async def endless() -> Any:
        while True:
            yield b"x" * 100_000

    response = await client.post(ASK, content=endless(), headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["type"]) == (413, "urn:headwater:problem:body-too-large")


@pytest.mark.parametrize(("path", "status"), [("/v1/nothing", 404), ("/v1/ask", 405)])
async def test_when_there_is_no_such_route_then_that_is_a_problem_too(
    client: httpx.AsyncClient, path: str, status: int
) -> None:
    response = await client.get(path)
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")


@pytest.mark.parametrize(("given", "echoed"), [("req-1", True), ("bad id\twith spaces", False), ("x" * 200, False)])
async def test_when_a_request_has_an_id_then_a_usable_one_is_echoed(
    client: httpx.AsyncClient, given: str, echoed: bool
) -> None:
    response = await client.get("/livez", headers={"X-Request-Id": given})
    assert (response.headers["x-request-id"] == given) is echoed
    assert response.headers["x-request-id"]


async def test_when_kafka_is_away_then_the_gateway_lives_and_is_not_ready(client: httpx.AsyncClient) -> None:
    assert (await client.get("/livez")).status_code == 200
    assert (await client.get("/readyz")).status_code == 503


async def test_when_two_tenants_are_named_then_neither_is_believed(client: httpx.AsyncClient) -> None:
    response = await client.post(ASK, json={"question": "How?", "tenant": "acme"}, headers={"X-Tenant": "other"})
    assert (response.status_code, response.json()["title"]) == (422, "Two tenants in one request")


async def test_when_the_api_is_described_then_every_route_of_the_platform_is_there(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    one, stands = "/v1/documents/{tenant}/{document}", "/v1/standing/{question_id}"
    notes = {NOTES, f"{NOTES}/{{memory}}"}
    documents = {DOCUMENTS, one, f"{one}/access", "/v1/hooks/{name}"}
    assert set(paths) == {ASK, f"{ASK}/{{answer_id}}", FEEDBACK, *documents, stands, f"{stands}/changes", *notes}


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"question": " ", "tenant": "acme"}, 422, "question-refused"),
        ({"question": "x" * 5_000, "tenant": "acme"}, 422, "question-refused"),
        ({"question": "Why?", "tenant": "a|b"}, 422, "tenant-invalid"),
        ({"question": "Why?", "tenant": "acme", "groups": ["ops"]}, 422, "body-invalid"),
        ({"question": "Why?", "tenant": "acme", "filters": {"mood": "good"}}, 400, "filter-invalid"),
        ({"question": "Why?", "tenant": "acme", "groups": ["group:ops"]}, 503, "unavailable"),
    ],
)
async def test_when_somebody_subscribes_then_only_a_question_that_can_be_asked_goes_on(
    client: httpx.AsyncClient, body: Any, status: int, kind: str
) -> None:
    response = await client.put("/v1/standing/q1", json=body)
    assert (response.status_code, response.json()["type"]) == (status, f"urn:headwater:problem:{kind}")


@pytest.mark.parametrize(
    ("method", "place", "body", "status", "kind"),
    [
        ("POST", "", {"text": "A note.", "tenant": "acme"}, 400, "user-missing"),
        ("POST", "", {"text": "A note.", "tenant": "acme", "user": " "}, 400, "user-missing"),
        ("POST", "", {"text": " ", "tenant": "acme", "user": "ada"}, 422, "memory-refused"),
        ("POST", "", {"text": "a\x00b", "tenant": "acme", "user": "ada"}, 422, "memory-refused"),
        ("POST", "", {"text": "x" * 1_001, "tenant": "acme", "user": "ada"}, 422, "memory-refused"),
        ("POST", "", {"text": "A.", "tenant": "acme", "user": "ada", "memory": "a/b"}, 422, "memory-refused"),
        ("POST", "", {"text": "A note.", "tenant": "a|b", "user": "ada"}, 422, "tenant-invalid"),
        ("POST", "", {"text": "A note.", "tenant": "acme", "user": "ada", "owner": "bob"}, 422, "body-invalid"),
        ("POST", "", {"text": "A note.", "tenant": "acme", "user": "ada"}, 503, "unavailable"),
        ("GET", "", None, 400, "user-missing"),
        ("GET", "?user=ada", None, 503, "unavailable"),
        ("DELETE", "", None, 400, "user-missing"),
        ("DELETE", "/m1", None, 400, "user-missing"),
        ("DELETE", "?user=ada", None, 503, "unavailable"),
    ],
)
async def test_when_somebody_works_on_notes_then_only_what_can_be_done_goes_on(
    client: httpx.AsyncClient, method: str, place: str, body: Any, status: int, kind: str
) -> None:
    headers = {} if body else {"X-Tenant": "acme"}
    response = await client.request(method, f"{NOTES}{place}", json=body, headers=headers)
    assert (response.status_code, response.json()["type"]) == (status, f"urn:headwater:problem:{kind}")


async def test_when_a_question_asks_for_its_memory_without_a_user_then_that_is_told(client: httpx.AsyncClient) -> None:
    response = await client.post(ASK, json={"question": "How?", "tenant": "acme", "memory": True})
    assert (response.status_code, response.json()["type"]) == (400, "urn:headwater:problem:user-missing")
    assert "say 'user'" in response.json()["detail"]


@pytest.mark.parametrize("name", [f"memory/{'0' * 32}/m1", f"memory/{'0' * 32}"])
async def test_when_a_document_has_the_name_of_a_note_then_the_doors_of_documents_refuse_it(
    client: httpx.AsyncClient, name: str
) -> None:
    body = {"document": name, "tenant": "acme", "text": "Mine now."}
    answers = [
        await client.post(DOCUMENTS, json=body),
        await client.put(f"{DOCUMENTS}/acme/{name}/access", json={"access": ["*"]}),
        await client.delete(f"{DOCUMENTS}/acme/{name}"),
    ]
    assert [(one.status_code, one.json()["title"]) for one in answers] == [(422, "The name is not for documents")] * 3


def test_when_changes_are_kept_then_each_listener_hears_what_came_since_it_listened() -> None:
    changes = Changes()
    told = [
        AnswerChanged(
            tenant="acme", question_id=f"q{n}", before="", after="", document="", version=Version(source=0, offset=n)
        )
        for n in range(3)
    ]
    changes.fold(told[0])
    count, heard = changes.after(0)
    assert heard == told[:1]
    changes.fold(told[1])
    changes.fold(told[2])
    assert changes.after(count) == (3, told[1:])
    assert changes.after(3) == (3, [])


def test_when_a_key_repeats_then_its_receipt_is_remembered_within_bounds() -> None:
    repeats, receipt = Repeats(most=2), Published("t", 0, 1, "e")
    for key in ("a", "b", "c"):
        repeats.keep(key, "digest", receipt)
    assert repeats.find("a", "digest") is None
    assert repeats.find("c", "digest") == receipt


def test_when_a_door_is_full_then_it_says_when_to_come_back() -> None:
    refusal = of_error(TooManyQuestionsError(7, retry_after_s=3))
    assert (refusal.status_code, refusal.headers) == (503, {"Retry-After": "3"})
    assert members_of(refusal)["type"] == "urn:headwater:problem:too-many-questions"


def test_when_an_error_is_a_fault_of_ours_then_its_words_stay_inside() -> None:
    members = members_of(of_error(ValueError("secret detail")), "req-1", "/v1/ask")
    assert (members["status"], members["request_id"], members["instance"]) == (500, "req-1", "/v1/ask")
    assert "secret" not in str(members)
