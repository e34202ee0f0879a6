"""The way to the models, over servers that really speak the protocol and really misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from adapters.breakers import BreakerRules, MemoryBreakers
from adapters.errors import GeneratorUnavailableError
from adapters.host import SystemClock
from adapters.model_gateway import ModelGateway, ModelRules, Shared
from adapters.model_race import RaceRules, Route
from adapters.openai_compatible import OpenAICompatible, ServerOptions
from adapters.tenant_places import TenantPlaces
from processors.answer.ladder import Ladder
from processors.answer.routes import RouteRule
from processors.contract import Reject
from processors.ports import ANY_OCCASION, OVERLOADED, Occasion, Piece
from schemas.envelope import Micros
from tests.stub_model_server import Mode, StubModelServer

PATIENT = ServerOptions(timeout_s=60.0)
NEVER = BreakerRules(failures=1_000)
PLAIN = ModelRules()
LARGE_FIRST = RouteRule()
EASY = Occasion("How long?", sources=1)


@dataclass
class Pair:
    """A large and a small model, each on a server of its own, and what the gateway said of itself."""

    large: StubModelServer
    small: StubModelServer
    said: list[tuple[str, str]] = field(default_factory=list)

    def gateway(
        self,
        rules: ModelRules = PLAIN,
        breakers: BreakerRules = NEVER,
        rule: RouteRule = LARGE_FIRST,
        places: TenantPlaces | None = None,
        alone: bool = False,
    ) -> ModelGateway:
        large = Route("large", OpenAICompatible(self.large.url, "big", PATIENT), "large")
        small = Route("small", OpenAICompatible(self.small.url, "little", PATIENT), "small")
        clock = SystemClock()
        shared = Shared(MemoryBreakers(breakers, clock), clock, places or TenantPlaces(), self.note)
        return ModelGateway([large] if alone else [large, small], rule, rules, shared)

    def note(self, what: str, route: str, _value: float) -> None:
        self.said.append((what, route))

    @property
    def asked(self) -> tuple[int, int]:
        """How many requests each server got."""
        return self.large.counts.requests, self.small.counts.requests


@pytest.fixture
def pair() -> Iterator[Pair]:
    with StubModelServer("So says the large one [1].") as large, StubModelServer("So says the small one [1].") as small:
        yield Pair(large, small)


async def told(
    gateway: ModelGateway, occasion: Occasion = ANY_OCCASION, tenant: str = "acme", frees: StubModelServer | None = None
) -> list[Piece]:
    """What is said; `frees` must have been let go by then, while the gateway goes on."""
    stream = gateway.generate("Be brief.", "Say it.", tenant=tenant, max_tokens=50, occasion=occasion)
    pieces = [piece async for piece in stream]
    if frees:
        await freed(frees)
    return pieces


async def freed(server: StubModelServer) -> None:
    """Waits until the server sees that nobody listens any more."""
    for _ in range(200):
        if server.open == 0:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the server is still being listened to")


def run(gateway: ModelGateway, story: Callable[[ModelGateway], Awaitable[Any]] = told) -> Any:
    async def closed() -> Any:
        try:
            return await asyncio.wait_for(story(gateway), 30)
        finally:
            await gateway.aclose()

    return asyncio.run(closed())


def said(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def within(seconds: float) -> Occasion:
    return Occasion(deadline_at=Micros(SystemClock().now() + int(seconds * 1e6)))


def test_when_nothing_is_set_then_it_is_the_one_model_and_says_so(pair: Pair) -> None:
    *texts, last = run(pair.gateway(alone=True))
    assert (said(texts), last.model, last.degraded) == ("So says the large one [1].", "big", ())
    assert (last.finished, last.tokens_out, pair.asked) == (True, 6, (1, 0))


@pytest.mark.parametrize("mode", ["429", "500", "503", "garbage", "nothing", "refuse"])
def test_when_the_first_model_does_not_begin_then_the_other_answers_and_it_is_said(pair: Pair, mode: Mode) -> None:
    pair.large.mode = mode
    *texts, last = run(pair.gateway())
    assert (said(texts), last.model, last.degraded) == ("So says the small one [1].", "little", ("fallback:small",))
    assert ("fallback", "large") in pair.said


def test_when_a_question_is_easy_then_the_small_model_is_asked_first_and_nothing_is_degraded(pair: Pair) -> None:
    rule = RouteRule(small_chars=20, small_sources=2)
    assert run(pair.gateway(rule=rule), lambda g: told(g, EASY))[-1] == Piece(
        tokens_in=2, tokens_out=6, finished=True, model="little"
    )
    assert pair.asked == (0, 1)
    pair.small.mode = "500"
    assert run(pair.gateway(rule=rule), lambda g: told(g, EASY))[-1].degraded == ("fallback:large",)


@pytest.mark.parametrize(
    ("large", "small", "error"),
    [
        ("500", "503", GeneratorUnavailableError),
        ("refuse", "refuse", Reject),
        ("refuse", "500", GeneratorUnavailableError),
    ],
)
def test_when_no_model_begins_then_it_is_wrong_for_good_only_if_all_say_so(
    pair: Pair, large: Mode, small: Mode, error: type[Exception]
) -> None:
    pair.large.mode, pair.small.mode = large, small
    with pytest.raises(error):
        run(pair.gateway())


def test_when_a_server_refuses_once_then_it_is_asked_again(pair: Pair) -> None:
    pair.large.modes = ["500", "429"]
    last = run(pair.gateway(ModelRules(attempts=3, backoff_s=0.01)))[-1]
    assert (last.model, last.degraded, pair.asked) == ("big", (), (3, 0))
    assert pair.said.count(("retry", "large")) == 2


def test_when_there_was_a_first_word_then_nothing_is_tried_again(pair: Pair) -> None:
    pair.large.mode, pair.large.counting = "dies", True
    pieces = run(pair.gateway(ModelRules(attempts=5, backoff_s=0.01)))
    assert pieces == [
        Piece(text="So", tokens_in=2, tokens_out=1),
        Piece(tokens_in=2, tokens_out=1, broken=True, model="big"),
    ]
    assert pair.asked == (1, 0)


def test_when_a_server_is_down_for_long_then_retries_are_a_share_of_the_questions(pair: Pair) -> None:
    pair.large.mode = "500"

    async def ask_often(gateway: ModelGateway) -> None:
        for _ in range(40):
            await told(gateway)

    run(pair.gateway(ModelRules(attempts=4, backoff_s=0.0, extra_share=0.1)), ask_often)
    # Ten at once, then one for every ten questions: without a budget it would be 120.
    assert 40 + 10 <= pair.asked[0] <= 40 + 10 + 4


def test_when_a_server_keeps_failing_then_it_is_left_alone(pair: Pair) -> None:
    pair.large.mode = "500"

    async def ask_often(gateway: ModelGateway) -> list[str]:
        return [(await told(gateway))[-1].model for _ in range(10)]

    assert run(pair.gateway(breakers=BreakerRules(failures=3, rest_s=60)), ask_often) == ["little"] * 10
    assert pair.asked == (3, 10)


def test_when_a_server_keeps_breaking_off_then_it_is_left_alone_too(pair: Pair) -> None:
    pair.large.mode = "dies"

    async def ask_often(gateway: ModelGateway) -> list[str]:
        return [(await told(gateway))[-1].model for _ in range(5)]

    assert run(pair.gateway(breakers=BreakerRules(failures=3, rest_s=60)), ask_often) == ["big"] * 3 + ["little"] * 2


def test_when_a_server_calls_requests_wrong_then_it_is_not_taken_for_broken(pair: Pair) -> None:
    pair.large.mode = "refuse"

    async def ask_often(gateway: ModelGateway) -> None:
        for _ in range(6):
            await told(gateway)

    run(pair.gateway(breakers=BreakerRules(failures=3, rest_s=60)), ask_often)
    assert pair.asked == (6, 6)


@pytest.mark.parametrize("mode", ["hang", "mute"])
def test_when_a_server_hangs_before_its_first_word_then_the_other_is_asked_and_it_is_let_go(
    pair: Pair, mode: Mode
) -> None:
    pair.large.mode = mode
    rules = ModelRules(RaceRules(first_s=2.0, slow_s=1.0), attempts=3)

    async def twice(gateway: ModelGateway) -> list[str]:
        return [(await told(gateway, frees=pair.large))[-1].model for _ in range(2)]

    assert run(pair.gateway(rules, BreakerRules(failures=1, rest_s=60)), twice) == ["little"] * 2
    assert pair.asked == (1, 2)


def test_when_a_server_was_silent_for_all_the_time_it_had_then_it_is_not_asked_again(pair: Pair) -> None:
    pair.large.mode = "hang"
    with pytest.raises(GeneratorUnavailableError, match="in time"):
        run(pair.gateway(ModelRules(RaceRules(first_s=0.3), attempts=3), alone=True))
    assert pair.asked == (1, 0)


def test_when_a_question_has_no_time_left_then_no_server_is_asked(pair: Pair) -> None:
    with pytest.raises(GeneratorUnavailableError, match="none left"):
        run(pair.gateway(ModelRules(attempts=3, reserve_s=1.0)), lambda g: told(g, within(0.5)))
    assert pair.asked == (0, 0)


def test_when_an_asker_in_a_hurry_leaves_soon_then_the_server_is_not_taken_for_broken(pair: Pair) -> None:
    pair.large.mode = "hang"

    async def ask(gateway: ModelGateway) -> tuple[str, bool]:
        with pytest.raises(GeneratorUnavailableError, match="in time"):
            await told(gateway, within(0.3))
        pair.large.mode = "ok"
        return (await told(gateway))[-1].model, True

    assert run(pair.gateway(breakers=BreakerRules(failures=1, rest_s=60), alone=True), ask) == ("big", True)


def test_when_a_first_word_is_late_then_whoever_speaks_first_is_listened_to_and_the_other_let_go(pair: Pair) -> None:
    pair.large.mode = "hang"
    *texts, last = run(pair.gateway(ModelRules(RaceRules(hedge_s=0.1))), lambda g: told(g, frees=pair.large))
    assert (said(texts), last.degraded) == ("So says the small one [1].", ("fallback:small",))
    assert ("hedge", "small") in pair.said


def test_when_the_first_speaks_after_all_then_the_second_is_let_go(pair: Pair) -> None:
    pair.large.mode, pair.large.late_s, pair.small.mode = "late", 0.6, "hang"
    *texts, last = run(pair.gateway(ModelRules(RaceRules(hedge_s=0.1))), lambda g: told(g, frees=pair.small))
    assert (said(texts), last.degraded, pair.asked) == ("So says the large one [1].", (), (1, 1))


def test_when_there_is_one_server_only_then_it_is_asked_twice_at_once(pair: Pair) -> None:
    pair.large.modes = ["hang", "ok"]
    gateway = pair.gateway(ModelRules(RaceRules(hedge_s=0.1)), alone=True)
    assert run(gateway, lambda g: told(g, frees=pair.large))[-1].finished


def test_when_the_first_fails_before_it_is_late_then_nobody_is_asked_beside_it(pair: Pair) -> None:
    pair.large.mode = "500"
    with pytest.raises(GeneratorUnavailableError, match="HTTP 500"):
        run(pair.gateway(ModelRules(RaceRules(hedge_s=5)), alone=True))
    assert pair.asked == (1, 0)


def test_when_a_model_falls_silent_then_what_it_said_ends_broken_with_what_was_spent(pair: Pair) -> None:
    pair.large.mode, pair.large.counting = "stalls", True
    pieces = run(pair.gateway(ModelRules(idle_s=0.3)), lambda g: told(g, frees=pair.large))
    assert pieces[-1] == Piece(tokens_in=2, tokens_out=1, broken=True, model="big")


def test_when_the_time_of_a_question_runs_out_then_its_text_ends_while_there_is_time_to_check_it(pair: Pair) -> None:
    pair.large.reply = lambda _prompt: "word " * 1_000
    pair.large.mode, pair.large.pause_s = "slow", 0.05
    clock, occasion = SystemClock(), within(2.0)
    pieces = run(pair.gateway(ModelRules(reserve_s=1.0)), lambda g: told(g, occasion))
    assert clock.now() < occasion.deadline_at
    assert said(pieces).startswith("word word")
    assert not pieces[-1].finished


def test_when_a_tenant_asks_too_much_at_once_then_it_alone_is_told_so(pair: Pair) -> None:
    pair.large.mode, pair.large.pause_s = "slow", 0.05

    async def at_once(gateway: ModelGateway) -> list[list[Piece]]:
        return await asyncio.gather(*(told(gateway) for _ in range(4)), told(gateway, tenant="other"))

    *mine, other = run(pair.gateway(places=TenantPlaces(most=1, queue=1)), at_once)
    assert sum(pieces == [Piece(degraded=(OVERLOADED,))] for pieces in mine) == 2
    assert sum(pieces[-1].finished for pieces in mine) == 2
    assert other[-1].finished
    assert pair.said.count((OVERLOADED, "")) == 2


@pytest.mark.parametrize("mode", ["hang", "stalls"])
def test_when_the_asker_leaves_then_the_server_is_let_go_and_the_place_is_free(pair: Pair, mode: Mode) -> None:
    pair.large.mode = mode

    async def leave(gateway: ModelGateway) -> list[Piece]:
        task = asyncio.create_task(told(gateway))
        await asyncio.sleep(0.3)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await freed(pair.large)
        pair.large.mode = "ok"
        return await told(gateway)

    assert run(pair.gateway(places=TenantPlaces(most=1, queue=0)), leave)[-1].finished


@pytest.mark.parametrize(
    ("left_s", "alone", "model", "degraded"),
    [
        (60.0, False, "big", ()),
        (8.0, False, "little", ("fallback:small",)),
        (8.0, True, "big", ()),
    ],
    ids=["time enough", "little time", "little time and one model"],
)
def test_when_little_time_is_left_then_the_small_model_is_asked_first_and_it_is_said(
    pair: Pair, left_s: float, alone: bool, model: str, degraded: tuple[str, ...]
) -> None:
    gateway = pair.gateway(ModelRules(ladder=Ladder(small_s=10.0)), alone=alone)
    *_, last = run(gateway, lambda gateway: told(gateway, within(left_s)))
    assert (last.model, last.degraded) == (model, degraded)


def test_when_the_small_model_is_the_route_anyway_then_little_time_degrades_nothing(pair: Pair) -> None:
    easy = RouteRule(small_chars=40)
    occasion = Occasion("How long?", sources=1, deadline_at=within(8.0).deadline_at)
    *_, last = run(
        pair.gateway(ModelRules(ladder=Ladder(small_s=10.0)), rule=easy), lambda gateway: told(gateway, occasion)
    )
    assert (last.model, last.degraded) == ("little", ())
