"""What every Generator must do, shown on the servers it may meet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from adapters.breakers import BreakerRules, MemoryBreakers
from adapters.errors import GeneratorUnavailableError
from adapters.host import SystemClock
from adapters.model_gateway import ModelGateway, ModelRules, Shared
from adapters.model_race import RaceRules, Route
from adapters.openai_compatible import OpenAICompatible, ServerOptions
from adapters.tenant_places import TenantPlaces
from processors.answer.routes import RouteRule
from processors.ports import Generator, Piece
from tests.stub_model_server import Mode, StubModelServer

REPLY = "It is kept for one hour [1]."


@pytest.fixture
def server() -> Iterator[StubModelServer]:
    with StubModelServer(REPLY) as running:
        yield running


def single(url: str) -> Generator:
    return OpenAICompatible(url, "stub", ServerOptions(timeout_s=2.0))


def gateway(url: str) -> Generator:
    """One server behind all that may stand around it."""
    clock = SystemClock()
    rules = ModelRules(RaceRules(first_s=1.5), idle_s=1.5)
    shared = Shared(MemoryBreakers(BreakerRules(), clock), clock, TenantPlaces(most=16))
    return ModelGateway([Route("large", single(url), url)], RouteRule(), rules, shared)


@pytest.fixture(params=[single, gateway], ids=lambda make: make.__name__)
def make(request: pytest.FixtureRequest) -> Callable[[str], Generator]:
    made: Callable[[str], Generator] = request.param
    return made


@pytest.fixture
def generator(make: Callable[[str], Generator], server: StubModelServer) -> Generator:
    return make(server.url)


def pieces(generator: Generator, prompt: str = "How long?") -> list[Piece]:
    async def run() -> list[Piece]:
        stream = generator.generate("Be brief.", prompt, tenant="acme", max_tokens=40)
        try:
            return [piece async for piece in stream]
        finally:
            await generator.aclose()

    return asyncio.run(run())


def test_when_it_answers_then_text_comes_in_pieces_and_the_last_is_empty_and_finished(generator: Generator) -> None:
    *texts, last = pieces(generator)
    assert "".join(piece.text for piece in texts) == REPLY
    assert len(texts) > 1
    assert all(piece.text and not piece.finished for piece in texts)
    assert last.finished
    assert not last.text


def test_when_it_answers_then_the_last_piece_carries_the_servers_own_count(
    generator: Generator, server: StubModelServer
) -> None:
    last = pieces(generator)[-1]
    assert (last.tokens_in, last.tokens_out) == (server.counts.tokens_in, server.counts.tokens_out)
    assert last.tokens_out > 0


@pytest.mark.parametrize("mode", ["429", "500", "garbage", "hang"])
def test_when_nothing_came_yet_then_a_failure_is_unavailable(
    generator: Generator, server: StubModelServer, mode: Mode
) -> None:
    server.modes = [mode]
    with pytest.raises(GeneratorUnavailableError):
        pieces(generator)


@pytest.mark.parametrize("mode", ["dies", "error_event"])
def test_when_something_came_then_a_failure_ends_unfinished_without_an_error(
    generator: Generator, server: StubModelServer, mode: Mode
) -> None:
    server.modes = [mode]
    found = pieces(generator)
    assert found
    assert not found[-1].finished


def test_when_a_server_comes_back_then_the_next_question_is_answered(
    generator: Generator, server: StubModelServer
) -> None:
    server.modes = ["500"]
    with pytest.raises(GeneratorUnavailableError):
        pieces(generator)
    assert pieces(generator)[-1].finished


def test_when_several_ask_at_once_then_each_gets_its_own_answer(generator: Generator, server: StubModelServer) -> None:
    server.reply = lambda prompt: f"You said {prompt}"

    async def one(prompt: str) -> str:
        stream = generator.generate("", prompt, tenant="acme", max_tokens=40)
        return "".join([piece.text async for piece in stream])

    async def run() -> list[str]:
        try:
            return await asyncio.gather(*(one(f"word-{number}") for number in range(12)))
        finally:
            await generator.aclose()

    assert asyncio.run(run()) == [f"You said word-{number}" for number in range(12)]


def test_when_asked_then_it_names_its_model(generator: Generator) -> None:
    assert generator.model
