"""The degradation ladder under load, through the whole answer journey: each rung on the answer, the last one honest."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.memory import ManualClock
from processors.answer.caching import Answers
from processors.answer.ladder import Ladder
from processors.answer.load import LoadSteps
from schemas.queries import AnswerGiven, AnswerWithheld, Query, QueryAsked
from streams.driver import Driver
from streams.load_gauge import LoadGauge
from tests.topology.ports import changed, driver, memory_ports
from topics.answer import ANSWER_GIVEN, PASSAGES_FOUND, QUERY_ASKED
from topics.ingest import DOCUMENT_CHANGED
from topics.measure import COST_RECORDED

LEASES = [
    f"# Lease\n\nA lease at {place} runs for {count} months.\n" for place, count in (("Marlow", "ten"), ("Cook", "two"))
]


@pytest.fixture
def gauge() -> LoadGauge:
    return LoadGauge(LoadSteps(rank_s=0.5, fewer_s=1.0, shed_s=4.0), ManualClock())


@pytest.fixture
def line(gauge: LoadGauge) -> Driver:
    made = driver(memory_ports(ladder=Ladder(load=gauge), answers=Answers(load=gauge)))
    for number, lease in enumerate(LEASES):
        made.put(DOCUMENT_CHANGED, changed(f"{number}.md", lease))
    made.run()
    made.forget()
    return made


def ask(line: Driver, lane: Any = "interactive") -> AnswerGiven | AnswerWithheld:
    query = Query(query_id="q", question="How long does a lease at Marlow run?", lane=lane)
    line.put(QUERY_ASKED, QueryAsked(tenant="acme", event_id="q", query=query))
    line.run()
    (answer,) = line.events(ANSWER_GIVEN)
    assert isinstance(answer, AnswerGiven | AnswerWithheld)
    return answer


@pytest.mark.parametrize(
    ("wait_s", "degraded"),
    [(0.0, ()), (0.5, ("rerank",)), (1.0, ("rerank", "passages")), (3.9, ("rerank", "passages"))],
)
def test_when_questions_wait_then_each_rung_is_on_the_answer(
    line: Driver, gauge: LoadGauge, wait_s: float, degraded: tuple[str, ...]
) -> None:
    gauge.observe("answer", {"interactive": wait_s})
    answer = ask(line)
    assert isinstance(answer, AnswerGiven) and "ten months" in answer.text
    assert answer.degraded == degraded


def test_when_too_many_wait_then_a_question_is_turned_away_and_costs_nothing(line: Driver, gauge: LoadGauge) -> None:
    gauge.observe("answer", {"interactive": 4.0})
    answer = ask(line)
    assert isinstance(answer, AnswerWithheld) and answer.reason == "overloaded"
    assert "ask again" in answer.message
    assert not line.events(PASSAGES_FOUND) and not line.events(COST_RECORDED)


def test_when_people_wait_then_bulk_is_turned_away_before_them(line: Driver, gauge: LoadGauge) -> None:
    gauge.observe("answer", {"interactive": 1.0})
    answer = ask(line, "bulk")
    assert isinstance(answer, AnswerWithheld) and answer.reason == "overloaded"
