"""The adapter for model servers, against a server that really speaks the protocol and really misbehaves."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Iterator

import pytest

from adapters.errors import GeneratorUnavailableError
from adapters.openai_compatible import MAX_CHARS_PER_TOKEN, OpenAICompatible, ServerOptions
from processors.contract import Reject
from processors.ports import ANY_OCCASION, Occasion, Piece
from schemas.queries import Lane
from tests.stub_model_server import Mode, StubModelServer

QUICK = ServerOptions(timeout_s=5.0, connect_s=2.0)


@pytest.fixture
def server() -> Iterator[StubModelServer]:
    with StubModelServer("Zwei Wörter [1].") as running:
        yield running


def generated(
    url: str, options: ServerOptions = QUICK, max_tokens: int = 50, occasion: Occasion = ANY_OCCASION
) -> list[Piece]:
    async def run() -> list[Piece]:
        generator = OpenAICompatible(url, "stub", options)
        try:
            stream = generator.generate(
                "Be brief.", "Say two words.", tenant="acme", max_tokens=max_tokens, occasion=occasion
            )
            return [piece async for piece in stream]
        finally:
            await generator.aclose()

    return asyncio.run(run())


def test_when_the_server_answers_then_pieces_stream_and_the_last_carries_its_count(server: StubModelServer) -> None:
    pieces = generated(server.url)
    assert [piece.text for piece in pieces] == ["Zwei", " Wörter", " [1].", ""]
    assert pieces[-1] == Piece(tokens_in=3, tokens_out=3, finished=True)
    assert (server.counts.tokens_in, server.counts.tokens_out) == (3, 3)


def test_when_the_address_ends_in_v1_then_it_is_not_doubled(server: StubModelServer) -> None:
    assert generated(f"{server.url}/v1/")[-1].finished


def test_when_asked_then_the_request_says_all_the_protocol_needs(server: StubModelServer) -> None:
    generated(server.url, ServerOptions(api_key="k1", salt_secret="pepper", timeout_s=5))
    body = server.counts.bodies[0]
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Say two words."},
    ]
    assert (body["stream"], body["stream_options"], body["temperature"]) == (True, {"include_usage": True}, 0.0)
    assert server.counts.keys == ["Bearer k1"]
    assert body["cache_salt"] == hmac.new(b"pepper", b"acme", hashlib.sha256).hexdigest()


@pytest.mark.parametrize(("lane", "priority"), [("interactive", 0), ("bulk", 100)])
def test_when_the_server_takes_priorities_then_people_come_first(
    server: StubModelServer, lane: Lane, priority: int
) -> None:
    options = ServerOptions(timeout_s=5, priorities=True, counts_always=True)
    generated(server.url, options, occasion=Occasion(lane=lane))
    body = server.counts.bodies[0]
    assert (body["priority"], body["stream_options"]["continuous_usage_stats"]) == (priority, True)


def test_when_no_secret_is_given_then_no_unknown_field_is_sent(server: StubModelServer) -> None:
    generated(server.url)
    assert not {"cache_salt", "priority"} & server.counts.bodies[0].keys()
    assert server.counts.keys == [""]


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("429", "HTTP 429"),
        ("500", "HTTP 500"),
        ("503", "HTTP 503"),
        ("garbage", "no completion"),
        ("nested", "no completion"),
        ("nothing", "before anything was said"),
        ("flood", "bytes without a line end"),
        ("hang", "TimeoutError"),
        ("mute", "TimeoutError"),
    ],
)
def test_when_it_fails_before_the_first_piece_then_it_is_unavailable(
    server: StubModelServer, mode: Mode, said: str
) -> None:
    server.mode = mode
    with pytest.raises(GeneratorUnavailableError, match=said):
        generated(server.url, ServerOptions(timeout_s=0.5 if said == "TimeoutError" else 10.0))


def test_when_nobody_listens_then_it_is_unavailable() -> None:
    with StubModelServer() as stopped:
        url = stopped.url
    with pytest.raises(GeneratorUnavailableError, match="the question waits"):
        generated(url)


def test_when_the_server_calls_the_request_wrong_then_the_record_is_rejected(server: StubModelServer) -> None:
    server.mode = "refuse"
    with pytest.raises(Reject, match=r"HTTP 400.*told to answer 400.*prompt's length"):
        generated(server.url)


@pytest.mark.parametrize("mode", ["dies", "error_event", "babble"])
def test_when_it_fails_after_the_first_piece_then_the_stream_ends_unfinished(
    server: StubModelServer, mode: Mode
) -> None:
    server.mode = mode
    pieces = generated(server.url)
    assert [piece.text for piece in pieces] == ["Zwei", ""]
    assert not pieces[-1].finished


def test_when_the_length_cuts_it_off_then_the_last_piece_is_not_finished(server: StubModelServer) -> None:
    server.mode = "cut"
    last = generated(server.url, max_tokens=2)[-1]
    assert last == Piece(tokens_in=3, tokens_out=2, finished=False)


def test_when_the_server_counts_nothing_then_usage_is_zero_and_the_answer_stands(server: StubModelServer) -> None:
    server.mode = "no_usage"
    assert generated(server.url)[-1] == Piece(finished=True)


def test_when_it_fails_after_tokens_were_counted_then_the_last_piece_says_what_was_spent(
    server: StubModelServer,
) -> None:
    server.mode, server.counting = "dies", True
    assert generated(server.url) == [
        Piece(text="Zwei", tokens_in=3, tokens_out=1),
        Piece(tokens_in=3, tokens_out=1, broken=True),
    ]


def test_when_the_server_sends_half_a_character_then_the_text_can_be_encoded_all_the_same(
    server: StubModelServer,
) -> None:
    server.mode = "surrogates"
    *texts, last = generated(server.url)
    assert "".join(piece.text for piece in texts).encode().decode().startswith("Zwei Wörter [1]. ")
    assert last.finished


def test_when_the_count_of_tokens_is_nonsense_then_it_is_none_and_the_answer_stands(server: StubModelServer) -> None:
    server.mode = "odd_usage"
    assert generated(server.url)[-1] == Piece(finished=True)


def test_when_the_server_never_ends_then_what_it_says_is_bounded_by_the_tokens_that_were_asked_for(
    server: StubModelServer,
) -> None:
    server.mode = "endless"
    *texts, last = generated(server.url, max_tokens=20)
    assert 20 < len("".join(piece.text for piece in texts)) <= 20 * MAX_CHARS_PER_TOKEN
    assert not last.finished


def test_when_time_runs_out_in_the_middle_then_the_stream_ends_unfinished(server: StubModelServer) -> None:
    server.mode, server.pause_s = "slow", 1.4
    pieces = generated(server.url, ServerOptions(timeout_s=2.0))
    assert pieces == [Piece(text="Zwei"), Piece(broken=True)]


def test_when_used_from_a_second_event_loop_then_it_connects_anew(server: StubModelServer) -> None:
    generator = OpenAICompatible(server.url, "stub", QUICK)

    async def run() -> bool:
        pieces = [piece async for piece in generator.generate("", "x", tenant="a", max_tokens=9)]
        await generator.aclose()
        return pieces[-1].finished

    assert asyncio.run(run())
    assert asyncio.run(run())


def test_when_the_reader_stops_early_then_the_connection_is_given_up(server: StubModelServer) -> None:
    server.mode, server.pause_s = "slow", 0.05

    async def run() -> str:
        generator = OpenAICompatible(server.url, "stub", QUICK)
        stream = generator.generate("", "x", tenant="a", max_tokens=9)
        first = await anext(stream)
        await stream.aclose()
        await generator.aclose()
        return first.text

    assert asyncio.run(run()) == "Zwei"
