"""Which cache of answers a deployment gets, what names its pipeline, and what is counted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from adapters.answer_cache import MemoryAnswers
from adapters.redis_answers import RedisAnswers
from schemas.queries import QueryPlanned
from streams.answer_memory import REQUESTS, pipeline_of
from streams.cache_settings import AnswerCaching
from streams.parts import Parts
from streams.settings import Heads, Settings
from tests.processors.answer.corpus import Corpus
from tests.processors.answer.questions import TENANT, query


def parts_with(**changes: Any) -> Parts:
    return Parts(Settings(heads=Heads(url="redis://127.0.0.1:1/0"), **changes))


@pytest.mark.parametrize(("kind", "built"), [("none", type(None)), ("memory", MemoryAnswers), ("redis", RedisAnswers)])
def test_when_a_kind_of_cache_is_set_then_that_is_built(kind: str, built: type[Any]) -> None:
    """Nothing is asked of Redis yet: it may come later than the worker."""
    parts = parts_with(cache=AnswerCaching.model_validate({"kind": kind}))
    assert isinstance(parts.port("answer_cache"), built)
    parts.close()


@pytest.mark.parametrize(("kind", "names"), [("none", []), ("memory", ["answers"]), ("redis", ["answers"])])
def test_when_answers_are_kept_then_an_erasure_goes_through_them(kind: str, names: list[str]) -> None:
    parts = parts_with(cache=AnswerCaching.model_validate({"kind": kind}))
    assert [store.name for store in parts.port("erasables")._shared if store.name == "answers"] == names
    parts.close()


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        ({"git_sha": "abc"}, False),
        ({"retrieve": {"passages": 3}}, False),
        ({"generate": {"model": "another"}}, False),
        ({"generate": {"url": "http://127.0.0.1:1"}}, False),
        ({"generate": {"support_bar": 0.9}}, False),
        ({"embed": {"model": "hashing"}}, False),
        ({"embed": {"threads": 7}}, True),
        ({"generate": {"api_key": "secret"}}, True),
        ({"generate": {"timeout_s": 7.0}}, True),
        ({"worker": {"in_flight_keys": 8}}, True),
        ({"models": {"small_url": "http://127.0.0.1:1", "small_model": "small"}}, False),
        ({"models": {"fallback": "extractive"}}, False),
        ({"models": {"attempts": 3, "hedge_ms": 500, "small_api_key": "another"}}, True),
    ],
    ids=str,
)
def test_when_settings_change_then_the_pipeline_is_another_if_they_decide_an_answer(
    change: dict[str, Any], is_same: bool
) -> None:
    before, after = Settings(), Settings(**change)
    assert (pipeline_of(before, Parts(before)) == pipeline_of(after, Parts(after))) is is_same


def test_when_a_question_is_asked_of_the_cache_then_how_it_went_is_counted() -> None:
    parts, corpus = parts_with(cache=AnswerCaching(kind="memory")), Corpus()
    before = REQUESTS.labels("answer", "miss")._value.get()
    planned = QueryPlanned(tenant=TENANT, query=query("Why?"), kind="retrieval", variants=("Why?",))
    asyncio.run(parts.port("answers").ask(planned, corpus.serving, corpus.limits, parts.port("clock")))
    assert REQUESTS.labels("answer", "miss")._value.get() == before + 1
    parts.close()
