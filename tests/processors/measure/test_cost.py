"""Cost: one line per thing spent, with an id that makes a repeat count once."""

from __future__ import annotations

import pytest

from processors.contract import Reject
from processors.measure.cost import cost
from processors.measure.prices import Price, Prices
from schemas.documents import EmbeddingComputed
from schemas.measures import CostRecorded
from schemas.queries import AnswerDrafted, PassagesFound, PassagesRanked, Query, Usage

PRICES = Prices("2026-11", [Price("small", "tokens_out", 2_000_000)], currency="EUR")
QUERY = Query(query_id="q-1", question="Why?")
USAGE = (
    Usage(step="generate", model="small", unit="tokens_in", quantity=812.0),
    Usage(step="generate", model="small", unit="tokens_out", quantity=40.0),
)


def drafted(event_id: str = "event-1", usage: tuple[Usage, ...] = USAGE) -> AnswerDrafted:
    return AnswerDrafted(
        tenant="acme",
        event_id=event_id,
        query=QUERY,
        sentences=(),
        sources=(),
        model="small",
        prompt_version="answer@1",
        usage=usage,
    )


def test_when_a_model_was_used_then_each_unit_is_a_line_of_the_query() -> None:
    tokens_in, tokens_out = cost(drafted(), PRICES)
    assert tokens_out == CostRecorded(
        tenant="acme",
        line_id=tokens_out.line_id,
        subject="query",
        subject_id="q-1",
        step="generate",
        model="small",
        unit="tokens_out",
        quantity=40.0,
        price_version="2026-11",
        cost_micros=80,
        currency="EUR",
    )
    assert (tokens_in.quantity, tokens_in.cost_micros, tokens_in.price_version) == (812.0, 0, "2026-11+unpriced")


def test_when_a_text_was_embedded_then_tokens_and_seconds_are_lines_of_the_document() -> None:
    computed = EmbeddingComputed(
        tenant="acme",
        event_id="event-2",
        model="minilm",
        text_hash="ab",
        dimension=1,
        vector=b"\0\0\0\0",
        tokens=120,
        seconds=0.0125,
        document="handbook.md",
    )
    lines = list(cost(computed, PRICES))
    assert [(line.unit, line.quantity, line.subject, line.subject_id) for line in lines] == [
        ("tokens_in", 120.0, "document", "handbook.md"),
        ("seconds", 0.0125, "document", "handbook.md"),
    ]
    assert {line.step for line in lines} == {"embed"}


@pytest.mark.parametrize("kind", [PassagesFound, PassagesRanked])
def test_when_search_spent_something_then_it_is_a_line_of_the_query(
    kind: type[PassagesFound] | type[PassagesRanked],
) -> None:
    usage = (Usage(step="retrieve", model="minilm", unit="seconds", quantity=0.007),)
    fields = {"plan": ("Why?",)} if kind is PassagesFound else {}
    spent = kind(tenant="acme", event_id="event-3", query=QUERY, passages=(), usage=usage, **fields)  # type: ignore[arg-type]  # one of two classes
    (line,) = cost(spent, PRICES)
    assert (line.step, line.quantity, line.subject_id) == ("retrieve", 0.007, "q-1")


def test_when_an_event_comes_twice_then_its_lines_have_the_same_ids() -> None:
    first, again, other = (list(cost(drafted(event), PRICES)) for event in ("event-1", "event-1", "event-9"))
    assert first == again
    assert len({line.line_id for line in (*first, *other)}) == 4


def test_when_nothing_was_spent_then_there_is_no_line() -> None:
    assert list(cost(drafted(usage=()), PRICES)) == []


def test_when_the_event_has_no_id_then_it_is_rejected() -> None:
    with pytest.raises(Reject, match="wanted an event id to count AnswerDrafted once, got none"):
        list(cost(drafted(event_id=""), PRICES))
