"""The pipeline: what becomes of records without any Kafka; fused and unfused must look the same from outside."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from adapters.host import SystemClock
from adapters.schema_registry import MemorySchemaIds
from processors.contract import Reject, Stop
from schemas.codec import Codec
from schemas.documents import AccessChanged
from schemas.envelope import Event, Version, derived_id
from schemas.measures import AuditRecorded, FeedbackGiven
from streams.hop import Hop, JourneyError
from streams.pipeline import BoundHop, Origin, Pipeline
from streams.records import Outgoing, Processed, Record
from streams.retries import ErrorPolicy, RetryLater
from topics.topic import MAX_RECORD_BYTES, Topic

SOURCE = Topic[FeedbackGiven]("test.in.v1", (FeedbackGiven,), lambda e: str(e.answer_id))
MIDDLE = Topic[FeedbackGiven]("test.mid.v1", (FeedbackGiven,), lambda e: str(e.answer_id))
SINK = Topic[AuditRecorded]("test.out.v1", (AuditRecorded,), lambda e: str(e.actor))
ACCESS = Topic[AccessChanged]("test.access.v1", (AccessChanged,), lambda e: str(e.document))


def copy(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
    if event.comment == "bad":
        raise Reject("wanted good, got bad")
    yield FeedbackGiven(tenant=event.tenant, answer_id=event.answer_id, rating=event.rating, comment=event.comment)


def audit(event: FeedbackGiven) -> Iterator[AuditRecorded]:
    if event.comment == "worse":
        raise Reject("wanted better, got worse")
    yield AuditRecorded(tenant=event.tenant, actor=event.answer_id, action="a", target=event.comment, outcome="ok")


@pytest.fixture
def codec() -> Codec:
    return Codec(MemorySchemaIds())


def _no_port(name: str) -> Any:
    raise KeyError(name)


def pipeline(codec: Codec, *hops: Hop) -> Pipeline:
    bound = [BoundHop(hop, _no_port) for hop in hops]
    return Pipeline(bound, codec, Origin(SystemClock(), "1.2.3", "abc"), ErrorPolicy(attempts=2, backoff_s=0.0))


def record(codec: Codec, comment: str, offset: int = 0, topic: Topic[Any] = SOURCE) -> Record:
    event = FeedbackGiven(tenant="acme", event_id=f"e{offset}", answer_id="a", rating="up", comment=comment)
    headers = (("traceparent", b"00-1"), ("tenant", b"forged"))
    return Record(topic.name, 0, offset, b"a", codec.encode(topic.subject, topic.events, event), headers, 1)


def shown(done: Processed) -> list[tuple[str, bytes | None, tuple[tuple[str, bytes], ...]]]:
    return sorted(
        (out.topic, out.key, tuple(h for h in out.headers if not h[0].startswith("dlq.source")))
        for one in done.outgoing
        for out in one
    )


def test_when_steps_are_fused_then_the_same_records_are_written_as_one_by_one(codec: Codec) -> None:
    records = [record(codec, word, n) for n, word in enumerate(("fine", "bad", "worse"))]
    fused = pipeline(codec, Hop((SOURCE,), copy, (MIDDLE,)), Hop((MIDDLE,), audit, (SINK,))).process(records)
    first = pipeline(codec, Hop((SOURCE,), copy, (MIDDLE,))).process(records)
    between = [
        Record(out.topic, 0, n, out.key, out.value, out.headers)
        for n, out in enumerate(out for one in first.outgoing for out in one if out.topic == MIDDLE.name)
    ]
    second = pipeline(codec, Hop((MIDDLE,), audit, (SINK,))).process(between)
    assert shown(fused) == sorted(shown(first) + shown(second))
    assert {topic for topic, _, _ in shown(fused)} == {SOURCE.dead_letters, MIDDLE.name, MIDDLE.dead_letters, SINK.name}


def test_when_an_event_is_emitted_then_it_carries_id_time_trail_and_the_headers_that_travel(codec: Codec) -> None:
    done = pipeline(codec, Hop((SOURCE,), copy, (MIDDLE,))).process([record(codec, "fine", 4)])
    (out,) = done.outgoing[0]
    assert out.event is not None
    assert out.event.event_id == derived_id("e4", "copy", 0)
    assert out.event.producer_version == "1.2.3" and out.event.git_sha == "abc"
    assert out.event.trail == {"copy": out.event.occurred_at} and out.event.occurred_at > 0
    assert out.headers == (("tenant", b"acme"), ("event-id", out.event.event_id.encode()), ("traceparent", b"00-1"))


def test_when_processed_twice_then_the_ids_are_the_same(codec: Codec) -> None:
    line = pipeline(codec, Hop((SOURCE,), copy, (MIDDLE,)))
    ids = [line.process([record(codec, "fine", 4)]).outgoing[0][0].event for _ in range(2)]
    assert ids[0] is not None and ids[1] is not None and ids[0].event_id == ids[1].event_id


@pytest.mark.parametrize(
    ("value", "reason"),
    [(b"", "at least 6 bytes"), (b"{json}", "0x7b"), (b"\x00\x00\x00\x27\x10\x00", "10000"), (b"\x00\x00", "at least")],
)
def test_when_a_record_can_not_be_decoded_then_it_is_a_dead_letter_with_its_bytes(
    codec: Codec, value: bytes, reason: str
) -> None:
    line = pipeline(codec, Hop((SOURCE,), copy, (MIDDLE,)))
    done = line.process([Record(SOURCE.name, 2, 9, b"k", value, (("x", b"y"),), 1), record(codec, "fine")])
    (letter,) = done.outgoing[0]
    headers = dict(letter.headers)
    assert (letter.topic, letter.key, letter.value) == (SOURCE.dead_letters, b"k", value)
    assert reason in headers["dlq.reason"].decode()
    assert (headers["x"], headers["dlq.source.offset"], headers["dlq.source.partition"]) == (b"y", b"9", b"2")
    assert len(done.outgoing[1]) == 1


def test_when_a_record_is_a_tombstone_then_it_is_passed(codec: Codec) -> None:
    done = pipeline(codec, Hop((SOURCE,), copy, (MIDDLE,))).process([Record(SOURCE.name, 0, 0, b"k", None, (), 1)])
    assert done.outgoing == [[]]


def test_when_an_event_has_no_version_then_it_takes_the_records_offset(codec: Codec) -> None:
    seen: list[Version | None] = []

    def look(event: AccessChanged) -> Iterator[AuditRecorded]:
        seen.append(event.version)
        return iter(())

    event = AccessChanged(tenant="acme", document="d", access=("*",))
    value = codec.encode(ACCESS.subject, ACCESS.events, event)
    pipeline(codec, Hop((ACCESS,), look, (SINK,))).process([Record(ACCESS.name, 0, 41, b"d", value, (), 1)])
    assert seen == [Version(source=0, offset=41)]


def test_when_an_event_outgrows_a_record_then_what_caused_it_is_a_dead_letter(codec: Codec) -> None:
    def grow(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
        yield FeedbackGiven(tenant="acme", answer_id="a", rating="up", comment="x" * (MAX_RECORD_BYTES + 1))

    done = pipeline(codec, Hop((SOURCE,), grow, (MIDDLE,))).process([record(codec, "fine")])
    (letter,) = done.outgoing[0]
    assert letter.topic == SOURCE.dead_letters
    assert b"split the document" in dict(letter.headers)["dlq.reason"]


def test_when_a_dependency_is_away_then_nothing_is_decided(codec: Codec) -> None:
    def needy(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
        if event.answer_id:
            raise Stop("away", after_s=3.0)
        yield event

    with pytest.raises(Stop, match="away"):
        pipeline(codec, Hop((SOURCE,), needy, (MIDDLE,))).process([record(codec, "fine")])


def test_when_a_batch_step_rejects_one_then_the_others_go_on(codec: Codec) -> None:
    def whole(events: Sequence[FeedbackGiven]) -> list[list[Event] | Reject]:
        return [Reject("odd") if event.comment == "odd" else [event] for event in events]

    done = pipeline(codec, Hop((SOURCE,), whole, (MIDDLE,))).process(
        [record(codec, "even", 0), record(codec, "odd", 1)]
    )
    assert [[out.topic for out in one] for one in done.outgoing] == [[MIDDLE.name], [SOURCE.dead_letters]]
    assert done.rejected == [1]


def test_when_committed_then_each_hop_sees_its_own_events_only(codec: Codec) -> None:
    seen: list[list[Event]] = []

    def after(events: list[Event]) -> None:
        seen.append(events)

    line = pipeline(codec, Hop((SOURCE,), copy, (MIDDLE,)), Hop((MIDDLE,), audit, (SINK,), committed=after))
    done = line.process([record(codec, "fine")])
    line.committed(done.outgoing[0])
    assert [type(event).__name__ for event in seen[0]] == ["AuditRecorded"]


def test_when_a_port_is_missing_then_binding_says_which(codec: Codec) -> None:
    def needs(event: FeedbackGiven, oracle: Callable[[], int]) -> Iterator[FeedbackGiven]:
        yield event

    with pytest.raises(KeyError, match="oracle"):
        pipeline(codec, Hop((SOURCE,), needs, (MIDDLE,)))


def _comment(out: Outgoing) -> str:
    return out.event.comment if isinstance(out.event, FeedbackGiven) else ""


def test_when_a_hop_works_on_several_at_once_then_order_and_dead_letters_are_as_one_by_one(codec: Codec) -> None:
    # Whoever is alone in the step waits for ever: the barrier breaks, and every record becomes a dead letter.
    together = threading.Barrier(2, timeout=30.0)

    def meet(event: FeedbackGiven) -> Iterator[FeedbackGiven]:
        together.wait()
        yield from copy(event)

    records = [record(codec, word, n) for n, word in enumerate(("fine", "bad", "good", "better"))]
    alone = pipeline(codec, Hop((SOURCE,), copy, (MIDDLE,), called="meet")).process(records)
    met = pipeline(codec, Hop((SOURCE,), meet, (MIDDLE,), called="meet", at_once=2)).process(records)
    assert met.rejected == alone.rejected == [1]
    for one, other in zip(met.outgoing, alone.outgoing, strict=True):
        assert [(out.topic, out.key, _comment(out)) for out in one] == [
            (out.topic, out.key, _comment(out)) for out in other
        ]


def test_when_order_matters_to_retries_then_a_hop_takes_one_at_a_time() -> None:
    with pytest.raises(JourneyError, match="at_once must be 1"):
        Hop((SOURCE,), copy, (MIDDLE,), retries=RetryLater((1.0,)), at_once=2)


def test_when_a_step_writes_to_the_topic_that_it_reads_then_it_reads_that_topic_all_the_same(codec: Codec) -> None:
    again = Hop((SOURCE,), copy, (SOURCE,))
    line = pipeline(codec, again)
    assert line.reads == (SOURCE,)
    (out,) = line.process([record(codec, "good")]).outgoing
    assert [one.topic for one in out] == [SOURCE.name], "what it said is read again over Kafka, not handled at once"
