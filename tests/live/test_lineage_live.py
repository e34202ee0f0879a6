"""Lineage and freshness through the whole stack: publish, ask, back to the source, on to the answers; then edit."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from headwater.cli.main import app
from headwater.client import Answer, Client
from headwater.local.spec import StackSpec
from headwater.local.stack import Stack

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

TENANT = "acme"
QUESTION = "How long does a lease at Marlow run?"
LEASE = "# Lease\n\nA lease at Marlow runs for twelve months. Write to ann@example.org.\n"
SHA = "0f1e2d3c4b5a69788796a5b4c3d2e1f001234567"


@dataclass
class Running:
    """A stack, its client, and the command line towards it."""

    stack: Stack
    client: Client

    def ask_until(self, arrived: Callable[[Answer], bool]) -> Answer:
        until = time.monotonic() + 30.0
        while not arrived(answer := self.client.ask(QUESTION)):
            assert time.monotonic() < until, f"the answer did not come to hold what it should: {answer.text!r}"
        return answer

    def run(self, *arguments: str) -> Any:
        there = ["--kafka", self.stack.addresses.bootstrap, "--registry", self.stack.addresses.registry_url]
        done = CliRunner().invoke(app, [*arguments, *there, "--output", "json"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def shown(self, *arguments: str) -> str:
        there = ["--kafka", self.stack.addresses.bootstrap, "--registry", self.stack.addresses.registry_url]
        done = CliRunner().invoke(app, [*arguments, *there], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, cache_folder: Path) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("stack")
    environment = (
        ("HEADWATER_EMBED__MODEL", "hashing"),
        ("HEADWATER_TENANTS", f'["{TENANT}"]'),
        ("HEADWATER_REDACTION__DEFAULT", '{"email": "tokenise"}'),
        ("HEADWATER_REDACTION__TOKEN_SECRET", "hush"),
    )
    spec = StackSpec(folder / "state", cache_folder, detached=False, environment=environment)
    with Stack(spec) as stack, Client(stack.addresses.gateway_url, tenant=TENANT) as client:
        yield Running(stack, client)


def test_when_a_document_is_edited_then_each_answer_leads_to_its_own_version_and_back(running: Running) -> None:
    running.client.publish("lease.md", LEASE, media_type="text/markdown", properties={"git_sha": SHA})
    first = running.ask_until(lambda answer: "twelve" in answer.text)
    back = running.run("lineage", "answer", first.answer_id)
    (_, origin), *_ = back["citations"]
    assert origin["properties"]["git_sha"] == SHA and origin["kept"] is True
    assert origin["body_sha256"] == hashlib.sha256(LEASE.encode()).hexdigest()
    assert origin["record"].startswith("rag.document.changed.v1/") and origin["position"].startswith("record ")
    assert origin["made_by"]["DocumentRedacted"]["policy"].startswith("redaction-")
    assert origin["made_by"]["ChunkEmbedded"]["model"] and back["made_by"]["prompt_version"]

    running.client.publish("lease.md", LEASE.replace("twelve", "eighteen"), media_type="text/markdown")
    second = running.ask_until(lambda answer: "eighteen" in answer.text)
    versions = [
        running.run("lineage", "answer", one.answer_id)["citations"][0][1]["version"] for one in (first, second)
    ]
    assert versions[0] == origin["version"] and versions[1]["offset"] > versions[0]["offset"]

    for version, one, other in ((versions[0], first, second), (versions[1], second, first)):
        said = f"{version['source']}/{version['offset']}"
        found = {
            a["answer_id"] for a in running.run("lineage", "document", TENANT, "lease.md", "--version", said)["answers"]
        }
        assert one.answer_id in found and other.answer_id not in found
    every = {answer["answer_id"] for answer in running.run("lineage", "document", TENANT, "lease.md")["answers"]}
    assert {first.answer_id, second.answer_id} <= every
    assert running.run("lineage", "document", "other", "lease.md")["found"] == 0
    for commit in (SHA[:12], origin["record"], origin["body_sha256"]):
        by_commit = {answer["answer_id"] for answer in running.run("lineage", "commit", commit)["answers"]}
        assert first.answer_id in by_commit and second.answer_id not in by_commit
    assert first.answer_id in running.shown("lineage", "commit", SHA)
    assert origin["record"] in running.shown("lineage", "answer", first.answer_id)


def test_when_a_policy_tokenises_then_the_citation_quotes_the_token_at_its_place(running: Running) -> None:
    running.client.publish("lease.md", LEASE, media_type="text/markdown")
    answer = running.ask_until(lambda answer: "twelve" in answer.text)
    assert "ann@example.org" not in answer.text + "".join(citation.quote for citation in answer.citations)


def test_when_receipts_are_there_then_freshness_tells_each_stage(running: Running) -> None:
    running.client.publish("fresh.md", LEASE, media_type="text/markdown")
    running.ask_until(lambda answer: answer.answered)
    until = time.monotonic() + 20.0
    while not (report := running.run("freshness", "-t", TENANT, "--document", "fresh.md"))["receipts"]:
        assert time.monotonic() < until, "no receipt of fresh.md came"
    assert report["receipts"] == 1 and report["outcomes"] == {"indexed": 1}
    assert [stage["stage"] for stage in report["stages"]] == ["parse", "redact", "chunk", "embed", "index", "settle"]
    assert abs(sum(stage["p50"] for stage in report["stages"]) - report["total"]["p50"]) < 0.01
    assert running.run("freshness", "--since", "1d")["receipts"] >= report["receipts"]
    assert "within 250 ms" in running.shown("freshness", "-t", TENANT)
