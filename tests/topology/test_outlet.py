"""The outlet through the journeys in memory: what came in under one policy does not go out under another."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.openai_compatible import OpenAICompatible, ServerOptions
from processors.answer.outlet import Outlet
from processors.answer.writing import ModelWriter
from processors.ingest.policies import RedactionPolicy
from processors.ingest.recognise import HIDDEN
from schemas.queries import AnswerGiven, AnswerWithheld, Query, QueryAsked
from streams.driver import Driver
from tests.stub_model_server import StubModelServer
from tests.topology.ports import changed, driver, memory_ports
from topics.answer import ANSWER_DELTA, ANSWER_DRAFTED, ANSWER_GIVEN, QUERY_ASKED
from topics.ingest import DOCUMENT_CHANGED, DOCUMENT_REDACTED

CARD = "4111 1111 1111 1111"
TEXT = f"# Travel\n\nThe office pays for trains with card {CARD}, which is valid for a year. Ask Bo for a seat.\n"
QUESTION = "With which card does the office pay for trains?"
ALLOWED = RedactionPolicy(tenants={"acme": {"card": "allow"}})


def line_of(**chosen: Any) -> Driver:
    line = driver(memory_ports(redaction=ALLOWED, **chosen))
    line.put(DOCUMENT_CHANGED, changed("travel.md", TEXT))
    line.run()
    (redacted,) = line.events(DOCUMENT_REDACTED)
    assert CARD in str(redacted.blocks), "the document came in as it is"
    return line


def ask(line: Driver) -> AnswerGiven | AnswerWithheld:
    line.put(QUERY_ASKED, QueryAsked(tenant="acme", event_id="q1", query=Query(query_id="q1", question=QUESTION)))
    line.run()
    (answer,) = line.events(ANSWER_GIVEN)
    assert isinstance(answer, AnswerGiven | AnswerWithheld)
    return answer


def shown(line: Driver) -> str:
    return "".join(event.text for event in line.events(ANSWER_DELTA))


def parsed(line: Driver) -> str:
    """The document's text, at the places that citations name."""
    (redacted,) = line.events(DOCUMENT_REDACTED)
    text: str = " " * redacted.blocks[-1].end
    for block in redacted.blocks:
        text = text[: block.start] + block.text + text[block.end :]
    return text


def test_when_a_document_was_allowed_in_then_its_quote_goes_out_masked_in_its_place() -> None:
    line = line_of()
    answer = ask(line)
    assert isinstance(answer, AnswerGiven)
    (citation,) = answer.citations
    assert CARD not in str(answer) + shown(line)
    assert f"card {HIDDEN * len(CARD)}, which" in answer.text and answer.text == shown(line)
    assert parsed(line)[citation.start : citation.end].replace(CARD, HIDDEN * len(CARD)) == citation.quote
    assert answer.withheld_kinds == ("card",)
    # What the steps hand on is for them alone.
    assert CARD in str(line.events(ANSWER_DRAFTED))


@pytest.mark.parametrize("on", [True, False])
def test_when_a_model_makes_a_number_up_then_it_is_seen_by_nobody_where_there_is_an_outlet(on: bool) -> None:
    made_up = "5500 0000 0000 0004"
    said = f"The office pays for trains with card {made_up}, which is valid for a year. [1] Ask Bo for a seat. [1]"
    with StubModelServer(said) as server:
        model = OpenAICompatible(server.url, "stub", ServerOptions(timeout_s=5.0))
        line = line_of(writer=ModelWriter(model, 200), outlet=Outlet(on={"acme": on}))
        answer = ask(line)
    deltas = [event.text for event in line.events(ANSWER_DELTA)]
    assert (made_up in shown(line), len(deltas) == 2) == (not on, on)
    assert isinstance(answer, AnswerGiven) and made_up not in answer.text
    assert answer.withheld_kinds == (("card",) if on else ())


def test_when_everything_found_may_not_be_said_then_the_answer_is_refused() -> None:
    line = line_of(outlet=Outlet(phrases={"acme": ("pays for trains",)}))
    answer = ask(line)
    assert isinstance(answer, AnswerWithheld)
    assert (answer.reason, answer.withheld_kinds, shown(line)) == ("refused", ("card", "phrase"), "")
