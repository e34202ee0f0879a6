"""The gateway's door against a real broker: the asker's own partition, one answer each, deadlines, bounds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from confluent_kafka import murmur2

from adapters.schema_registry import MemorySchemaIds
from headwater.local.broker import KafkaBroker
from headwater.local.ports import choose_port
from schemas.codec import Codec
from schemas.envelope import Micros
from schemas.queries import AnswerDelta, AnswerGiven, AnswerWithheld, Query, QueryAsked, QueryCancelled
from streams.ensure import ensure
from streams.errors import ClusterUnavailableError, StreamsError, TooManyQuestionsError
from streams.exchange import Exchange, Reply
from streams.publishing import Publisher
from streams.reading import Reader, Reading, Slice
from streams.settings import Gateway, Kafka, Settings
from tests.streams.answerer import WORDS, Answerer, entrance
from topics.answer import ANSWER_DELTA, ANSWER_GIVEN, QUERY_ASKED, QUERY_ASKED_BULK, QUERY_CANCELLED

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


def settings_for(bootstrap: str, reply_partition: int = -1, deadline_s: float = 10.0) -> Settings:
    return Settings(
        kafka=Kafka(bootstrap=bootstrap, deadline_s=10.0),
        gateway=Gateway(reply_partition=reply_partition, deadline_s=deadline_s),
    )


def query(question: str, query_id: str = "", **more: object) -> Query:
    fields = {"query_id": query_id or entrance().ids.new(), "question": question, **more}
    return Query(**fields)  # type: ignore[arg-type]


async def until_ready(exchange: Exchange, within_s: float = 15.0) -> None:
    deadline = time.monotonic() + within_s
    while not exchange.ready:
        assert time.monotonic() < deadline, exchange.problem
        await asyncio.sleep(0.02)


async def collect(exchange: Exchange, asked: Query) -> list[Reply]:
    return [reply async for reply in exchange.ask(asked, "acme")]


def read(settings: Settings, codec: Codec, topic: str, query_id: str) -> list[Reading]:
    with Reader(settings.kafka, codec, entrance().clock) as reader:
        return list(reader.read(topic, Slice(keep=lambda key, _: key == query_id.encode())))


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(MemorySchemaIds())


@pytest.fixture(scope="module")
def settings(kafka: KafkaBroker) -> Settings:
    made = settings_for(kafka.bootstrap)
    ensure(made, topics=[QUERY_ASKED, QUERY_ASKED_BULK, QUERY_CANCELLED, ANSWER_GIVEN, ANSWER_DELTA])
    return made


@pytest.fixture(scope="module")
def answerer(settings: Settings, codec: Codec) -> Iterator[Answerer]:
    with Answerer(settings.kafka, codec) as playing:
        yield playing


@pytest.mark.live
@pytest.mark.parametrize("question", ["How long is a lease?", "twice"])
async def test_when_a_question_is_answered_then_each_piece_comes_once(
    settings: Settings, codec: Codec, answerer: Answerer, question: str
) -> None:
    async with Exchange(settings, codec, entrance()) as exchange:
        await until_ready(exchange)
        asked = query(question)
        replies = await collect(exchange, asked)
    texts = [reply.text for reply in replies if isinstance(reply, AnswerDelta)]
    # The answer is on a topic of its own and may overtake deltas, whose text then comes as one.
    assert "".join(texts) == "".join(WORDS)
    assert texts[0].startswith(WORDS[0])
    assert isinstance(replies[-1], AnswerGiven)
    assert replies[-1].answer_id == asked.query_id
    assert exchange.waiting == 0


@pytest.mark.live
async def test_when_it_is_asked_then_the_record_says_where_to_reply(
    settings: Settings, codec: Codec, answerer: Answerer
) -> None:
    mine = settings_for(settings.kafka.bootstrap, reply_partition=3)
    async with Exchange(mine, codec, entrance()) as exchange:
        await until_ready(exchange)
        ids = [entrance().ids.new() for _ in range(4)]
        replies = await asyncio.gather(*(collect(exchange, query("?", query_id)) for query_id in ids))
    assert [each[-1].answer_id for each in replies if isinstance(each[-1], AnswerGiven)] == ids
    # By key they would have gone to several partitions.
    assert len({murmur2(query_id.encode(), 4) for query_id in ids} | {3}) > 1
    assert all(asked.query.deadline_at > 0 for asked in answerer.asked[-4:])


@pytest.mark.live
async def test_when_the_lane_is_bulk_then_the_question_lies_on_the_topic_of_that_lane(
    settings: Settings, codec: Codec, answerer: Answerer
) -> None:
    async with Exchange(settings, codec, entrance()) as exchange:
        await until_ready(exchange)
        asked = query("silence", lane="bulk", deadline_at=Micros(entrance().clock.now() + 200_000))
        await collect(exchange, asked)
    found = [reading.event for reading in read(settings, codec, QUERY_ASKED_BULK.name, asked.query_id)]
    assert [event.query.lane for event in found if isinstance(event, QueryAsked)] == ["bulk"]


@pytest.mark.live
async def test_when_the_asker_leaves_then_the_question_is_cancelled_once(
    settings: Settings, codec: Codec, answerer: Answerer
) -> None:
    async with Exchange(settings, codec, entrance()) as exchange:
        await until_ready(exchange)
        left, told = query("silence"), query("silence")
        task = asyncio.create_task(collect(exchange, left))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        place = await exchange.cancel(told.query_id, "acme")
        answered = query("How long?")
        await collect(exchange, answered)
    assert place.topic == QUERY_CANCELLED.name
    (event,) = [reading.event for reading in read(settings, codec, QUERY_CANCELLED.name, left.query_id)]
    assert isinstance(event, QueryCancelled)
    assert (event.tenant, event.query_id) == ("acme", left.query_id)
    assert event.deadline_at > entrance().clock.now()
    assert len(read(settings, codec, QUERY_CANCELLED.name, told.query_id)) == 1
    assert read(settings, codec, QUERY_CANCELLED.name, answered.query_id) == []


@pytest.mark.live
async def test_when_replicas_ask_then_each_sees_its_own_answers_only(
    settings: Settings, codec: Codec, answerer: Answerer
) -> None:
    async with (
        Exchange(settings_for(settings.kafka.bootstrap, 0), codec, entrance()) as one,
        Exchange(settings_for(settings.kafka.bootstrap, 1), codec, entrance()) as other,
    ):
        await until_ready(one)
        await until_ready(other)
        first, second = await asyncio.gather(collect(one, query("a?")), collect(other, query("b?")))
    assert (first[-1].question, second[-1].question) == ("a?", "b?")  # type: ignore[union-attr]


@pytest.mark.live
async def test_when_nobody_answers_then_the_deadline_does(settings: Settings, codec: Codec, answerer: Answerer) -> None:
    async with Exchange(settings, codec, entrance()) as exchange:
        await until_ready(exchange)
        began = time.monotonic()
        soon = Micros(entrance().clock.now() + 300_000)
        replies = await collect(exchange, query("silence", deadline_at=soon))
    assert isinstance(replies[-1], AnswerWithheld)
    assert replies[-1].reason == "expired"
    assert 0.2 < time.monotonic() - began < 2.0


@pytest.mark.live
async def test_when_too_many_wait_then_the_next_is_turned_away(
    settings: Settings, codec: Codec, answerer: Answerer
) -> None:
    async with Exchange(settings, codec, entrance(), max_waiting=1) as exchange:
        await until_ready(exchange)
        soon = Micros(entrance().clock.now() + 1_000_000)
        waiting = asyncio.ensure_future(collect(exchange, query("silence", deadline_at=soon)))
        await asyncio.sleep(0.1)
        with pytest.raises(TooManyQuestionsError, match="1 questions wait"):
            await collect(exchange, query("one more?"))
        await waiting
        assert len(await collect(exchange, query("now?"))) > 1


@pytest.mark.live
async def test_when_a_query_id_waits_already_then_it_is_refused(
    settings: Settings, codec: Codec, answerer: Answerer
) -> None:
    async with Exchange(settings, codec, entrance()) as exchange:
        await until_ready(exchange)
        same = query("silence", deadline_at=Micros(entrance().clock.now() + 500_000))
        waiting = asyncio.ensure_future(collect(exchange, same))
        await asyncio.sleep(0.1)
        with pytest.raises(StreamsError, match="already waits"):
            await collect(exchange, same)
        await waiting


@pytest.mark.live
async def test_when_bytes_lie_between_replies_then_the_answer_still_comes(
    settings: Settings, codec: Codec, answerer: Answerer
) -> None:
    own = settings_for(settings.kafka.bootstrap, 2)
    async with Exchange(own, codec, entrance()) as exchange:
        await until_ready(exchange)
        asked = query("silence", deadline_at=Micros(entrance().clock.now() + 5_000_000))
        waiting = asyncio.ensure_future(collect(exchange, asked))
        await asyncio.sleep(0.2)
        with Publisher(own.kafka, codec, entrance()) as publisher:
            publisher._producer.produce(ANSWER_GIVEN.name, b"\x07junk", key=asked.query_id.encode(), partition=2)
            given = AnswerWithheld(
                tenant="acme", answer_id=asked.query_id, question="?", reason="refused", message="no"
            )
            publisher.publish(ANSWER_GIVEN, given, [("reply-partition", b"2")])
        replies = await waiting
    assert [getattr(reply, "reason", "") for reply in replies] == ["refused"]


async def test_when_no_broker_is_there_then_asking_fails_at_once_and_says_so(codec: Codec) -> None:
    away = settings_for(f"127.0.0.1:{choose_port('nothing')}")
    async with Exchange(away, codec, entrance()) as exchange:
        assert not exchange.ready
        with pytest.raises(ClusterUnavailableError, match="does not reach Kafka"):
            await collect(exchange, query("anybody?"))
