"""The three journeys in memory: documents become answers, edits and deletes are followed, replays cost nothing."""

from __future__ import annotations

from typing import Any

import pytest

from processors.ingest.formats import parsed_text
from schemas.documents import AccessChanged, DocumentChanged
from schemas.measures import CostRecorded
from schemas.queries import AnswerGiven, AnswerWithheld, Query, QueryAsked
from streams.driver import Driver
from streams.ingest import INGEST
from tests.topology.ports import changed, deleted, driver, memory_ports
from topics.answer import ANSWER_DELTA, ANSWER_GIVEN, PASSAGES_FOUND, QUERY_ASKED
from topics.ingest import (
    ACCESS_CHANGED,
    CHUNK_CREATED,
    DOCUMENT_CHANGED,
    DOCUMENT_HEAD,
    DOCUMENT_INDEXED,
    DOCUMENT_PARSED,
)
from topics.measure import ANSWER_EVALUATED, COST_RECORDED

LEASE = "# Lease\n\nA lease at Marlow runs for twelve months.\n\n## Deposit\n\nThe deposit is 400 pounds.\n"


@pytest.fixture
def ports() -> dict[str, Any]:
    return memory_ports()


@pytest.fixture
def line(ports: dict[str, Any]) -> Driver:
    return driver(ports)


def ask(line: Driver, question: str, query_id: str = "q", **more: Any) -> AnswerGiven | AnswerWithheld:
    query = Query(query_id=query_id, question=question, **more)
    line.put(QUERY_ASKED, QueryAsked(tenant="acme", event_id=query_id, query=query))
    line.run()
    answers = [event for event in line.events(ANSWER_GIVEN) if event.answer_id == query_id]
    assert len(answers) == 1
    answer: AnswerGiven | AnswerWithheld = answers[0]
    return answer


def publish(line: Driver, *changes: Any) -> None:
    for change in changes:
        line.put(DOCUMENT_CHANGED, change)
    line.run()


def test_when_a_document_is_published_then_a_question_is_answered_with_an_exact_citation(line: Driver) -> None:
    publish(line, changed("lease.md", LEASE))
    answer = ask(line, "How long does a lease at Marlow run?")
    assert isinstance(answer, AnswerGiven)
    assert "twelve months" in answer.text
    (parsed,) = line.events(DOCUMENT_PARSED)
    text = "\n\n".join(block.text for block in parsed.blocks)
    for citation in answer.citations:
        assert citation.document == "lease.md"
        assert citation.quote in text
    assert line.events(ANSWER_DELTA)


def test_when_a_document_is_edited_then_only_the_new_text_is_answered(line: Driver) -> None:
    publish(line, changed("lease.md", LEASE))
    publish(line, changed("lease.md", LEASE.replace("twelve", "eighteen")))
    answer = ask(line, "How long does a lease at Marlow run?")
    assert isinstance(answer, AnswerGiven)
    assert "eighteen months" in answer.text and "twelve" not in answer.text
    assert [receipt.outcome for receipt in line.events(DOCUMENT_INDEXED)] == ["indexed", "indexed"]


def test_when_text_was_put_in_further_up_then_what_is_cited_stands_where_the_citation_says(line: Driver) -> None:
    """Chunks that an edit only moved keep their objects; their places are those of the new version."""
    rooms = [f"## Room {n}\n\n" + f"The key of room {n} hangs on hook {n * 7}. " * 12 for n in range(12)]
    publish(line, changed("keys.md", "# Keys\n\n" + "\n\n".join(rooms)))
    publish(line, changed("keys.md", "# Keys\n\nAll keys were counted again in March.\n\n" + "\n\n".join(rooms)))
    assert line.events(DOCUMENT_HEAD)[-1].kept > 8
    ask(line, "On which hook hangs the key of room 9?")
    text = parsed_text(line.events(DOCUMENT_PARSED)[-1].blocks)
    passages = line.events(PASSAGES_FOUND)[-1].passages
    assert passages
    assert [text[found.start : found.end] for found in passages] == [found.text[found.lead :] for found in passages]
    assert [found.ordinal for found in sorted(passages, key=lambda one: one.start)] == sorted(
        found.ordinal for found in passages
    )


def test_when_a_document_is_deleted_then_it_is_never_answered_again_not_even_after_a_replay(line: Driver) -> None:
    publish(line, changed("lease.md", LEASE), changed("other.md", "# Other\n\nThe canteen opens at eight.\n"))
    publish(line, deleted("lease.md"))
    assert isinstance(ask(line, "How long does a lease at Marlow run?", "q1"), AnswerWithheld)
    for hop in INGEST:
        line.rewind(hop)
    line.run()
    assert isinstance(ask(line, "How long does a lease at Marlow run?", "q2"), AnswerWithheld)


def test_when_the_whole_log_is_replayed_then_nothing_is_embedded_and_no_head_is_written(
    line: Driver, ports: dict[str, Any]
) -> None:
    publish(line, changed("a.md", LEASE), changed("b.md", LEASE.replace("400", "500")))
    embedded, heads = len(ports["embedder"].texts), len(line.events(DOCUMENT_HEAD))
    for hop in INGEST:
        if hop.name != "capture":
            line.rewind(hop)
    line.run()
    assert len(ports["embedder"].texts) == embedded
    assert len(line.events(DOCUMENT_HEAD)) == heads


def test_when_a_paragraph_of_250_changes_then_at_most_two_chunks_are_embedded(
    line: Driver, ports: dict[str, Any]
) -> None:
    paragraphs = [
        f"Paragraph {n} speaks of gauge {n * 7} and of the reach below weir {n * 3}, at length." for n in range(250)
    ]
    publish(line, changed("long.md", "\n\n".join(paragraphs)))
    before = len(ports["embedder"].texts)
    paragraphs[125] = "This paragraph now says something else entirely about the lock keeper's cottage."
    publish(line, changed("long.md", "\n\n".join(paragraphs)))
    assert 1 <= len(ports["embedder"].texts) - before <= 2
    receipt = line.events(DOCUMENT_INDEXED)[-1]
    assert receipt.added <= 2 and receipt.kept > 10


def test_when_access_is_revoked_then_the_asker_no_longer_finds_it_and_nothing_is_embedded(
    line: Driver, ports: dict[str, Any]
) -> None:
    publish(line, changed("lease.md", LEASE))
    embedded = len(ports["embedder"].texts)
    line.put(ACCESS_CHANGED, AccessChanged(tenant="acme", event_id="a1", document="lease.md", access=("group:board",)))
    line.run()
    assert len(ports["embedder"].texts) == embedded
    assert isinstance(ask(line, "How long does a lease at Marlow run?", "q1"), AnswerWithheld)
    assert isinstance(ask(line, "How long does a lease at Marlow run?", "q2", groups=("group:board",)), AnswerGiven)


def test_when_a_tenant_asks_then_the_documents_of_another_are_never_seen(line: Driver) -> None:
    publish(line, changed("lease.md", LEASE, tenant="other"), changed("x.md", "# X\n\nNothing here.\n"))
    assert isinstance(ask(line, "How long does a lease at Marlow run?"), AnswerWithheld)


@pytest.mark.parametrize(
    ("body", "media_type", "reason"),
    [
        (b"", "text/plain", "empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00", "text/plain", "PNG image"),
        (b"caf\xe9 \xff\xfe latin", "text/plain", "UTF-8"),
        (b"PK\x03\x04" + b"\x00" * 30, "application/x-unknown", "zip"),
    ],
)
def test_when_a_body_can_not_be_read_then_it_is_a_dead_letter_and_the_next_goes_on(
    line: Driver, body: bytes, media_type: str, reason: str
) -> None:
    bad = DocumentChanged(tenant="acme", event_id="bad", document="bad", media_type=media_type, body=body)
    publish(line, bad, changed("lease.md", LEASE))
    (letter,) = line.dead_letters(DOCUMENT_CHANGED)
    assert reason.lower() in dict(letter.headers)["dlq.reason"].decode().lower()
    assert [receipt.document for receipt in line.events(DOCUMENT_INDEXED)] == ["lease.md"]


@pytest.mark.parametrize(
    ("question", "tenant", "reason"),
    [
        ("", "acme", "invalid_question"),
        ("x" * 100_000, "acme", "invalid_question"),
        ("How long?", "nobody", "unknown_tenant"),
    ],
)
def test_when_a_question_can_not_be_answered_then_the_asker_hears_why(
    line: Driver, question: str, tenant: str, reason: str
) -> None:
    publish(line, changed("lease.md", LEASE))
    query = Query(query_id="q", question=question)
    line.put(QUERY_ASKED, QueryAsked(tenant=tenant, event_id="q", query=query))
    line.run()
    (answer,) = line.events(ANSWER_GIVEN)
    assert answer.reason == reason and answer.message


def test_when_all_is_done_then_every_step_that_spent_has_its_cost_line_and_the_answer_its_scores(line: Driver) -> None:
    publish(line, changed("lease.md", LEASE))
    ask(line, "How long does a lease at Marlow run?")
    lines: list[CostRecorded] = line.events(COST_RECORDED)
    assert {"embed", "retrieve"} <= {cost.step for cost in lines}
    assert len({cost.line_id for cost in lines}) == len(lines)
    (scores,) = line.events(ANSWER_EVALUATED)
    assert {score.metric for score in scores.scores}


def test_when_a_chunk_is_undecodable_on_its_topic_then_its_version_is_no_head(line: Driver) -> None:
    publish(line, changed("lease.md", LEASE))
    line.put_bytes(CHUNK_CREATED, b"acme|lease.md", b"garbage")
    line.run()
    assert len(line.dead_letters(CHUNK_CREATED)) == 1
    assert len(line.events(DOCUMENT_HEAD)) == 1
