"""Shares of tenants: so many at a time, so many that wait, nobody passed over and no place lost."""

from __future__ import annotations

import asyncio

from adapters.tenant_places import TenantPlaces

FOR_EVER = float("inf")


async def hold(places: TenantPlaces, tenant: str, done: asyncio.Event, until: float = FOR_EVER) -> bool:
    async with places.place(tenant, until) as granted:
        if granted:
            await done.wait()
        return granted


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_when_a_tenant_has_all_its_places_then_the_next_waits_and_one_too_many_is_refused() -> None:
    async def run() -> tuple[int, bool, bool, list[bool]]:
        places, done = TenantPlaces(most=2, queue=1), asyncio.Event()
        first = [asyncio.create_task(hold(places, "a", done)) for _ in range(3)]
        await turns()
        waiting = places.waiting
        refused = await hold(places, "a", done)
        other = asyncio.create_task(hold(places, "b", done))
        done.set()
        return waiting, refused, await other, await asyncio.gather(*first)

    assert asyncio.run(run()) == (1, False, True, [True] * 3)


def test_when_there_is_no_bound_then_nobody_waits() -> None:
    async def run() -> list[bool]:
        places, done = TenantPlaces(), asyncio.Event()
        tasks = [asyncio.create_task(hold(places, "a", done)) for _ in range(50)]
        done.set()
        return await asyncio.gather(*tasks)

    assert all(asyncio.run(run()))


def test_when_the_time_is_over_before_a_place_comes_free_then_there_is_none_and_the_next_gets_it() -> None:
    async def run() -> tuple[bool, bool, int]:
        places, done = TenantPlaces(most=1, queue=2), asyncio.Event()
        first = asyncio.create_task(hold(places, "a", done))
        await turns()
        late = await hold(places, "a", done, asyncio.get_running_loop().time() + 0.05)
        done.set()
        await first
        return late, await hold(places, "a", done), places.waiting

    assert asyncio.run(run()) == (False, True, 0)


def test_when_one_who_waits_is_cancelled_then_his_place_goes_to_the_next() -> None:
    async def run(granted_already: bool) -> bool:
        places, done = TenantPlaces(most=1, queue=5), asyncio.Event()
        done.set()
        async with places.place("a", FOR_EVER):
            leaving = asyncio.create_task(hold(places, "a", done))
            last = asyncio.create_task(hold(places, "a", done))
            await turns()
            if not granted_already:
                leaving.cancel()
        # It has the place by now, and has not come to know of it.
        leaving.cancel()
        return await asyncio.wait_for(last, 5)

    assert asyncio.run(run(granted_already=False))
    assert asyncio.run(run(granted_already=True))


def test_when_all_have_left_then_no_tenant_is_remembered() -> None:
    async def run() -> int:
        places, done = TenantPlaces(most=1, queue=2), asyncio.Event()
        done.set()
        for number in range(10):
            await asyncio.gather(*(hold(places, f"t{number}", done) for _ in range(3)))
        return len(places._tenants)

    assert asyncio.run(run()) == 0
