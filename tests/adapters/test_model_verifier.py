"""The verifier: what a model says of a sentence counts if a source bears it out; all else is the offline judge's."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace as replaced
from typing import Any

import pytest
from msgspec.structs import replace

from adapters.breakers import BreakerRules, MemoryBreakers
from adapters.host import SystemClock
from adapters.judges import OverlapJudge
from adapters.model_gateway import ModelGateway, ModelRules, Shared
from adapters.model_race import RaceRules, Route
from adapters.model_verifier import SHAPE, ModelVerifier, VerifyRules, verdict_of
from adapters.openai_compatible import OpenAICompatible, ServerOptions, Shapes
from adapters.prompts import FilePrompts
from processors.answer.caching import Answers
from processors.answer.check import AnswerBar, check
from processors.answer.edition import Edition
from processors.answer.generate import generate
from processors.answer.outlet import Outlet
from processors.answer.routes import RouteName, RouteRule
from processors.answer.verifying import VERIFY, Verified
from processors.answer.writing import Draft, Written
from schemas.envelope import Micros
from schemas.queries import AnswerDrafted, AnswerGiven, AnswerWithheld, PromptAssembled, Sentence, Usage
from tests.processors.answer.questions import prompt
from tests.stub_model_server import Mode, StubModelServer

SOURCE = "Deltas are small. A delta is kept for one hour. Answers are kept for a year."
PROMPT = prompt("How long is a delta kept?", SOURCE, "Kafka is a log.")
EXACT = Sentence(text="A delta is kept for one hour.", cites=(1,))
DOUBTED = Sentence(text="Every delta vanishes after one hour.", cites=(1,))
ELSEWHERE = Sentence(text="Boats sail north in winter.", cites=(1,))
RULES = VerifyRules(low=0.3, high=0.9, timeout_s=2.0)


def reply(verdict: str = "yes", quote: str = "A delta is kept for one hour.") -> str:
    return json.dumps({"verdict": verdict, "quote": quote})


@pytest.fixture
def server() -> Iterator[StubModelServer]:
    with StubModelServer(reply()) as running:
        running.counting = True
        yield running


def gateway(*servers: StubModelServer, shapes: Shapes = "response_format") -> ModelGateway:
    """The first is the large one."""
    clock = SystemClock()
    shared = Shared(MemoryBreakers(BreakerRules(), clock), clock)
    options = ServerOptions(timeout_s=10.0, shapes=shapes)
    names: tuple[RouteName, ...] = ("large", "small")
    pairs = zip(names, servers, strict=False)
    routes = [Route(name, OpenAICompatible(one.url, name, options), one.url) for name, one in pairs]
    return ModelGateway(routes, RouteRule(), ModelRules(RaceRules()), shared)


def verified(
    asks: ModelGateway, *sentences: Sentence, rules: VerifyRules = RULES, asked: PromptAssembled = PROMPT
) -> Verified:
    async def run() -> Verified:
        verifier = ModelVerifier(asks, FilePrompts().get("verify"), OverlapJudge(), SystemClock(), rules)
        try:
            return await verifier.verify(asked, sentences)
        finally:
            await asks.aclose()

    return asyncio.run(run())


def test_when_the_model_says_yes_then_its_quote_is_the_evidence(server: StubModelServer) -> None:
    found = verified(gateway(server), EXACT, DOUBTED, ELSEWHERE)
    assert found.sentences == (EXACT, replace(DOUBTED, evidence=EXACT.text, support=0.9), ELSEWHERE)
    # Only what is in doubt is asked, of the sources that it cites, and JSON is asked for.
    (body,) = server.counts.bodies
    said = body["messages"][1]["content"]
    assert said.endswith(f"Claim: {DOUBTED.text}") and SOURCE in said and "Kafka is a log." not in said
    assert body["response_format"]["json_schema"]["schema"] == SHAPE
    assert found.degraded == ()
    assert {(one.step, one.unit) for one in found.usage} == {(VERIFY, "tokens_in"), (VERIFY, "tokens_out")}


def test_when_the_model_says_no_then_the_sentence_is_refuted(server: StubModelServer) -> None:
    server.reply = lambda _: reply("no", "")
    found = verified(gateway(server), DOUBTED)
    assert (found.sentences, found.degraded) == ((replace(DOUBTED, refuted=True),), ())


@pytest.mark.parametrize(
    "said",
    [
        "Yes, they do.",
        "",
        "{",
        '{"verdict": "yes"}',
        '{"verdict": "perhaps", "quote": ""}',
        '{"verdict": "yes", "quote": 7}',
        '["yes"]',
        "{" * 5_000 + "}",
        reply(quote="A delta is kept for two hours."),
        reply(quote="one hour"),
        reply(quote=""),
        # Of a source that the sentence does not cite.
        reply(quote="Kafka is a log."),
    ],
)
def test_when_a_reply_can_not_be_held_to_a_source_then_the_offline_judge_decides_and_it_is_said(
    said: str, server: StubModelServer
) -> None:
    server.reply = lambda _: said
    found = verified(gateway(server), DOUBTED)
    assert (found.sentences, found.degraded) == ((DOUBTED,), (VERIFY,))


MODES: tuple[Mode, ...] = (
    *("refuse", "429", "500", "hang", "mute", "garbage", "nested", "nothing", "flood"),
    *("dies", "stalls", "error_event", "babble", "endless", "cut", "empty"),
)


@pytest.mark.parametrize("mode", MODES)
def test_when_the_server_fails_then_the_offline_judge_decides_in_time(mode: Mode, server: StubModelServer) -> None:
    server.mode = mode
    began = time.monotonic()
    found = verified(gateway(server), DOUBTED, rules=replaced(RULES, timeout_s=0.5))
    assert (found.sentences, found.degraded) == ((DOUBTED,), (VERIFY,))
    assert time.monotonic() - began < 3.0


@pytest.mark.parametrize(("left_s", "requests"), [(0.2, 0), (-1.0, 0), (0.7, 1)])
def test_when_little_time_is_left_then_it_is_not_spent_on_this(
    left_s: float, requests: int, server: StubModelServer
) -> None:
    server.mode = "hang"
    deadline = Micros(int(SystemClock().now() + left_s * 1e6))
    asked = replace(PROMPT, query=replace(PROMPT.query, deadline_at=deadline))
    found = verified(gateway(server), DOUBTED, asked=asked)
    assert (found.sentences, found.degraded, server.counts.requests) == ((DOUBTED,), (VERIFY,), requests)
    assert requests == 0 or SystemClock().now() < deadline


def test_when_more_is_in_doubt_than_may_be_asked_then_the_rest_is_as_it_was_and_it_is_said(
    server: StubModelServer,
) -> None:
    found = verified(gateway(server), *[DOUBTED] * 5, rules=replaced(RULES, sentences=2))
    assert [bool(one.evidence) for one in found.sentences] == [True, True, False, False, False]
    assert (server.counts.requests, found.degraded) == (2, (VERIFY,))


def test_when_nothing_is_in_doubt_then_nobody_is_asked(server: StubModelServer) -> None:
    uncited = replace(DOUBTED, cites=())
    assert verified(gateway(server), EXACT, ELSEWHERE, uncited) == Verified((EXACT, ELSEWHERE, uncited))
    assert server.counts.requests == 0


def test_when_there_is_a_small_model_then_it_is_asked(server: StubModelServer) -> None:
    with StubModelServer(reply("no", "")) as small:
        found = verified(gateway(server, small), DOUBTED)
        assert (server.counts.requests, small.counts.requests) == (0, 1)
    assert {one.model for one in found.usage} == {"small"} and found.sentences[0].refuted


@pytest.mark.parametrize(("shapes", "field"), [("structured_outputs", {"json": SHAPE}), ("none", None)])
def test_when_a_server_takes_the_shape_otherwise_then_it_is_sent_so(
    shapes: Shapes, field: Any, server: StubModelServer
) -> None:
    verified(gateway(server, shapes=shapes), DOUBTED)
    (body,) = server.counts.bodies
    assert (body.get("structured_outputs"), "response_format" in body) == (field, False)


class Dictated:
    """A writer that says these sentences."""

    model = "dictated"

    def __init__(self, *sentences: Sentence) -> None:
        self._sentences = sentences

    async def write(self, prompt: PromptAssembled) -> AsyncGenerator[Written, None]:
        yield Draft(self._sentences, 1.0, usage=(Usage(step="generate", model="m", unit="tokens_out", quantity=1.0),))


def answered(
    server: StubModelServer, *sentences: Sentence, outlet: Outlet | None = None
) -> tuple[AnswerDrafted, AnswerGiven | AnswerWithheld]:
    chosen = outlet or Outlet()

    async def run() -> list[Any]:
        asks = gateway(server)
        verifier = ModelVerifier(asks, FilePrompts().get("verify"), OverlapJudge(), SystemClock(), RULES)
        try:
            return [event async for event in generate(PROMPT, Dictated(*sentences), chosen, verifier)]
        finally:
            await asks.aclose()

    drafted = asyncio.run(run())[-1]
    assert isinstance(drafted, AnswerDrafted)
    bar = AnswerBar(support=0.7, confidence=0.1)
    (final,) = check(drafted, OverlapJudge(), bar, Edition("g1"), Answers(), chosen)
    assert isinstance(final, AnswerGiven | AnswerWithheld)
    return drafted, final


def test_when_a_sentence_was_verified_then_it_is_given_with_the_words_that_say_it(server: StubModelServer) -> None:
    drafted, final = answered(server, DOUBTED)
    assert isinstance(final, AnswerGiven)
    assert (final.text, final.citations[0].quote) == (f"{DOUBTED.text} [1]", EXACT.text)
    assert SOURCE[final.citations[0].start - 100 : final.citations[0].end - 100] == EXACT.text
    assert (final.confidence, final.degraded) == (0.9, ())
    assert [one.step for one in drafted.usage] == ["generate", VERIFY, VERIFY]


def test_when_it_could_not_be_verified_then_the_offline_judge_takes_it_out_and_the_answer_says_so(
    server: StubModelServer,
) -> None:
    server.reply = lambda _: "garbage"
    _, final = answered(server, DOUBTED)
    assert isinstance(final, AnswerWithheld) and (final.reason, final.degraded) == ("not_in_documents", (VERIFY,))


def test_when_a_supported_sentence_is_refuted_then_it_is_taken_out(server: StubModelServer) -> None:
    server.reply = lambda _: reply("no", "")
    doubted = Sentence(text="A small delta is kept for one hour today.", cites=(1,))
    _, final = answered(server, doubted, EXACT)
    assert isinstance(final, AnswerGiven) and final.text == "A delta is kept for one hour. [1]"


def test_when_the_evidence_holds_what_may_not_be_said_then_it_is_masked(server: StubModelServer) -> None:
    _, final = answered(server, DOUBTED, outlet=Outlet(phrases={"": ("one hour. Answers", "A delta")}))
    assert isinstance(final, AnswerGiven)
    assert final.citations[0].quote == f"{'█' * 7} is kept for {'█' * 9}" and final.withheld_kinds == ("phrase",)


def test_when_a_writer_made_up_evidence_then_it_counts_for_nothing(server: StubModelServer) -> None:
    server.mode = "500"
    made_up = replace(ELSEWHERE, evidence="Boats sail north.", support=1.0)
    _, final = answered(server, made_up)
    assert isinstance(final, AnswerWithheld)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ('```json\n{"verdict": "yes", "quote": "It\\n is  so."}\n```', (True, "It is so.")),
        ('{"verdict": "no", "quote": ""} or so', (False, "")),
        ('{"verdict": "YES", "quote": ""}', None),
        ("} {", None),
        ('{"a": ' * 100_000 + "1" + "}" * 100_000, None),
    ],
)
def test_when_a_reply_is_read_then_it_is_the_object_in_it(text: str, verdict: tuple[bool, str] | None) -> None:
    assert verdict_of(text) == verdict
