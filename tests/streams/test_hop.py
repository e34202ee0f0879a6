"""Journeys fit together: what a step takes its topics carry, what it gives its topics take."""

from __future__ import annotations

import typing
from collections.abc import Iterator

import pytest

from schemas.measures import AuditRecorded, FeedbackGiven
from streams.answer import ANSWER
from streams.hop import Hop, Journey, JourneyError, event_classes
from streams.ingest import INGEST
from streams.measure import MEASURE
from topics.measure import AUDIT_RECORDED, FEEDBACK_GIVEN

HOPS = [(journey.name, hop) for journey in (INGEST, ANSWER, MEASURE) for hop in journey]


@pytest.mark.parametrize(("journey", "hop"), HOPS, ids=[f"{name}.{hop.name}" for name, hop in HOPS])
def test_when_a_hop_is_declared_then_its_topics_carry_exactly_what_its_step_takes(journey: str, hop: Hop) -> None:
    carried = {event for topic in hop.reads for event in topic.events}
    taken = set(event_classes(hop.step))
    assert carried - taken <= {event for topic in hop.reads[1:] for event in topic.events} or carried == taken
    assert taken <= carried


def test_when_an_event_has_no_topic_then_the_error_names_step_and_topics() -> None:
    def copy(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
        yield event

    hop = Hop((FEEDBACK_GIVEN,), copy, (AUDIT_RECORDED,))
    with pytest.raises(JourneyError, match=r"'copy' emitted FeedbackGiven.*rag\.audit\.recorded\.v1"):
        hop.topic_of(FeedbackGiven(tenant="t", answer_id="a", rating="up"))
    assert hop.topic_of(AuditRecorded(tenant="t", actor="", action="", target="", outcome="")) is AUDIT_RECORDED


def test_when_a_step_is_unknown_then_the_error_lists_those_there_are() -> None:
    with pytest.raises(JourneyError, match="it has: capture, parse"):
        INGEST.hop("parze")


def test_when_steps_are_compared_then_no_word_is_used_twice() -> None:
    words = [hop.name for _, hop in HOPS]
    assert len(words) == len(set(words))
    assert isinstance(INGEST, Journey) and typing.get_type_hints(INGEST.hop)
