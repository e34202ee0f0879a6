"""The writer that settings make: as ever where nothing is set, with all that is set where something is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from adapters.errors import GeneratorUnavailableError
from adapters.host import SystemClock
from adapters.overlap_ranker import OverlapRanker
from processors.answer.reader import RuleReader
from processors.answer.writing import Draft, ExtractiveWriter, Writer
from streams import model_metrics
from streams.models import writer_of
from streams.settings import Settings, load
from tests.processors.answer.questions import prompt
from tests.stub_model_server import StubModelServer

PROMPT = prompt("How long is a delta kept?", "Deltas are small. A delta is kept for one hour.")


@pytest.fixture
def large() -> Iterator[StubModelServer]:
    with StubModelServer("A delta is kept for one hour. [1]") as server:
        yield server


@pytest.fixture
def small() -> Iterator[StubModelServer]:
    with StubModelServer("For one hour. [1]") as server:
        yield server


def settings(large: StubModelServer, **models: Any) -> Settings:
    return load(generate={"url": large.url, "model": "big", "timeout_s": 5.0, "salt_secret": "pepper"}, models=models)


def drafts(settings: Settings, times: int = 1) -> list[Draft]:
    writer = writer_of(settings, lambda: ExtractiveWriter(OverlapRanker(), RuleReader()), SystemClock())

    async def one(writer: Writer) -> Draft:
        *_, last = [item async for item in writer.write(PROMPT)]
        assert isinstance(last, Draft)
        return last

    async def run() -> list[Draft]:
        try:
            return [await one(writer) for _ in range(times)]
        finally:
            if close := getattr(writer, "aclose", None):
                await close()

    return asyncio.run(run())


def test_when_a_model_writes_alone_then_what_quotes_is_not_even_loaded(large: StubModelServer) -> None:
    def unwanted() -> ExtractiveWriter:
        raise AssertionError("wanted no quotes, and loaded what reads them")

    alone = writer_of(settings(large, fallback="wait"), unwanted, SystemClock())
    assert not isinstance(alone, ExtractiveWriter)


def test_when_no_model_is_set_then_sources_are_quoted() -> None:
    assert isinstance(
        writer_of(load(), lambda: ExtractiveWriter(OverlapRanker(), RuleReader()), SystemClock()), ExtractiveWriter
    )


def test_when_only_a_model_is_set_then_it_is_asked_once_and_a_failure_waits(large: StubModelServer) -> None:
    (draft,) = drafts(settings(large))
    assert (draft.model, draft.degraded) == ("big", ())
    assert large.counts.bodies[0].keys() == {
        *("model", "messages", "max_tokens", "temperature", "stream", "stream_options", "cache_salt")
    }
    large.mode = "500"
    for asked in range(2, 12):
        with pytest.raises(GeneratorUnavailableError, match="HTTP 500"):
            drafts(settings(large))
        assert large.counts.requests == asked


def test_when_all_is_set_then_the_ladder_is_gone_down_step_by_step(
    large: StubModelServer, small: StubModelServer
) -> None:
    ladder = settings(
        large, small_url=small.url, small_model="little", fallback="extractive", breaker="memory", breaker_failures=2
    )
    large.mode = "500"
    first, second, third = drafts(ladder, times=3)
    assert {(draft.model, draft.degraded) for draft in (first, second, third)} == {("little", ("fallback:small",))}
    # The third time it is left alone.
    assert (large.counts.requests, small.counts.requests) == (2, 3)
    small.mode = "503"
    (draft,) = drafts(ladder)
    assert (draft.model, draft.degraded, len(draft.sentences)) == ("extractive", ("fallback:extractive",), 1)


def test_when_options_of_vllm_are_set_then_the_server_is_told(large: StubModelServer) -> None:
    drafts(settings(large, priorities=True, counts_always=True))
    body = large.counts.bodies[0]
    assert (body["priority"], body["stream_options"]) == (0, {"include_usage": True, "continuous_usage_stats": True})


def test_when_the_small_server_is_of_another_make_then_it_gets_openais_fields_alone(
    large: StubModelServer, small: StubModelServer
) -> None:
    large.mode = "500"
    drafts(settings(large, small_url=small.url, priorities=True, counts_always=True, small_extensions=False))
    body = small.counts.bodies[0]
    assert not {"priority", "cache_salt"} & body.keys()
    assert body["stream_options"] == {"include_usage": True}


def test_when_models_are_asked_then_it_is_counted(large: StubModelServer, small: StubModelServer) -> None:
    before = model_metrics.FALLBACKS.labels("large")._value.get()
    large.mode = "500"
    drafts(settings(large, small_url=small.url, breaker="memory", breaker_failures=1))
    assert model_metrics.FALLBACKS.labels("large")._value.get() == before + 1
    assert model_metrics.BREAKER.labels("large")._value.get() == 2
    assert model_metrics.BREAKER.labels("small")._value.get() == 0
