"""Commands against a real broker, registry and gateway: topics made, records tailed, answers traced."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from adapters.schema_registry import ConfluentSchemaIds
from headwater.cli.main import app
from headwater.local.broker import KafkaBroker
from headwater.local.parts import OwnPart
from schemas.codec import Codec
from schemas.documents import DocumentChanged, DocumentIndexed
from schemas.envelope import Event, Micros, Version
from schemas.queries import AnswerGiven, PassagesRanked, Query, QueryAsked
from streams.publishing import Publisher
from streams.settings import Gateway, Kafka, Registry, Settings
from tests.live.gateway_process import RunningGateway
from tests.streams.answerer import WORDS, Answerer, citation, entrance
from topics.answer import ANSWER_GIVEN, PASSAGES_RANKED, QUERY_ASKED
from topics.ingest import DOCUMENT_CHANGED, DOCUMENT_INDEXED

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def settings(kafka: KafkaBroker, registry: OwnPart) -> Settings:
    return Settings(
        kafka=Kafka(bootstrap=kafka.bootstrap, deadline_s=10.0),
        registry=Registry(url=registry.url, auto_register=True),
        gateway=Gateway(deadline_s=10.0),
    )


@pytest.fixture(scope="module")
def there(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The options that say where the platform is, from a folder that remembers no stack."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    there = ["--kafka", settings.kafka.bootstrap, "--registry", settings.registry.url]
    done = CliRunner().invoke(app, ["topics", "ensure", "--output", "json", *there], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    yield there
    os.chdir(before)


@pytest.fixture(scope="module")
def codec(settings: Settings) -> Codec:
    return Codec(ConfluentSchemaIds(settings.registry.url))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def lines(result: Result) -> list[Any]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_when_topics_are_ensured_again_then_there_is_no_difference(there: list[str]) -> None:
    (printed,) = lines(run("topics", "ensure", "--output", "json", *there))
    assert (printed["differences"], printed["schemas"] > 20) == ([], True)


def test_when_a_topic_is_described_then_its_partitions_are_counted(there: list[str]) -> None:
    (printed,) = lines(run("topics", "describe", "rag.access.changed.v1", "--output", "json", *there))
    assert [row["partition"] for row in printed["partitions"]] == [0, 1, 2, 3]
    assert "next" in run("topics", "describe", "rag.access.changed.v1", *there).stdout


def test_when_a_question_is_asked_then_both_ways_print_the_answer(
    there: list[str], settings: Settings, codec: Codec
) -> None:
    with Answerer(settings.kafka, codec), RunningGateway(settings) as running:
        over_http = run("ask", "How long is a lease?", "-t", "acme", "--url", running.wait_ready().url)
        over_kafka = run("ask", "How long is a lease?", "-t", "acme", "--output", "json", *there)
        unanswered = run("ask", "withhold not_in_documents", "-t", "acme", "--url", running.url)
    assert over_http.exit_code == 0, over_http.output
    assert over_http.stdout.startswith("".join(WORDS))
    assert "[1] Lease (lease.md) “A lease runs for twelve months.”" in over_http.stdout
    assert lines(over_kafka)[0]["answered"] is True
    assert unanswered.exit_code == 1


def send(settings: Settings, codec: Codec, *events: tuple[Any, Event]) -> list[int]:
    with Publisher(settings.kafka, codec, entrance()) as publisher:
        return [publisher.publish(topic, event).offset for topic, event in events]


def change(document: str) -> DocumentChanged:
    return DocumentChanged(tenant="traced", document=document, media_type="text/plain", body=b"A lease.")


def test_when_a_topic_is_tailed_then_the_newest_come_decoded(
    there: list[str], settings: Settings, codec: Codec
) -> None:
    send(settings, codec, *((DOCUMENT_CHANGED, change(f"tail-{n}.md")) for n in range(5)))
    newest = lines(run("tail", "DOCUMENT_CHANGED", "-n", "2", "--output", "json", *there))
    assert [line["event"]["document"] for line in newest] == ["tail-3.md", "tail-4.md"]
    assert newest[0]["event"]["body"] == "8 bytes"
    assert newest[0]["headers"]["tenant"] == "traced"
    assert "tail-4.md DocumentChanged" in run("tail", DOCUMENT_CHANGED.name, "-n", "1", *there).stdout


def test_when_an_answer_is_traced_then_its_citations_lead_to_document_versions(
    there: list[str], settings: Settings, codec: Codec
) -> None:
    (offset,) = send(settings, codec, (DOCUMENT_CHANGED, change("lease.md")))
    version = Version(source=0, offset=offset)
    asked = Query(query_id=entrance().ids.new(), question="How long is a lease?")
    cited = {name: getattr(citation(), name) for name in citation().__struct_fields__} | {"version": version}
    now = entrance().clock.now()
    send(
        settings,
        codec,
        (
            DOCUMENT_INDEXED,
            DocumentIndexed(
                tenant="traced", document="lease.md", version=version, outcome="indexed", generation="g1", added=1,
                trail={"parse": now, "index": Micros(now + 20_000)},
            ),
        ),
        (QUERY_ASKED, QueryAsked(tenant="traced", query=asked)),
        (PASSAGES_RANKED, PassagesRanked(tenant="traced", query=asked, passages=())),
        (
            ANSWER_GIVEN,
            AnswerGiven(
                tenant="traced", answer_id=asked.query_id, question=asked.question, text="Twelve months [1].",
                citations=(type(citation())(**cited),), model="extractive", prompt_version="1",
            ),
        ),
    )  # fmt: skip
    (traced,) = lines(run("trace", asked.query_id, "--output", "json", *there))
    assert (traced["kind"], traced["question"]) == ("answer", "How long is a lease?")
    assert [hop["event"] for hop in traced["hops"]] == ["QueryAsked", "PassagesRanked", "AnswerGiven"]
    (_, document), *_ = traced["citations"]
    assert document["version"] == {"source": 0, "offset": offset}
    assert [hop["event"] for hop in document["hops"]] == ["DocumentChanged", "DocumentIndexed"]
    assert document["trail"]["index"] - document["trail"]["parse"] == 20_000
    words = run("trace", asked.query_id, *there).stdout
    assert "traced asked: How long is a lease?" in words
    assert f"[1] lease.md version 0/{offset}" in words


@pytest.mark.parametrize("tenant", [(), ("-t", "traced")])
def test_when_a_document_is_traced_then_its_newest_version_is_shown(
    there: list[str], settings: Settings, codec: Codec, tenant: tuple[str, ...]
) -> None:
    offsets = send(settings, codec, *((DOCUMENT_CHANGED, change("twice.md")) for _ in range(2)))
    (traced,) = lines(run("trace", "twice.md", *tenant, "--output", "json", *there))
    assert (traced["kind"], traced["version"]["offset"]) == ("document", offsets[-1])
    assert f"version 0/{offsets[-1]}" in run("trace", "twice.md", *tenant, *there).stdout
