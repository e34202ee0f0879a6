"""What every Breakers must do, in one process or shared in Redis."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adapters.breakers import BreakerRules, MemoryBreakers
from adapters.host import SystemClock
from adapters.redis_breakers import RedisBreakers
from processors.ports import Breakers

LONG = BreakerRules(failures=3, share=0.5, window_s=60.0, rest_s=60.0, trial_s=60.0)
SHORT_S = 0.05
QUICK = BreakerRules(failures=1, share=0.0, window_s=60.0, rest_s=SHORT_S, trial_s=60.0)

Make = Callable[[BreakerRules], Breakers]


@pytest.fixture(params=["memory", "redis"])
def make(request: pytest.FixtureRequest) -> Make:
    if request.param == "memory":
        return lambda rules: MemoryBreakers(rules, SystemClock())
    options = request.getfixturevalue("redis_options")
    return lambda rules: RedisBreakers(options, rules, SystemClock())


@pytest.fixture
def server() -> str:
    return f"http://model {uuid.uuid4()}"


def run(breakers: Breakers, story: Callable[[Breakers], Awaitable[Any]]) -> Any:
    async def told() -> Any:
        try:
            return await story(breakers)
        finally:
            await breakers.aclose()

    return asyncio.run(told())


async def tells(breakers: Breakers, server: str, *outcomes: bool | None) -> str:
    """Says these one after the other; the state after the last."""
    state = ""
    for outcome in outcomes:
        state = await breakers.tell(server, outcome)
    return state


def test_when_nothing_happened_then_it_is_closed_and_admits_everybody(make: Make, server: str) -> None:
    async def story(breakers: Breakers) -> list[bool]:
        return [await breakers.admits(server) for _ in range(3)]

    assert run(make(LONG), story) == [True] * 3


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ((False, False), "closed"),
        ((False, False, False), "open"),
        ((True, True, True, False, False, False), "open"),
        ((True, True, True, True, False, False, False), "closed"),
        ((None, False, None, False, None), "closed"),
        ((False, False, True, False), "open"),
    ],
)
def test_when_enough_of_the_calls_failed_then_it_opens(
    make: Make, server: str, outcomes: tuple[bool | None, ...], state: str
) -> None:
    async def story(breakers: Breakers) -> tuple[str, bool]:
        return await tells(breakers, server, *outcomes), await breakers.admits(server)

    assert run(make(LONG), story) == (state, state == "closed")


def test_when_one_server_fails_then_another_is_asked_all_the_same(make: Make, server: str) -> None:
    async def story(breakers: Breakers) -> tuple[bool, bool]:
        await tells(breakers, server, False, False, False)
        return await breakers.admits(server), await breakers.admits(f"{server} small")

    assert run(make(LONG), story) == (False, True)


def test_when_it_rests_then_a_late_success_does_not_close_it(make: Make, server: str) -> None:
    async def story(breakers: Breakers) -> tuple[str, bool]:
        return await tells(breakers, server, False, False, False, True, True), await breakers.admits(server)

    assert run(make(LONG), story) == ("open", False)


def test_when_failures_lie_in_another_window_then_they_are_forgotten(make: Make, server: str) -> None:
    rules = BreakerRules(failures=2, share=0.0, window_s=SHORT_S, rest_s=60.0)

    async def story(breakers: Breakers) -> str:
        await breakers.tell(server, False)
        await asyncio.sleep(2 * SHORT_S)
        return await breakers.tell(server, False)

    assert run(make(rules), story) == "closed"


def test_when_it_has_rested_then_one_of_many_may_try_it(make: Make, server: str) -> None:
    async def story(breakers: Breakers) -> list[bool]:
        await breakers.tell(server, False)
        await asyncio.sleep(2 * SHORT_S)
        return await asyncio.gather(*(breakers.admits(server) for _ in range(20)))

    assert sum(run(make(QUICK), story)) == 1


@pytest.mark.parametrize(("outcome", "state", "admitted"), [(True, "closed", True), (None, "half-open", True)])
def test_when_the_trial_is_over_then_it_closes_or_the_next_may_try(
    make: Make, server: str, outcome: bool | None, state: str, admitted: bool
) -> None:
    async def story(breakers: Breakers) -> tuple[bool, str, bool]:
        await breakers.tell(server, False)
        await asyncio.sleep(2 * SHORT_S)
        first = await breakers.admits(server)
        return first, await breakers.tell(server, outcome), await breakers.admits(server)

    assert run(make(QUICK), story) == (True, state, admitted)


def test_when_the_trial_fails_then_it_rests_again(make: Make, server: str) -> None:
    rules = BreakerRules(failures=1, share=0.0, rest_s=1.0)

    async def story(breakers: Breakers) -> tuple[bool, str, bool]:
        await breakers.tell(server, False)
        await asyncio.sleep(1.1)
        first = await breakers.admits(server)
        return first, await breakers.tell(server, False), await breakers.admits(server)

    assert run(make(rules), story) == (True, "open", False)


def test_when_nothing_is_heard_of_a_trial_then_another_may_try(make: Make, server: str) -> None:
    rules = BreakerRules(failures=1, share=0.0, rest_s=SHORT_S, trial_s=SHORT_S)

    async def story(breakers: Breakers) -> tuple[bool, bool]:
        await breakers.tell(server, False)
        await asyncio.sleep(2 * SHORT_S)
        first = await breakers.admits(server)
        await asyncio.sleep(2 * SHORT_S)
        return first, await breakers.admits(server)

    assert run(make(rules), story) == (True, True)


def test_when_two_processes_share_one_redis_then_what_one_learned_both_know(redis_options: Any, server: str) -> None:
    async def story(breakers: Breakers) -> tuple[str, bool]:
        other = RedisBreakers(redis_options, LONG, SystemClock())
        await tells(breakers, server, False, False)
        state = await other.tell(server, False)
        await other.aclose()
        return state, await breakers.admits(server)

    assert run(RedisBreakers(redis_options, LONG, SystemClock()), story) == ("open", False)


def test_when_redis_is_away_then_each_goes_by_what_it_saw_itself(server: str) -> None:
    from adapters.redis_heads import RedisOptions

    async def story(breakers: Breakers) -> tuple[bool, str, bool]:
        first = await breakers.admits(server)
        return first, await tells(breakers, server, False, False, False), await breakers.admits(server)

    nobody = RedisOptions("redis://127.0.0.1:1/0", timeout_s=0.5)
    began = time.monotonic()
    assert run(RedisBreakers(nobody, LONG, SystemClock()), story) == (True, "open", False)
    print(f"five calls without Redis: {time.monotonic() - began:.3f} s")
