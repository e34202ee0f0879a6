"""Journeys fit together: what a step takes its topics carry, what it gives its topics take."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any

import pytest

from schemas.measures import AuditRecorded, FeedbackGiven
from streams.answer import ANSWER
from streams.hop import Hop, Journey, JourneyError, event_classes
from streams.ingest import INGEST
from streams.measure import MEASURE
from streams.retries import RetryLater
from topics.ingest import SOURCE_CHANGES
from topics.measure import AUDIT_RECORDED, FEEDBACK_GIVEN
from topics.topic import Topic

HOPS = [(journey.name, hop) for journey in (INGEST, ANSWER, MEASURE) for hop in journey]


@pytest.mark.parametrize(("journey", "hop"), HOPS, ids=[f"{name}.{hop.name}" for name, hop in HOPS])
def test_when_a_hop_is_declared_then_its_topics_carry_exactly_what_its_step_takes(journey: str, hop: Hop) -> None:
    carried = {event for topic in hop.reads for event in topic.events}
    taken = set(event_classes(hop.step))
    assert carried - taken <= {event for topic in hop.reads[1:] for event in topic.events} or carried == taken
    assert taken <= carried


@pytest.mark.parametrize("topic", [FEEDBACK_GIVEN, SOURCE_CHANGES], ids=["keyed", "of others"])
def test_when_a_hop_can_have_no_retry_topics_then_declaring_them_is_refused(topic: Topic[Any]) -> None:
    def copy(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
        yield event

    mode: Any = "keyed" if topic is FEEDBACK_GIVEN else "batch"
    with pytest.raises(JourneyError, match="wanted a batch hop"):
        Hop((topic,), copy, (AUDIT_RECORDED,), mode, retries=RetryLater((5,)))


def test_when_an_event_has_no_topic_then_the_error_names_step_and_topics() -> None:
    def copy(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
        yield event

    hop = Hop((FEEDBACK_GIVEN,), copy, (AUDIT_RECORDED,))
    with pytest.raises(JourneyError, match=r"'copy' emitted FeedbackGiven.*rag\.audit\.recorded\.v1"):
        hop.topic_of(FeedbackGiven(tenant="t", answer_id="a", rating="up"))
    assert hop.topic_of(AuditRecorded(tenant="t", actor="", action="", target="", outcome="")) is AUDIT_RECORDED


def test_when_a_step_is_unknown_then_the_error_lists_those_there_are() -> None:
    with pytest.raises(JourneyError, match="it has: capture, keep, parse"):
        INGEST.hop("parze")


def test_when_steps_are_compared_then_no_word_is_used_twice() -> None:
    words = [hop.name for _, hop in HOPS]
    assert len(words) == len(set(words))
    assert isinstance(INGEST, Journey) and typing.get_type_hints(INGEST.hop)
