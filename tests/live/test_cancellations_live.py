"""Cancellation from end to end: a gateway, the topic, a hop that follows it, and a model server that counts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from adapters.host import SystemClock
from adapters.openai_compatible import OpenAICompatible
from adapters.schema_registry import ConfluentSchemaIds
from headwater.local.broker import KafkaBroker
from headwater.local.parts import OwnPart
from processors.answer.caching import Answers
from processors.answer.expiry import refused, unwanted
from schemas.codec import Codec
from schemas.queries import AnswerDelta, AnswerGiven, AnswerWithheld, Query, QueryAsked
from streams.batches import HopPlan
from streams.cancellations import LONGEST_S, Cancelled
from streams.ensure import ensure
from streams.follow import Follower
from streams.hop import Hop
from streams.keyed import KeyedHop
from streams.pipeline import BoundHop, Origin, Pipeline
from streams.publishing import Publisher
from streams.reading import Reader, Slice
from streams.retries import ErrorPolicy
from streams.settings import Gateway, Kafka, Registry, Settings, Worker
from tests.live.gateway_process import RunningGateway
from tests.streams.answerer import entrance
from tests.streams.bench_hops import eventually, running
from tests.stub_model_server import StubModelServer
from topics.answer import ANSWER_DELTA, ANSWER_GIVEN, QUERY_ASKED, QUERY_CANCELLED

pytestmark = pytest.mark.live

WORDS = "It takes a very long time to say all of this word by word " * 20


async def speak(asked: QueryAsked, generator: OpenAICompatible) -> Iterator[AnswerDelta | AnswerGiven]:  # type: ignore[misc]
    """Asks the model the question as it stands, and gives whatever it says."""
    query, text, index = asked.query, "", 0
    async for piece in generator.generate("", query.question, tenant=asked.tenant, max_tokens=1_000):
        if piece.text:
            yield AnswerDelta(tenant=asked.tenant, query_id=query.query_id, index=index, text=piece.text)
        text, index = text + piece.text, index + 1
    yield AnswerGiven(
        tenant=asked.tenant, answer_id=query.query_id, question=query.question, text=text, citations=(),
        model="stub", prompt_version="1",
    )  # fmt: skip


@pytest.fixture(scope="module")
def settings(kafka: KafkaBroker, registry: OwnPart) -> Settings:
    made = Settings(
        kafka=Kafka(bootstrap=kafka.bootstrap, deadline_s=10.0),
        registry=Registry(url=registry.url, auto_register=True),
        gateway=Gateway(deadline_s=20.0),
        worker=Worker(in_flight_keys=2, drain_s=2.0),
    )
    ensure(made)
    return made


@pytest.fixture(scope="module")
def codec(settings: Settings) -> Codec:
    return Codec(ConfluentSchemaIds(settings.registry.url, auto_register=True))


@pytest.fixture(scope="module")
def model() -> Iterator[StubModelServer]:
    with StubModelServer(WORDS, mode="slow", pause_s=0.05) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(settings: Settings, codec: Codec, model: StubModelServer) -> Iterator[str]:
    clock = SystemClock()
    view = Cancelled(clock)
    follower = Follower(QUERY_CANCELLED, view.fold, codec, settings.kafka, clock, LONGEST_S)
    ports = {
        "generator": OpenAICompatible(model.url, "stub"),
        "clock": clock,
        "cancellations": view,
        "answers": Answers(),
    }
    hop = Hop((QUERY_ASKED,), speak, (ANSWER_DELTA, ANSWER_GIVEN), mode="keyed", guard=unwanted, rejected=refused)
    pipeline = Pipeline([BoundHop(hop, ports.__getitem__)], codec, Origin(clock, "test"), ErrorPolicy())
    plan = HopPlan("test.speak.v1", pipeline, (follower,))
    follower.start()
    with running(KeyedHop(plan, settings, clock)), RunningGateway(settings) as open_gateway:
        yield open_gateway.wait_ready().url
    follower.stop()


def endings(settings: Settings, codec: Codec, answer_id: str) -> list[AnswerGiven | AnswerWithheld]:
    with Reader(settings.kafka, codec, entrance().clock) as reader:
        found = reader.read(ANSWER_GIVEN.name, Slice(keep=lambda key, _: key == answer_id.encode()))
        return [event for reading in found if isinstance(event := reading.event, AnswerGiven | AnswerWithheld)]


def ask(gateway: str, question: str, tenant: str = "acme") -> httpx.Response:
    body = {"question": question, "tenant": tenant, "timeout_s": 20}
    return httpx.post(f"{gateway}/v1/ask", json=body, timeout=30)


def newest_id(settings: Settings, codec: Codec, question: str) -> str:
    with Reader(settings.kafka, codec, entrance().clock) as reader:
        events = [reading.event for reading in reader.read(QUERY_ASKED.name)]
    ids = [
        event.query.query_id for event in events if isinstance(event, QueryAsked) and event.query.question == question
    ]
    return ids[-1] if ids else ""


def test_when_the_asker_hangs_up_then_the_model_is_let_go_and_one_final_event_says_cancelled(
    gateway: str, settings: Settings, codec: Codec, model: StubModelServer
) -> None:
    charged, left_at = model.counts.answered, 0.0
    body, headers = {"question": "A long one?", "tenant": "acme"}, {"Accept": "text/event-stream"}
    with httpx.stream("POST", f"{gateway}/v1/ask", json=body, headers=headers, timeout=20) as response:
        text = ""
        for piece in response.iter_text():
            text += piece
            if text.count("event: token") >= 3:
                break
        left_at = time.monotonic()
    answer_id = text.split('"answer_id": "')[1].split('"')[0]
    eventually(lambda: len(endings(settings, codec, answer_id)) > 0, 10)
    took_s = time.monotonic() - left_at
    time.sleep(0.5)
    (ending,) = endings(settings, codec, answer_id)
    assert isinstance(ending, AnswerWithheld)
    assert (ending.reason, ending.answer_id) == ("cancelled", answer_id)
    # The server charges for what it could say to the end: the connection was closed long before.
    assert model.counts.answered == charged
    print(f"from hanging up to the final event: {took_s:.2f} s of an answer of {0.05 * len(WORDS.split()):.0f} s")
    assert took_s < 5


def test_when_a_question_is_cancelled_before_its_turn_then_the_model_never_hears_of_it(
    gateway: str, settings: Settings, codec: Codec, model: StubModelServer
) -> None:
    with ThreadPoolExecutor(3) as pool:
        # Two places: the third question waits for its turn.
        first = [pool.submit(ask, gateway, f"Long {n}?", f"t{n}") for n in range(2)]
        eventually(lambda: sum("Long" in body["messages"][-1]["content"] for body in model.counts.bodies) == 2, 10)
        last = pool.submit(ask, gateway, "Never asked?", "acme")
        eventually(lambda: newest_id(settings, codec, "Never asked?") != "", 10)
        for question, tenant in (("Never asked?", "acme"), ("Long 0?", "t0"), ("Long 1?", "t1")):
            told = httpx.delete(
                f"{gateway}/v1/ask/{newest_id(settings, codec, question)}", headers={"X-Tenant": tenant}, timeout=10
            )
            assert told.status_code == 202
        responses = [one.result(20) for one in (*first, last)]
    assert [(one.status_code, one.json()["type"].split(":")[-1]) for one in responses] == [
        (409, "question-cancelled")
    ] * 3
    assert not any("Never" in body["messages"][-1]["content"] for body in model.counts.bodies)


def test_when_an_answered_question_is_cancelled_then_nothing_changes(
    gateway: str, settings: Settings, codec: Codec, model: StubModelServer
) -> None:
    model.mode = "ok"
    answered = ask(gateway, "A quick one?").json()
    for _ in range(2):
        assert httpx.delete(f"{gateway}/v1/ask/{answered['answer_id']}", headers={"X-Tenant": "acme"}).is_success
    time.sleep(0.5)
    (ending,) = endings(settings, codec, answered["answer_id"])
    assert isinstance(ending, AnswerGiven)
    model.mode = "slow"


def test_when_somebody_else_cancels_then_the_answer_still_comes(
    gateway: str, settings: Settings, codec: Codec, model: StubModelServer
) -> None:
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask, gateway, "Mine?")
        eventually(lambda: newest_id(settings, codec, "Mine?") != "", 10)
        httpx.delete(f"{gateway}/v1/ask/{newest_id(settings, codec, 'Mine?')}", headers={"X-Tenant": "other"})
        time.sleep(0.5)
        assert not asking.done() or asking.result().is_success
        httpx.delete(f"{gateway}/v1/ask/{newest_id(settings, codec, 'Mine?')}", headers={"X-Tenant": "acme"})
        assert asking.result(20).status_code == 409


def test_when_a_deadline_passes_while_the_model_speaks_then_the_answer_is_expired_and_the_model_let_go(
    gateway: str, settings: Settings, codec: Codec, model: StubModelServer
) -> None:
    charged = model.counts.answered
    query_id, clock = entrance().ids.new(), entrance().clock
    soon = clock.now() + 1_500_000
    with Publisher(settings.kafka, codec, entrance()) as publisher:
        query = Query(query_id=query_id, question="Too long?", deadline_at=soon)  # type: ignore[arg-type]
        publisher.publish(QUERY_ASKED, QueryAsked(tenant="acme", query=query), [("deadline", str(soon).encode())])
    eventually(lambda: len(endings(settings, codec, query_id)) > 0, 10)
    (ending,) = endings(settings, codec, query_id)
    assert isinstance(ending, AnswerWithheld)
    assert ending.reason == "expired"
    assert model.counts.answered == charged
