"""Metadata from a document's source to the question that is narrowed by it, through both journeys."""

from __future__ import annotations

from typing import Any

import pytest

from processors.answer.admit import AdmitLimits
from processors.answer.filters import FilterField, FilterFields
from processors.answer.limits import RetrievalLimits
from schemas.documents import AccessChanged, DocumentHead
from schemas.queries import AnswerGiven, AnswerWithheld, PassagesFound, Query, QueryAsked, QueryPlanned
from streams.driver import Driver
from tests.topology.ports import changed, driver, memory_ports
from topics.answer import ANSWER_GIVEN, PASSAGES_FOUND, QUERY_ASKED, QUERY_PLANNED
from topics.ingest import ACCESS_CHANGED, DOCUMENT_CHANGED, DOCUMENT_HEAD

FIELDS = FilterFields({"edition": FilterField("number", phrases=("in the {value} handbook",))})


@pytest.fixture
def line() -> Driver:
    made = driver(memory_ports(limits=AdmitLimits(4_000, fields=FIELDS), retrieval=RetrievalLimits(fields=FIELDS)))
    for year, days in (("2019", "twenty"), ("2021", "thirty")):
        text = f"# Leave\n\nEverybody has {days} days of leave.\n"
        made.put(DOCUMENT_CHANGED, changed(f"{year}.md", text, title=f"Handbook {year}", properties={"edition": year}))
    made.run()
    return made


def ask(line: Driver, question: str, **more: Any) -> tuple[AnswerGiven | AnswerWithheld, list[PassagesFound]]:
    line.forget()
    query = Query(query_id="q", question=question, **more)
    line.put(QUERY_ASKED, QueryAsked(tenant="acme", event_id="q", query=query))
    line.run()
    (answer,) = line.events(ANSWER_GIVEN)
    return answer, list(line.events(PASSAGES_FOUND))


@pytest.mark.parametrize(("edition", "days"), [("2019", "twenty"), ("2021", "thirty")])
def test_when_a_question_names_the_edition_then_it_is_answered_from_that_one(
    line: Driver, edition: str, days: str
) -> None:
    answer, (found,) = ask(line, f"How many days of leave has everybody in the {edition} handbook?")
    assert isinstance(answer, AnswerGiven) and days in answer.text
    assert {passage.document for passage in found.passages} == {f"{edition}.md"}
    (planned,) = line.events(QUERY_PLANNED)
    assert isinstance(planned, QueryPlanned) and planned.query.drawn == {"edition": edition} == found.query.drawn
    assert answer.drawn == {"edition": edition}


def test_when_there_is_no_such_edition_then_all_are_read_and_the_answer_says_so(line: Driver) -> None:
    answer, (found,) = ask(line, "How many days of leave has everybody in the 1980 handbook?")
    assert "filters" in answer.degraded
    assert len({passage.document for passage in found.passages}) == 2


def test_when_the_asker_gives_a_filter_then_it_holds_and_one_that_means_nothing_is_told(line: Driver) -> None:
    answer, _ = ask(line, "How many days of leave has everybody?", filters={"edition": "2019"})
    assert isinstance(answer, AnswerGiven) and "twenty" in answer.text
    none, _ = ask(line, "How many days of leave has everybody?", filters={"edition": "1980"})
    assert isinstance(none, AnswerWithheld) and none.reason == "not_in_documents"
    refused, found = ask(line, "How many days of leave has everybody?", filters={"mood": "good"})
    assert isinstance(refused, AnswerWithheld) and (refused.reason, found) == ("invalid_filter", [])


def test_when_the_access_list_is_set_then_the_metadata_stays(line: Driver) -> None:
    line.forget()
    line.put(ACCESS_CHANGED, AccessChanged(tenant="acme", document="2019.md", access=("user:ada",)))
    line.run()
    (head,) = line.events(DOCUMENT_HEAD)
    assert isinstance(head, DocumentHead) and head.properties["edition"] == "2019"
    hidden, (found,) = ask(line, "How many days of leave has everybody in the 2019 handbook?")
    assert "filters" in hidden.degraded and {passage.document for passage in found.passages} == {"2021.md"}
