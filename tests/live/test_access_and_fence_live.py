"""Who may see what, on the whole stack with its heads in Redis: at the next question, also while Redis is flushed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from adapters.host import SystemClock
from adapters.schema_registry import ConfluentSchemaIds
from headwater.local.redis_server import RedisServer
from headwater.local.spec import StackSpec
from headwater.local.stack import Stack
from schemas.codec import Codec
from schemas.documents import DocumentHead, DocumentIndexed
from schemas.envelope import Event
from streams.reading import Reader
from streams.settings import child_environment, load
from topics.ingest import CHUNK_EMBEDDED, DOCUMENT_HEAD, DOCUMENT_INDEXED, EMBEDDING_COMPUTED

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

TENANT = "acme"
PIERS = 12


@dataclass
class Platform:
    """A stack and its Redis, as applications use them: over HTTP."""

    stack: Stack
    server: RedisServer
    http: httpx.Client
    codec: Codec
    tailed: list[Event] = field(default_factory=list)

    def put(self, document: str, text: str, *access: str) -> int:
        body = {"tenant": TENANT, "document": document, "text": text, "access": access or ("*",)}
        return self._published(self.http.post("/v1/documents", json=body))

    def delete(self, document: str) -> int:
        return self._published(self.http.delete(f"/v1/documents/{TENANT}/{document}"))

    def set_access(self, document: str, *access: str) -> int:
        return self._published(self.http.put(f"/v1/documents/{TENANT}/{document}/access", json={"access": access}))

    def _published(self, response: httpx.Response) -> int:
        assert response.status_code == 202, response.text
        return int(response.json()["offset"])

    def ask(self, question: str, *groups: str, timeout_s: float = 15.0) -> httpx.Response:
        body = {"tenant": TENANT, "question": question, "groups": groups, "timeout_s": timeout_s}
        return self.http.post("/v1/ask", json=body)

    def cites(self, document: str, question: str, *groups: str) -> bool:
        response = self.ask(question, *groups)
        assert response.status_code == 200, response.text
        return any(citation["document"] == document for citation in response.json()["citations"])

    def events(self, topic: str) -> list[Event]:
        settings = load(kafka={"bootstrap": self.stack.addresses.bootstrap})
        with Reader(settings.kafka, self.codec, SystemClock()) as reader:
            return [reading.event for reading in reader.read(topic) if reading.event is not None]

    def receipts(self, document: str) -> list[DocumentIndexed]:
        found = [event for event in tuple(self.tailed) if isinstance(event, DocumentIndexed)]
        return [event for event in found if event.document == document]

    def heads(self, document: str) -> list[DocumentHead]:
        found = [event for event in tuple(self.tailed) if isinstance(event, DocumentHead)]
        return [event for event in found if event.document == document]

    def receipt(self, document: str, outcome: str, offset: int) -> DocumentIndexed:
        """The receipt of a change, once it is there."""

        def matching() -> list[DocumentIndexed]:
            found = [one for one in self.receipts(document) if one.outcome == outcome]
            return [one for one in found if one.version.offset == offset]

        until(lambda: bool(matching()))
        return matching()[0]

    @contextmanager
    def tailing(self) -> Iterator[None]:
        """Heads and receipts as they come."""
        stop, listening = threading.Event(), threading.Event()
        settings = load(kafka={"bootstrap": self.stack.addresses.bootstrap})

        def tail() -> None:
            with Reader(settings.kafka, self.codec, SystemClock()) as reader:
                for reading in reader.follow((DOCUMENT_HEAD.name, DOCUMENT_INDEXED.name), stop, listening.set):
                    if reading.event is not None:
                        self.tailed.append(reading.event)

        thread = threading.Thread(target=tail, daemon=True)
        thread.start()
        assert listening.wait(20)
        yield
        stop.set()
        thread.join(10)


@pytest.fixture(scope="module")
def platform(
    tmp_path_factory: pytest.TempPathFactory, cache_folder: Path, redis_server: RedisServer
) -> Iterator[Platform]:
    environment = (
        ("HEADWATER_EMBED__MODEL", "hashing"),
        ("HEADWATER_TENANTS", json.dumps([TENANT])),
        ("HEADWATER_HEADS__KIND", "redis"),
        ("HEADWATER_HEADS__URL", f"redis://127.0.0.1:{redis_server.port}/3"),
    )
    state = tmp_path_factory.mktemp("access") / "state"
    with Stack(StackSpec(state, cache_folder, detached=False, quick=True, environment=environment)) as stack:
        codec = Codec(ConfluentSchemaIds(stack.addresses.registry_url))
        with httpx.Client(base_url=stack.addresses.gateway_url, timeout=30.0, trust_env=False) as http:
            made = Platform(stack, redis_server, http, codec)
            with made.tailing():
                yield made


def until(check: Callable[[], bool], timeout_s: float = 30.0) -> None:
    give_up = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < give_up, "it did not come true in time"
        time.sleep(0.02)


def has_list(platform: Platform, document: str, offset: int) -> bool:
    """Whether a list that was set has become a head."""
    return any(head.access_version.offset == offset for head in platform.heads(document))


def lamp(name: str, colour: str = "teal") -> str:
    return f"# Pier {name}\n\nThe lamp of pier {name} has the colour {colour}.\n"


def of_lamp(name: str) -> str:
    return f"Which colour has the lamp of pier {name}?"


def test_when_access_is_revoked_then_the_next_question_after_its_head_is_refused(platform: Platform) -> None:
    platform.put("revoked.md", lamp("Amber"), "group:x")
    until(partial(platform.cites, "revoked.md", of_lamp("Amber"), "group:x"))
    for _ in range(5):
        until(partial(has_list, platform, "revoked.md", platform.set_access("revoked.md")))
        assert not platform.cites("revoked.md", of_lamp("Amber"), "group:x")
        granted = platform.set_access("revoked.md", "group:x")
        platform.receipt("revoked.md", "access", granted)
        assert platform.cites("revoked.md", of_lamp("Amber"), "group:x")


def test_when_access_is_granted_then_it_is_found_at_the_receipt_and_no_vector_was_touched(platform: Platform) -> None:
    platform.put("granted.md", lamp("Basil"), "group:x")
    until(partial(platform.cites, "granted.md", of_lamp("Basil"), "group:x"))
    before = platform.heads("granted.md")[-1]
    counted = [len(platform.events(topic.name)) for topic in (EMBEDDING_COMPUTED, CHUNK_EMBEDDED)]
    assert not platform.cites("granted.md", of_lamp("Basil"), "group:y")
    receipt = platform.receipt("granted.md", "access", platform.set_access("granted.md", "group:y", "user:ada"))
    assert platform.cites("granted.md", of_lamp("Basil"), "group:y")
    assert not platform.cites("granted.md", of_lamp("Basil"), "group:x")
    after = platform.heads("granted.md")[-1]
    assert (after.chunks, after.removed, after.version) == (before.chunks, (), before.version)
    assert (receipt.kept, receipt.added, receipt.removed) == (len(before.chunks), 0, 0)
    assert [len(platform.events(topic.name)) for topic in (EMBEDDING_COMPUTED, CHUNK_EMBEDDED)] == counted


def test_when_a_list_is_set_before_its_document_comes_then_the_document_inherits_it(platform: Platform) -> None:
    settings = platform.stack.addresses
    done = subprocess.run(
        [sys.executable, "-m", "headwater.cli.main", "access", "set", TENANT, "early.md", "group:x", "--kafka",
         settings.bootstrap, "--registry", settings.registry_url, "--output", "json"],
        env=child_environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["topic"], said["access"]) == ("rag.access.changed.v1", ["group:x"])
    platform.receipt("early.md", "access", said["offset"])
    assert not platform.cites("early.md", of_lamp("Clover"), "group:x")
    platform.put("early.md", lamp("Clover"), "*")
    until(partial(platform.cites, "early.md", of_lamp("Clover"), "group:x"))
    assert not platform.cites("early.md", of_lamp("Clover"))
    assert not platform.cites("early.md", of_lamp("Clover"), "group:y")


@pytest.mark.parametrize("access", [("group:",), ("nobody-in-particular",), ("group:y",)])
def test_when_nobody_can_ask_under_a_list_then_nobody_finds_the_document(
    platform: Platform, access: tuple[str, ...]
) -> None:
    """Lists come from sources too, which may hold anything: what is unknown means no."""
    name = f"odd-{len(access[0])}.md"
    platform.put(name, lamp("Dahlia"), *access)
    until(lambda: bool(platform.receipts(name)))
    for groups in ((), ("group:x",), ("group",), ("*",)):
        found = platform.ask(of_lamp("Dahlia"), *groups).json()
        assert all(citation["document"] != name for citation in found.get("citations", ()))


@dataclass
class Watcher:
    """Asks after piers one after the other, and holds each answer against what was true when it was asked."""

    platform: Platform
    stop: threading.Event
    answered: int = 0
    refused: list[tuple[int, Any]] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)

    def run(self, truth: Callable[[int], set[str]], timeout_s: float) -> None:
        number = 0
        while not self.stop.is_set():
            number = (number + 1) % PIERS
            allowed = truth(number)
            response = self.platform.ask(of_lamp(f"number {number}"), timeout_s=timeout_s)
            allowed |= truth(number)
            if response.status_code != 200:
                self.refused.append((response.status_code, response.json()))
                continue
            self.answered += 1
            for citation in response.json()["citations"]:
                if citation["document"] == f"pier-{number}.md" and not any(c in citation["quote"] for c in allowed):
                    self.damage.append(f"pier {number}: {citation['quote']!r}, allowed {allowed}")


@dataclass
class Piers:
    """What may be said of each pier: what its last receipt left, and what is on its way."""

    platform: Platform
    said: dict[int, set[str]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def allowed(self, number: int) -> set[str]:
        with self.lock:
            return set(self.said.get(number, ()))

    def change(self, number: int, colour: str) -> None:
        """An edit; a delete where there is no colour. Returns at its receipt: what was before counts no more."""
        name = f"pier-{number}.md"
        with self.lock:
            self.said.setdefault(number, set()).add(colour)
        text = lamp(f"number {number}", colour)
        offset = self.platform.put(name, text) if colour else self.platform.delete(name)
        self.platform.receipt(name, "indexed" if colour else "deleted", offset)
        with self.lock:
            self.said[number] = {colour} if colour else set()


def flushed_while_changed(piers: Piers, server: redis.Redis) -> None:
    """Flushes between edits and deletes; then a Redis that stands still."""
    for number in range(4):
        server.flushdb()
        piers.change(number, "mauve")
        server.flushdb()
        piers.change(number + 4, "")
    piers.platform.server.child.pause()
    try:
        time.sleep(3.0)
    finally:
        piers.platform.server.child.resume()


def test_when_redis_is_flushed_while_questions_are_asked_then_none_is_answered_from_what_is_no_more(
    platform: Platform,
) -> None:
    piers, stop = Piers(platform), threading.Event()
    patient, hasty = Watcher(platform, stop), Watcher(platform, stop)
    server = redis.Redis.from_url(platform.server.url.replace("/0", "/3"), protocol=2)
    for number in range(PIERS):
        piers.change(number, "teal")
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(patient.run, piers.allowed, 15.0), pool.submit(hasty.run, piers.allowed, 0.8)]
        try:
            flushed_while_changed(piers, server)
            answers = patient.answered
            until(lambda: patient.answered > answers + 5)
        finally:
            stop.set()
        for one in asked:
            one.result(30.0)
    server.close()
    assert patient.damage + hasty.damage == []
    assert patient.refused == []
    assert {status for status, _ in hasty.refused} <= {503, 504}
    assert any(said["type"].endswith(":unavailable") and "rebuilt" in said["detail"] for _, said in hasty.refused)
    for number in range(PIERS):
        assert platform.cites(f"pier-{number}.md", of_lamp(f"number {number}")) == (not 4 <= number < 8)
