"""The client both ways, sync and async, against a real gateway and real topics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import headwater
from adapters.schema_registry import ConfluentSchemaIds
from headwater import Answer, AsyncClient, Client, Delta
from headwater.local.broker import KafkaBroker
from headwater.local.parts import OwnPart
from headwater.local.ports import choose_port
from schemas.codec import Codec
from schemas.documents import DocumentChanged, DocumentDeleted
from schemas.envelope import Event
from schemas.measures import FeedbackGiven
from streams.ensure import DECLARED, ensure
from streams.reading import Reader, Reading, Slice
from streams.settings import Gateway, Kafka, Registry, Settings
from tests.live.gateway_process import RunningGateway
from tests.streams.answerer import WORDS, Answerer, entrance
from topics.answer import QUERY_ASKED_BULK, QUERY_CANCELLED

pytestmark = [pytest.mark.live, pytest.mark.anyio]

Way = dict[str, Any]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def settings(kafka: KafkaBroker, registry: OwnPart) -> Settings:
    made = Settings(
        kafka=Kafka(bootstrap=kafka.bootstrap, deadline_s=10.0),
        registry=Registry(url=registry.url, auto_register=True),
        gateway=Gateway(deadline_s=10.0, max_body_bytes=1_000),
    )
    ensure(made)
    codec = Codec(ConfluentSchemaIds(registry.url, auto_register=True))
    for topic in DECLARED:
        codec.register(topic.subject, topic.events)
    return made


@pytest.fixture(scope="module")
def codec(settings: Settings) -> Codec:
    return Codec(ConfluentSchemaIds(settings.registry.url))


@pytest.fixture(scope="module")
def ways(settings: Settings, codec: Codec) -> Iterator[dict[str, Way]]:
    with Answerer(settings.kafka, codec), RunningGateway(settings) as running:
        yield {
            "http": {"url": running.wait_ready().url},
            "kafka": {"kafka": settings.kafka.bootstrap, "registry": settings.registry.url},
        }


@pytest.fixture(params=["http", "kafka"])
def way(request: pytest.FixtureRequest, ways: dict[str, Way]) -> Way:
    return ways[request.param]


def newest(settings: Settings, codec: Codec, topic: str, key: str) -> Reading:
    with Reader(settings.kafka, codec, entrance().clock) as reader:
        return list(reader.read(topic, Slice(keep=lambda found, _: found == key.encode())))[-1]


def test_when_it_asks_then_the_answer_has_its_citations(way: Way) -> None:
    with Client(**way, tenant="acme") as client:
        answer = client.ask("How long is a lease?")
    assert (answer.text, answer.answered) == ("".join(WORDS), True)
    assert answer.citations[0].version == headwater.client.Version(source=0, offset=3)
    assert answer.citations[0].quote == "A lease runs for twelve months."


def test_when_it_streams_then_the_answer_comes_last(way: Way) -> None:
    with Client(**way) as client:
        pieces = list(client.ask_stream("How long is a lease?", "acme"))
    shown = [piece.text for piece in pieces if isinstance(piece, Delta)]
    assert "".join(shown) == "".join(WORDS)
    assert shown[0] == WORDS[0]
    assert isinstance(pieces[-1], Answer)


async def test_when_it_streams_in_an_event_loop_then_the_same_comes(way: Way) -> None:
    async with AsyncClient(**way, tenant="acme") as client:
        pieces = [piece async for piece in client.ask_stream("How long is a lease?")]
        answer = await client.ask("How long is a lease?")
    assert "".join(piece.text for piece in pieces) == "".join(WORDS) * 2
    assert answer.text == pieces[-1].text


def test_when_a_stream_is_left_early_then_the_next_question_works(way: Way) -> None:
    with Client(**way, tenant="acme") as client:
        stream = client.ask_stream("How long is a lease?")
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        assert client.ask("How long is a lease?").answered


@pytest.mark.parametrize("asking", ["a stream closed", "a task cancelled"])
async def test_when_whoever_asked_leaves_then_the_question_is_cancelled(
    way: Way, settings: Settings, codec: Codec, asking: str
) -> None:
    tenant = f"left-{next(iter(way))}-{asking[-6:]}"
    async with AsyncClient(**way, tenant=tenant) as client:
        if asking == "a stream closed":
            stream = client.ask_stream("silence")
            task = asyncio.ensure_future(anext(stream))
        else:
            task = asyncio.ensure_future(client.ask("silence"))
        await asyncio.sleep(0.7)
        task.cancel()
        await asyncio.wait({task})
        assert await asyncio.to_thread(cancelled, settings, codec, tenant) == 1


def test_when_a_stream_over_kafka_is_closed_then_the_question_is_cancelled_and_an_answered_one_is_not(
    ways: dict[str, Way], settings: Settings, codec: Codec
) -> None:
    with Client(**ways["kafka"], tenant="closing") as client:
        stream = client.ask_stream("How long is a lease?")
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        assert cancelled(settings, codec, "closing") == 1
        for piece in (answered := client.ask_stream("How long is a lease?")):
            if isinstance(piece, Answer):
                answered.close()  # type: ignore[attr-defined]
    assert cancelled(settings, codec, "closing") == 1


def test_when_the_lane_is_bulk_then_it_is_asked_on_the_topic_of_that_lane(
    way: Way, settings: Settings, codec: Codec
) -> None:
    tenant = f"bulk-{next(iter(way))}"
    with Client(**way, tenant=tenant) as client, pytest.raises(headwater.AnswerExpiredError):
        client.ask("silence", lane="bulk", timeout_s=0.5)
    assert len(events_of(settings, codec, QUERY_ASKED_BULK.name, tenant)) == 1


def cancelled(settings: Settings, codec: Codec, tenant: str) -> int:
    """How many questions of a tenant were cancelled, waited for until there is one."""
    deadline = time.monotonic() + 10
    while not (found := events_of(settings, codec, QUERY_CANCELLED.name, tenant)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return len(found)


def events_of(settings: Settings, codec: Codec, topic: str, tenant: str) -> list[Event]:
    with Reader(settings.kafka, codec, entrance().clock) as reader:
        events = [reading.event for reading in reader.read(topic)]
    return [event for event in events if event is not None and event.tenant == tenant]


@pytest.mark.parametrize("reason", ["not_in_documents", "no_question", "out_of_scope"])
def test_when_documents_dont_answer_or_nothing_was_asked_then_that_is_no_error(way: Way, reason: str) -> None:
    with Client(**way, tenant="acme") as client:
        answer = client.ask(f"withhold {reason}")
    assert (answer.answered, answer.withheld, answer.text) == (False, reason, f"so: {reason}")


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("unknown_tenant", headwater.TenantUnknownError),
        ("invalid_question", headwater.QuestionRefusedError),
        ("refused", headwater.QuestionRefusedError),
        ("cancelled", headwater.QuestionCancelledError),
        ("expired", headwater.AnswerExpiredError),
        ("unavailable", headwater.GatewayUnavailableError),
        ("overloaded", headwater.GatewayUnavailableError),
    ],
)
def test_when_an_answer_is_withheld_then_the_error_says_why(way: Way, reason: str, error: type[Exception]) -> None:
    with Client(**way, tenant="acme") as client:
        with pytest.raises(error, match=f"so: {reason}"):
            client.ask(f"withhold {reason}")
        with pytest.raises(error, match=f"so: {reason}"):
            list(client.ask_stream(f"withhold {reason}"))


def test_when_nobody_answers_then_it_ends_at_the_deadline(way: Way) -> None:
    with Client(**way, tenant="acme") as client, pytest.raises(headwater.AnswerExpiredError):
        client.ask("silence", timeout_s=0.5)


def test_when_documents_come_and_go_then_the_topic_has_both(way: Way, settings: Settings, codec: Codec) -> None:
    with Client(**way, tenant="acme") as client:
        receipt = client.publish("by client/a b.md", "# Hello", access=("group:x",), title="T")
        reading = newest(settings, codec, receipt.topic, "acme|by client/a b.md")
        assert isinstance(reading.event, DocumentChanged)
        assert (reading.event.body, reading.event.media_type) == (b"# Hello", "text/markdown")
        assert (reading.event.access, reading.event.title) == (("group:x",), "T")
        assert (reading.partition, reading.offset) == (receipt.partition, receipt.offset)
        client.delete("by client/a b.md")
    gone = newest(settings, codec, receipt.topic, "acme|by client/a b.md")
    assert isinstance(gone.event, DocumentDeleted)
    assert gone.partition == receipt.partition


async def test_when_it_publishes_in_an_event_loop_then_the_topic_has_it(
    way: Way, settings: Settings, codec: Codec
) -> None:
    async with AsyncClient(**way, tenant="acme") as client:
        await client.publish("async.txt", b"bytes")
        await client.delete("async.txt")
        receipt = await client.feedback("a-async", "down", comment="no")
    event = newest(settings, codec, receipt.topic, "a-async").event
    assert isinstance(event, FeedbackGiven)
    assert (event.rating, event.comment) == ("down", "no")


def test_when_a_key_is_given_then_both_ways_make_the_same_id(ways: dict[str, Way]) -> None:
    ids = set()
    for way in ways.values():
        with Client(**way, tenant="acme") as client:
            ids.add(client.publish("keyed.md", "text", idempotency_key="order-17").event_id)
    assert len(ids) == 1


@pytest.mark.parametrize(("way_name", "size"), [("http", 1_001), ("kafka", 300_000)])
def test_when_a_document_is_too_large_then_it_is_refused(ways: dict[str, Way], way_name: str, size: int) -> None:
    with (
        Client(**ways[way_name], tenant="acme") as client,
        pytest.raises(headwater.DocumentRefusedError, match="wanted"),
    ):
        client.publish("large.txt", b"x" * size)


@pytest.mark.parametrize(
    "way",
    [
        lambda: {"url": f"http://127.0.0.1:{choose_port('nothing')}"},
        lambda: {"kafka": f"127.0.0.1:{choose_port('nothing')}", "registry": "http://127.0.0.1:1"},
    ],
    ids=["http", "kafka"],
)
def test_when_nobody_is_there_then_the_error_says_so(way: Callable[[], Any]) -> None:
    with Client(**way(), tenant="acme") as client:
        with pytest.raises(headwater.GatewayUnavailableError):
            client.ask("Anybody?", timeout_s=1)
        with pytest.raises(headwater.GatewayUnavailableError):
            client.publish("a.md", "a")
