"""The random histories over the view in Redis, flushed, restarted and failed over at any moment; and the controls."""

from __future__ import annotations

import contextlib
import dataclasses
import uuid
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.errors import HeadsClosedError
from adapters.redis_heads import RedisOptions
from processors.ports import Stretch
from tests.model.redis_world import ANOTHER_LIFE, NOT_WHOLE, HeadsOnAnyServer, RedisWorld
from tests.model.test_random_histories import MOVES, a_move
from tests.processors.ingest.builders import TENANT

pytestmark = pytest.mark.live

REDIS_MOVES = st.one_of(MOVES, MOVES, MOVES, a_move("flush"), a_move("keep_copy"), a_move("fail_over"))


@contextlib.contextmanager
def world(options: RedisOptions, without: str = "") -> Iterator[RedisWorld]:
    """A world of its own; its keys are gone afterwards."""
    own = dataclasses.replace(options, namespace=f"model-{uuid.uuid4()}")
    views = [HeadsOnAnyServer(own, without) for _ in range(2)]
    for view in views:
        view.open()
    try:
        yield RedisWorld(view=views[0], other=views[1])
    finally:
        views[0].lose()
        for view in views:
            view.close()
            view.server.close()


@given(moves=st.lists(REDIS_MOVES, min_size=15, max_size=50))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
def test_when_anything_happens_to_redis_in_any_order_then_readers_see_one_version_at_a_time(
    redis_options: RedisOptions, moves: list[tuple[str, tuple[object, ...]]]
) -> None:
    with world(redis_options) as made:
        for name, arguments in moves:
            getattr(made, name)(*arguments)
            made.check()
        made.check_end()


def flushed(made: RedisWorld) -> None:
    made.write("d1", "AB")
    made.work(10)
    made.check()
    made.flush()
    made.check()


def half_rebuilt(made: RedisWorld) -> None:
    for letters in ("AB", "BC", "CD"):
        made.write("d1", letters)
        made.work(10)
    made.check()
    made.flush()
    made.apply()
    made.check()


def put_back(made: RedisWorld) -> None:
    made.write("d1", "AB")
    made.work(10)
    made.keep_copy()
    made.write("d1", "B")
    made.work(10)
    made.check()
    made.fail_over()
    made.check()


def proven_late(made: RedisWorld) -> None:
    """Whoever asked for the end of the log before the flush opens a view that has come that far again, not further."""
    made.write("d1", "AB")
    made.work(10)
    made.mark()
    made.write("d1", "B")
    made.work(10)
    made.check()
    made.flush()
    made.apply()
    made.view.apply(Stretch(0, 0, made.old_marks[0][1][0]), [])
    made.prove_late(0)
    made.check()


DAMAGING: list[tuple[Callable[[RedisWorld], None], str, str]] = [
    (flushed, NOT_WHOLE, "were known and are not any more"),
    (half_rebuilt, NOT_WHOLE, "went back"),
    (put_back, NOT_WHOLE, "went back"),
    (proven_late, ANOTHER_LIFE, "went back"),
]


@pytest.mark.parametrize(("history", "without", "damage"), DAMAGING, ids=lambda value: getattr(value, "__name__", None))
def test_when_a_check_is_switched_off_then_the_same_history_does_damage(
    redis_options: RedisOptions, history: Callable[[RedisWorld], None], without: str, damage: str
) -> None:
    with world(redis_options) as made:
        history(made)
        made.check_end()
    with world(redis_options, without) as unchecked, pytest.raises(AssertionError, match=damage):
        history(unchecked)


def test_when_heads_are_taken_out_of_redis_one_by_one_then_the_view_closes_and_is_folded_again(
    redis_options: RedisOptions,
) -> None:
    """An eviction, or somebody with a prompt."""
    with world(redis_options) as made:
        made.write("d1", "A")
        made.write("d2", "B")
        made.work(10)
        heads = next(key for key in made.view._keys() if key.endswith(f":of:{TENANT}".encode()))
        made.view.server.hdel(heads, "d1")
        with pytest.raises(HeadsClosedError, match="taken out"):
            made.view.get(TENANT, "d2")
        assert not made.view.is_open
        assert dict(made.view.applied()) == {}
        made.check_end()


def test_when_what_was_committed_is_lost_before_the_log_shows_it_then_its_writer_gives_it_again(
    redis_options: RedisOptions,
) -> None:
    """The ends of the log may not show a commit yet that its owner was told of: it plans from it all the same."""
    with world(redis_options) as made:
        made.write("d1", "A")
        made.work(10)
        made.flush()
        assert made.view.prove(made.view.mark(), {})
        found = made.view.get(TENANT, "d1")
        assert found is not None and found == made.topic[-1]
