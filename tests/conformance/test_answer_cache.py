"""What every cache of answers must do: the adapters of this suite are interchangeable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any

import pytest
from redis import Redis

from adapters.answer_cache import MemoryAnswers
from adapters.erasables import KeptAnswers
from adapters.errors import CacheUnavailableError
from adapters.host import SystemClock
from adapters.redis_answers import KeepLimits, RedisAnswers
from adapters.redis_heads import RedisOptions
from processors.answer.kept import AnswerCache, KeptAnswer, Used
from schemas.documents import DocumentHead
from schemas.envelope import Version
from schemas.queries import AnswerGiven, AnswerWithheld
from tests.conformance.test_heads import head

LONG_S = 60.0
MakesCache = Callable[[int, float], AnswerCache]


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.live)])
def makes(request: pytest.FixtureRequest) -> MakesCache:
    """Makes a cache that holds so many, each for so long."""
    if request.param == "memory":
        return lambda most, ttl_s: MemoryAnswers(SystemClock(), most, ttl_s)
    options = request.getfixturevalue("redis_options")
    return lambda most, ttl_s: RedisAnswers(options, "main", KeepLimits(most, ttl_s), SystemClock())


@pytest.fixture
def cache(makes: MakesCache) -> AnswerCache:
    return makes(100, LONG_S)


def given(text: str = "It is so. [1]") -> AnswerGiven:
    return AnswerGiven(
        tenant="acme", answer_id="q-0", question="Why?", text=text, citations=(), model="m", prompt_version="1"
    )


def kept(*documents: str, version: int = 1, text: str = "It is so. [1]") -> KeptAnswer:
    used = tuple(Used(name, Version(source=0, offset=version), f"object-{name}") for name in documents)
    return KeptAnswer(given(text), "g1", "found", "read", used, (b"\x00\x01\xff",))


def test_when_nothing_was_kept_then_there_is_no_answer(cache: AnswerCache) -> None:
    assert cache.get("key") is None
    cache.drop("key")


def test_when_an_answer_is_kept_then_it_comes_back_whole(cache: AnswerCache) -> None:
    cache.put("acme", "key", kept("a", "b"))
    assert cache.get("key") == kept("a", "b")


def test_when_that_there_is_no_answer_is_kept_then_it_comes_back_as_such(cache: AnswerCache) -> None:
    said = AnswerWithheld(tenant="acme", answer_id="q", question="?", reason="not_in_documents", message="No.")
    cache.put("acme", "key", KeptAnswer(said, "g1", "found"))
    found = cache.get("key")
    assert found is not None and found.answer == said


def test_when_one_is_kept_again_then_the_newest_counts(cache: AnswerCache) -> None:
    cache.put("acme", "key", kept("a"))
    cache.put("acme", "key", kept("a", text="It is not so. [1]", version=2))
    assert cache.get("key") == kept("a", text="It is not so. [1]", version=2)
    assert cache.forget([head(2, document="a")]) == 0


def test_when_one_is_dropped_then_the_others_stay(cache: AnswerCache) -> None:
    cache.put("acme", "one", kept("a"))
    cache.put("acme", "two", kept("a"))
    cache.drop("one")
    assert (cache.get("one"), cache.get("two")) == (None, kept("a"))


@pytest.mark.parametrize(
    ("swapped", "gone"),
    [
        (head(2, document="a"), {"one", "both"}),
        (head(2, document="a", gone=True), {"one", "both"}),
        (head(1, document="a"), set()),
        (head(2, document="other"), set()),
        (head(2, document="a", tenant="globex"), set()),
        (head(2, document="a", generation="g2"), {"one", "both"}),
    ],
    ids=["newer", "deleted", "the same again", "another document", "another tenant", "of another generation"],
)
def test_when_a_head_is_swapped_then_exactly_what_was_drawn_from_it_goes(
    cache: AnswerCache, swapped: DocumentHead, gone: set[str]
) -> None:
    cache.put("acme", "one", kept("a"))
    cache.put("acme", "both", kept("a", "b"))
    cache.put("acme", "none", kept("b"))
    assert cache.forget([swapped]) == len(gone)
    assert {key for key in ("one", "both", "none") if cache.get(key) is None} == gone


def test_when_it_is_asked_what_rests_on_a_document_then_keys_and_versions_come(cache: AnswerCache) -> None:
    cache.put("acme", "one", kept("a", version=7))
    cache.put("acme", "two", kept("b"))
    cache.put("globex", "three", kept("a"))
    assert cache.resting("acme", "a") == {"one": Version(source=0, offset=7)}
    cache.drop("one")
    assert not cache.resting("acme", "a")


def test_when_a_document_is_erased_then_the_answers_drawn_from_it_go_and_those_of_a_newer_life_stay(
    cache: AnswerCache,
) -> None:
    store = KeptAnswers(cache)
    cache.put("acme", "old", kept("a", "b", version=3))
    cache.put("acme", "new", kept("a", version=9))
    cache.put("acme", "other", kept("b"))
    life = head(8, document="a")
    assert store.held("acme", "a", None) == {"old", "new"}
    assert store.held("acme", "a", life) == {"old"}
    store.erase("acme", "a", store.held("acme", "a", life))
    assert not store.held("acme", "a", life)
    assert [key for key in ("old", "new", "other") if cache.get(key)] == ["new", "other"]


def test_when_there_is_no_room_then_the_one_not_used_for_longest_goes(makes: MakesCache) -> None:
    cache = makes(2, LONG_S)
    cache.put("acme", "one", kept("a"))
    cache.put("acme", "two", kept("a"))
    cache.get("one")
    cache.put("acme", "three", kept("a"))
    assert [key for key in ("one", "two", "three") if cache.get(key)] == ["one", "three"]


def test_when_its_time_is_over_then_an_answer_is_gone(makes: MakesCache) -> None:
    cache = makes(10, 0.02)
    cache.put("acme", "key", kept("a"))
    deadline = monotonic() + 5
    while cache.get("key") is not None:
        assert monotonic() < deadline
    assert cache.forget([head(2, document="a")]) == 0


def test_when_several_ask_for_a_key_then_one_leads_until_it_leaves(cache: AnswerCache) -> None:
    assert cache.lead("key", "q1", LONG_S) and cache.lead("key", "q1", LONG_S)
    assert not cache.lead("key", "q2", LONG_S)
    assert cache.lead("other", "q2", LONG_S)
    cache.leave("key", "q2")
    assert not cache.lead("key", "q2", LONG_S)
    cache.leave("key", "q1")
    assert cache.lead("key", "q2", LONG_S)


def test_when_the_one_who_leads_is_lost_then_another_leads_after_its_time(cache: AnswerCache) -> None:
    assert cache.lead("key", "q1", 0.02)
    deadline = monotonic() + 5
    while not cache.lead("key", "q2", LONG_S):
        assert monotonic() < deadline


def test_when_nobody_leads_then_nobody_waits(cache: AnswerCache) -> None:
    within(5, cache.settled("key", LONG_S))


def test_when_the_one_who_leads_leaves_then_those_who_wait_go_on(cache: AnswerCache) -> None:
    async def wait_and_leave() -> None:
        waiting = asyncio.create_task(cache.settled("key", LONG_S))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        cache.leave("key", "q1")
        await waiting

    cache.lead("key", "q1", LONG_S)
    within(5, wait_and_leave())


def test_when_it_leads_for_longer_than_one_may_wait_then_the_wait_ends(cache: AnswerCache) -> None:
    cache.lead("key", "q1", LONG_S)
    within(5, cache.settled("key", 0.02))
    assert not cache.lead("key", "q2", LONG_S)


def within(seconds: float, doing: Coroutine[Any, Any, None]) -> None:
    """Runs to its end what must end by itself."""
    asyncio.run(asyncio.wait_for(doing, seconds))


@pytest.mark.live
def test_when_a_document_is_asked_about_for_long_then_what_went_leaves_nothing_behind(
    redis_options: RedisOptions,
) -> None:
    cache = RedisAnswers(redis_options, "main", KeepLimits(5, LONG_S), SystemClock())
    for number in range(40):
        cache.put("acme", f"key-{number}", kept("a"))
    with Redis.from_url(redis_options.url) as redis:
        held = {name: redis.type(name) for name in redis.scan_iter(f"{redis_options.namespace}:*")}
        assert len(held) == 5 + 2
        (place,) = (name for name in held if b":of:" in name)
        assert redis.hlen(place) <= 6


def test_when_redis_is_away_then_everything_is_a_miss_and_everybody_leads() -> None:
    options = RedisOptions("redis://127.0.0.1:1/0", timeout_s=0.2)
    cache = RedisAnswers(options, "main", KeepLimits(), SystemClock())
    cache.put("acme", "key", kept("a"))
    cache.drop("key")
    assert cache.get("key") is None
    assert cache.lead("key", "q1", LONG_S) and cache.lead("key", "q2", LONG_S)
    assert cache.forget([head(2, document="a")]) == 0
    cache.leave("key", "q1")
    within(5, cache.settled("key", LONG_S))
    with pytest.raises(CacheUnavailableError, match="is the server there"):
        cache.resting("acme", "a")
