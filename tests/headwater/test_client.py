"""The client without a platform: its values against the schemas, its arguments, what it makes of odd servers."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

import headwater
from headwater import Answer, Change, Client, ClientError, Delta, MemoryRefusedError, Subscription
from headwater.client import Citation, Version
from headwater.kafka_memories import owner_of
from headwater.kafka_replies import reply_of
from headwater.values import Cause, answer_of
from processors.ingest import memories
from schemas import envelope, queries


@pytest.mark.parametrize(
    ("ours", "theirs", "own"),
    [
        (Citation, queries.Citation, set()),
        (Version, envelope.Version, set()),
        (Delta, queries.AnswerDelta, set()),
        (Answer, queries.AnswerGiven, {"withheld"}),
        (Cause, queries.Cause, set()),
        (Change, queries.AnswerChanged, set()),
        (Subscription, queries.QuestionStanding, {"question", "user", "groups", "filters", "max_passages"}),
    ],
)
def test_when_the_schemas_change_then_the_clients_values_follow(ours: Any, theirs: Any, own: set[str]) -> None:
    """The contract: what the client knows of an event exists there, and it knows all of a citation."""
    mine = {field.name for field in dataclasses.fields(ours)} - own
    given = set(theirs.__struct_fields__)
    assert mine <= given
    if ours in (Citation, Version):
        assert mine == given


def test_when_an_answer_has_fields_of_a_newer_release_then_they_are_left_out() -> None:
    version = {"source": 1, "offset": 2, "epoch": 3}
    citation = {
        **dict.fromkeys(("document", "object_id", "chunk", "title", "source_uri", "quote"), "x"),
        "mood": "good",
    }
    given = {"answer_id": "a", "question": "q", "text": "t", "novelty": 1}
    answer = answer_of({**given, "citations": [{**citation, "number": 1, "start": 0, "end": 1, "version": version}]})
    assert answer.citations[0].version == Version(source=1, offset=2)


def test_when_an_answer_has_a_span_then_the_client_sees_it() -> None:
    given = {"answer_id": "a", "question": "?", "text": "In 1931. [1]"}
    span = {"text": "1931", "number": 1, "start": 3, "end": 7, "of a later release": True}
    found = answer_of({**given, "span": span}).span
    assert found is not None
    assert (found.text, found.number, found.start, found.end) == ("1931", 1, 3, 7)
    assert answer_of({**given, "span": None}).span is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "one way in"),
        ({"url": "http://x", "kafka": "x:1"}, "one way in"),
        ({"kafka": "x:1"}, "schema registry"),
    ],
)
def test_when_a_client_is_made_wrong_then_it_says_how(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(headwater.ClientError, match=words):
        Client(**arguments)


def test_when_arguments_are_wrong_then_nothing_is_sent(tmp_path: Path) -> None:
    with Client("http://127.0.0.1:1") as client:
        with pytest.raises(headwater.QuestionRefusedError, match="empty"):
            client.ask("  ", "acme")
        with pytest.raises(headwater.ClientError, match="wanted a tenant"):
            client.ask("How?")
        with pytest.raises(headwater.ClientError, match="wanted a tenant"):
            client.delete("a.md")
        with pytest.raises(headwater.DocumentRefusedError, match="can be read"):
            client.publish("a.md", tmp_path / "absent.md", "acme")


@pytest.mark.parametrize("event", [{"query_id": "q", "index": 3, "text": "t"}])
def test_when_a_delta_is_read_then_it_is_one(event: dict[str, Any]) -> None:
    assert reply_of(event) == Delta(index=3, text="t")


class Odd(BaseHTTPRequestHandler):
    """A server that is no gateway, or one in trouble: what it says is set by the test."""

    status, kind, body = 200, "text/html", b"<html>"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.status)
        self.send_header("Content-Type", self.kind)
        self.send_header("Content-Length", str(len(self.body)))
        self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def odd() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Odd)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def stream(*events: tuple[str, Any]) -> bytes:
    return "".join(f": ping\n\nevent: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events).encode()


PROBLEM = {"type": "urn:headwater:problem:too-many-questions", "title": "Full", "detail": "later", "request_id": "r1"}


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (200, b"<html>", headwater.ProtocolError, "is this a Headwater gateway"),
        (200, b"[1]", headwater.ProtocolError, "JSON object"),
        (503, json.dumps(PROBLEM).encode(), headwater.GatewayUnavailableError, "later"),
        (500, b"{}", headwater.ClientError, "status 500"),
    ],
)
def test_when_a_server_answers_oddly_then_the_error_says_what_came(
    odd: str, status: int, body: bytes, error: type[headwater.ClientError], words: str
) -> None:
    Odd.status, Odd.body = status, body
    with Client(odd, tenant="acme") as client, pytest.raises(error, match=words) as raised:
        client.ask("How?")
    if isinstance(raised.value, headwater.GatewayUnavailableError):
        assert (raised.value.retry_after_s, raised.value.request_id) == (7.0, "r1")


def test_when_a_stream_breaks_off_then_that_is_an_error(odd: str) -> None:
    Odd.status, Odd.body = 200, stream(("meta", {"answer_id": "a"}), ("token", {"index": 0, "text": "A "}))
    with Client(odd, tenant="acme") as client:
        pieces = client.ask_stream("How?")
        assert next(pieces) == Delta(index=0, text="A ")
        with pytest.raises(headwater.ProtocolError, match="ended before"):
            next(pieces)


def test_when_a_stream_tells_of_a_problem_then_it_is_raised(odd: str) -> None:
    Odd.status, Odd.body = 200, stream(("error", {**PROBLEM, "status": 503}))
    with Client(odd, tenant="acme") as client, pytest.raises(headwater.GatewayUnavailableError, match="later"):
        list(client.ask_stream("How?"))


@pytest.mark.parametrize(("tenant", "user"), [("acme", "ada"), ("globex", "ada"), ("acme", "Åda / |\"'"), ("a", "")])
def test_when_notes_go_over_kafka_then_the_client_names_their_owner_as_the_platform_does(
    tenant: str, user: str
) -> None:
    assert not user or owner_of(tenant, user) == memories.owner_of(tenant, user)


def test_when_a_note_is_empty_or_nobody_s_then_it_is_not_sent() -> None:
    with Client("http://127.0.0.1:1", tenant="acme") as client:
        with pytest.raises(MemoryRefusedError, match="got an empty one"):
            client.remember(" ", "ada")
        for call in (lambda: client.remember("A.", ""), lambda: client.memories(" "), lambda: client.forget("m")):
            with pytest.raises(ClientError, match="wanted the user whose notes are meant"):
                call()
        with pytest.raises(ClientError, match="wanted the user whose notes are meant"):
            client.forget_user("")
