"""Answers given again on the whole stack: to a crowd, after edits and deletes while people ask, after a restart."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.schema_registry import ConfluentSchemaIds
from headwater.local.redis_server import RedisServer
from headwater.local.spec import StackSpec
from headwater.local.stack import Stack
from schemas.codec import Codec
from schemas.documents import DocumentHead
from schemas.queries import PromptAssembled
from tests.live.test_access_and_fence_live import TENANT, Platform, lamp, of_lamp, until
from topics.answer import PROMPT_ASSEMBLED

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

COLOURS = ("teal", "amber", "crimson", "ivory", "violet", "copper")


@contextmanager
def running(state: Path, cache_folder: Path, redis_server: RedisServer, kind: str) -> Iterator[Platform]:
    """A stack that keeps answers so; its heads are of the same kind."""
    environment = (
        ("HEADWATER_EMBED__MODEL", "hashing"),
        ("HEADWATER_TENANTS", json.dumps([TENANT])),
        ("HEADWATER_HEADS__KIND", kind),
        ("HEADWATER_HEADS__URL", f"redis://127.0.0.1:{redis_server.port}/5"),
        ("HEADWATER_CACHE__KIND", kind),
    )
    spec = StackSpec(state, cache_folder, detached=False, quick=True, environment=environment)
    with (
        Stack(spec) as stack,
        httpx.Client(base_url=stack.addresses.gateway_url, timeout=30.0, trust_env=False) as http,
    ):
        made = Platform(stack, redis_server, http, Codec(ConfluentSchemaIds(stack.addresses.registry_url)))
        with made.tailing():
            yield made


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache") / "state"


def answer(platform: Platform, question: str, *groups: str) -> dict[str, Any]:
    response = platform.ask(question, *groups)
    assert response.status_code == 200, response.text
    given: dict[str, Any] = response.json()
    return given


def written(platform: Platform, question: str) -> int:
    """How often something was written for a question."""
    found = [event for event in platform.events(PROMPT_ASSEMBLED.name) if isinstance(event, PromptAssembled)]
    return sum(event.query.question == question for event in found)


def published(platform: Platform, document: str, text: str) -> DocumentHead:
    """A document once its head is committed; from then on nothing earlier may be answered."""
    offset = platform.put(document, text)
    until(lambda: any(head.version.offset == offset for head in platform.heads(document)))
    return platform.heads(document)[-1]


@pytest.mark.parametrize("kind", ["memory", "redis"])
def test_when_people_ask_the_same_while_its_document_changes_then_one_is_worked_out_and_none_is_stale(
    kind: str, tmp_path: Path, cache_folder: Path, redis_server: RedisServer
) -> None:
    with running(tmp_path / "state", cache_folder, redis_server, kind) as platform:
        published(platform, "pier.md", lamp("Amber", COLOURS[0]))
        published(platform, "other.md", "# Canteen\n\nThe canteen opens at eight.")
        _crowd(platform)
        _edits(platform)
        _deletes(platform)


def _crowd(platform: Platform) -> None:
    """1. Twenty at once: one is worked out."""
    question = of_lamp("Amber")
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(partial(answer, platform), [question] * 20))
    assert all(COLOURS[0] in one["text"] for one in answers)
    assert written(platform, question) == 1
    first = {one["answer_id"] for one in answers if not one["cached_from"]}
    assert len(first) == 1 and {one["cached_from"] for one in answers} == {"", *first}


def _edits(platform: Platform) -> None:
    """2. People ask on and on while the colour changes: whoever asks after a head reads its colour or a newer one."""
    stop, problems, given_again = threading.Event(), list[str](), list[str]()
    current = [0]

    def ask_on() -> None:
        while not stop.is_set():
            at_least = current[0]
            text = answer(platform, of_lamp("Amber"))
            newest = max((n for n, colour in enumerate(COLOURS) if colour in text["text"]), default=-1)
            given_again.extend([text["cached_from"]] if text["cached_from"] else [])
            if newest < at_least:
                problems.append(f"{text['text']!r} after {COLOURS[at_least]!r}, from {text['cached_from']!r}")

    askers = [threading.Thread(target=ask_on, daemon=True) for _ in range(3)]
    for asker in askers:
        asker.start()
    for number in range(1, len(COLOURS)):
        published(platform, "pier.md", lamp("Amber", COLOURS[number]))
        current[0] = number
        before = len(given_again)
        until(lambda seen=before: len(given_again) > seen)  # type: ignore[misc]
    stop.set()
    for asker in askers:
        asker.join(30)
    assert not problems
    assert len(given_again) >= len(COLOURS)


def _deletes(platform: Platform) -> None:
    """3. A delete, and then a document that answers better: neither is answered from what was kept."""
    platform.delete("pier.md")
    until(lambda: platform.heads("pier.md")[-1].gone)
    assert "pier.md" not in str(answer(platform, of_lamp("Amber"))["citations"])
    published(platform, "again.md", lamp("Amber", "silver"))
    assert "silver" in answer(platform, of_lamp("Amber"))["text"]


def test_when_the_worker_is_started_again_then_answers_in_redis_are_given_on(
    state: Path, cache_folder: Path, redis_server: RedisServer
) -> None:
    question = of_lamp("Basil")
    with running(state, cache_folder, redis_server, "redis") as platform:
        published(platform, "basil.md", lamp("Basil"))
        first = answer(platform, question)
        assert (first["cached_from"], answer(platform, question)["cached_from"]) == ("", first["answer_id"])
    with running(state, cache_folder, redis_server, "redis") as platform:
        until(lambda: platform.ask(question).status_code == 200)
        assert answer(platform, question)["cached_from"]
        assert written(platform, question) == 1
