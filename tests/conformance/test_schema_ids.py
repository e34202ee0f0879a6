"""What every schema registry behind the port `SchemaIds` must do, in memory as over HTTP."""

from __future__ import annotations

import json
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from adapters.errors import RegistryUnavailableError
from adapters.schema_registry import ConfluentSchemaIds, MemorySchemaIds
from schemas.codec import Codec, SchemaIds, SchemaRefusedError, SchemaUnknownError
from tests.schemas.builders import sample, subjects_and_events

Open = Callable[[bool], SchemaIds]


@pytest.fixture(params=["memory", pytest.param("confluent", marks=pytest.mark.live)])
def open_ids(request: pytest.FixtureRequest) -> Open:
    """Opens a registry; the flag says whether it registers what it does not know."""
    if request.param == "memory":
        return MemorySchemaIds
    url = request.getfixturevalue("registry").url
    return lambda auto_register: ConfluentSchemaIds(url, auto_register)


def subject() -> str:
    return f"conformance-{uuid.uuid4().hex}-value"


def schema(*fields: str) -> str:
    parts = [{"name": name, "type": "string", "default": ""} for name in fields]
    return json.dumps([{"type": "record", "name": "Thing", "namespace": "conformance", "fields": parts}])


def test_when_asked_twice_then_the_id_is_the_same(open_ids: Open) -> None:
    ids, name = open_ids(True), subject()
    assert ids.id_of(name, schema("a")) == ids.id_of(name, schema("a"))


def test_when_the_same_schema_has_two_subjects_then_it_has_one_id(open_ids: Open) -> None:
    ids = open_ids(True)
    assert ids.id_of(subject(), schema("a")) == ids.id_of(subject(), schema("a"))


def test_when_a_schema_changes_then_its_id_does_and_the_old_one_stays(open_ids: Open) -> None:
    ids, name = open_ids(True), subject()
    old = ids.id_of(name, schema("a"))
    assert ids.id_of(name, schema("a", "b")) != old
    assert ids.id_of(name, schema("a")) == old


def test_when_a_schema_is_registered_then_its_text_comes_back(open_ids: Open) -> None:
    ids = open_ids(True)
    schema_id = ids.id_of(subject(), schema("a", "ü"))
    assert json.loads(ids.schema_of(schema_id)) == json.loads(schema("a", "ü"))


def test_when_it_only_answers_then_an_unknown_schema_is_an_error_that_names_the_subject(open_ids: Open) -> None:
    name = subject()
    with pytest.raises(SchemaUnknownError, match=name):
        open_ids(False).id_of(name, schema("a"))


def test_when_an_id_is_unknown_then_the_error_names_it(open_ids: Open) -> None:
    with pytest.raises(SchemaUnknownError, match="987654"):
        open_ids(True).schema_of(987_654)


def test_when_a_schema_is_no_json_then_it_is_refused(open_ids: Open) -> None:
    name = subject()
    with pytest.raises(SchemaRefusedError, match=name):
        open_ids(True).id_of(name, "{")


def test_when_every_topic_registers_then_every_event_travels(open_ids: Open) -> None:
    writing, reading = Codec(open_ids(True)), Codec(open_ids(True))
    if isinstance(open_ids(True), MemorySchemaIds):
        reading = writing
    for name, events in subjects_and_events():
        for event in events:
            one = sample(event)
            assert reading.decode(writing.encode(name, events, one), events) == one


@pytest.mark.live
def test_when_another_process_registered_then_one_that_only_answers_finds_it(request: pytest.FixtureRequest) -> None:
    url, name = request.getfixturevalue("registry").url, subject()
    registered = ConfluentSchemaIds(url, auto_register=True).id_of(name, schema("a"))
    assert ConfluentSchemaIds(url).id_of(name, schema("a")) == registered


@pytest.mark.live
def test_when_a_schema_is_incompatible_then_it_is_refused(request: pytest.FixtureRequest) -> None:
    ids, name = ConfluentSchemaIds(request.getfixturevalue("registry").url, auto_register=True), subject()
    ids.id_of(name, schema("a"))
    wanting = json.loads(schema("a"))
    wanting[0]["fields"].append({"name": "b", "type": "long"})
    with pytest.raises(SchemaRefusedError, match=name):
        ids.id_of(name, json.dumps(wanting))


class Canned(BaseHTTPRequestHandler):
    """Answers every request with what its server was given, and counts them."""

    server: CannedServer

    def do_GET(self) -> None:
        self.server.asked += 1
        body = json.dumps(self.server.body).encode()
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class CannedServer(ThreadingHTTPServer):
    status, asked = 200, 0
    body: object = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def canned() -> Iterator[CannedServer]:
    with CannedServer(("127.0.0.1", 0), Canned) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join(5)


@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [
        (404, {"error_code": 40401, "message": "Subject not found"}, SchemaUnknownError),
        (404, {"error_code": 40403, "message": "Schema not found"}, SchemaUnknownError),
        (404, {"detail": "Not Found"}, RegistryUnavailableError),
        (401, {"error_code": 401, "message": "Unauthorized"}, RegistryUnavailableError),
        (409, {"error_code": 409, "message": "incompatible"}, SchemaRefusedError),
        (422, {"error_code": 42201, "message": "Invalid schema"}, SchemaRefusedError),
        (500, {"error_code": 50001, "message": "Store error"}, RegistryUnavailableError),
        (200, ["no", "registry"], RegistryUnavailableError),
    ],
)
def test_when_the_server_answers_so_then_the_error_says_what_to_do_next(
    canned: CannedServer, status: int, body: object, wanted: type[Exception]
) -> None:
    canned.status, canned.body = status, body
    with pytest.raises(wanted, match="wanted"):
        ConfluentSchemaIds(canned.url, auto_register=True).id_of("s-value", schema("a"))


def test_when_it_was_answered_once_then_nobody_is_asked_again(canned: CannedServer) -> None:
    canned.body = {"id": 3, "schema": schema("a"), "subject": "s-value", "version": 1}
    ids = ConfluentSchemaIds(canned.url)
    assert (ids.id_of("s-value", schema("a")), ids.schema_of(3)) == (3, schema("a"))
    asked = canned.asked
    ids.close()
    assert (ids.id_of("s-value", schema("a")), ids.schema_of(3)) == (3, schema("a"))
    assert canned.asked == asked


def test_when_an_outage_is_over_then_the_same_question_is_answered(canned: CannedServer) -> None:
    ids = ConfluentSchemaIds(canned.url)
    canned.status = 503
    with pytest.raises(RegistryUnavailableError):
        ids.schema_of(3)
    canned.status, canned.body = 200, {"schema": schema("a")}
    assert ids.schema_of(3) == schema("a")


def test_when_nobody_listens_then_it_is_an_outage_and_no_word_of_credentials() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    ids = ConfluentSchemaIds(f"http://user:secret@127.0.0.1:{port}", deadline_s=1.0)
    with pytest.raises(RegistryUnavailableError) as caught:
        ids.schema_of(1)
    assert "secret" not in str(caught.value)
    with pytest.raises(RegistryUnavailableError):
        Codec(ids).decode(b"\0\0\0\0\1aaaa", subjects_and_events()[0][1])
