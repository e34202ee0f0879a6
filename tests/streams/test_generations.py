"""The generations of a process: what is opened when, what serves, what is closed."""

from __future__ import annotations

import pytest

from adapters.errors import IndexUnavailableError
from streams.generations import Generations
from tests.streams.memory_generations import memory_generations, promoted, registered


def serving(generations: Generations, tenant: str = "acme") -> str:
    with generations.lease(tenant) as served:
        return served.generation


def test_when_nothing_was_promoted_then_the_configured_generation_serves_and_nothing_else_is_opened() -> None:
    generations, made = memory_generations()
    generations.open()
    assert (serving(generations), made) == ("g1", {})


def test_when_promoted_but_not_open_then_the_old_one_serves_until_it_is() -> None:
    generations, _ = memory_generations()
    generations.fold(registered("g2"))
    generations.fold(promoted("g2"))
    assert serving(generations) == "g1"
    generations.reconcile()
    assert serving(generations) == "g2"


def test_when_it_was_open_before_then_a_promotion_counts_from_the_next_question_on() -> None:
    generations, _ = memory_generations()
    generations.fold(registered("g2"))
    generations.reconcile()
    with generations.lease("acme") as before:
        generations.fold(promoted("g2"))
        assert (before.generation, serving(generations)) == ("g1", "g2")
        # Whoever began with the old one goes on with all of it.
        assert before.embedder.dimension == 384
    generations.fold(promoted("g1", "g2"))
    assert serving(generations) == "g1"


def test_when_a_canary_runs_then_only_its_tenants_move() -> None:
    generations, _ = memory_generations()
    generations.fold(registered("g2"))
    generations.reconcile()
    generations.fold(promoted("g1", acme="g2"))
    assert (serving(generations, "acme"), serving(generations, "other")) == ("g2", "g1")


def test_when_retired_then_it_is_closed_once_its_last_question_has_left() -> None:
    generations, made = memory_generations()
    generations.fold(registered("g2"))
    generations.reconcile()
    generations.fold(promoted("g2"))
    with generations.lease("acme"):
        generations.fold(promoted("g1", "g2"))
        generations.fold(registered("g2", "retired"))
        generations.reconcile()
        assert made["g2"].closed == 0
    generations.reconcile()
    assert made["g2"].closed == 1
    generations.close()
    assert made["g2"].closed == 1


def test_when_a_builder_uses_it_then_it_stays_open_until_released() -> None:
    generations, made = memory_generations()
    generations.fold(registered("g2"))
    generations.reconcile()
    held = generations.use("g2")
    assert held is not None
    generations.fold(registered("g2", "retired"))
    generations.reconcile()
    assert made["g2"].closed == 0
    generations.release(held)
    generations.reconcile()
    assert made["g2"].closed == 1


def test_when_more_live_than_may_be_open_then_what_serves_is_opened_first() -> None:
    generations, made = memory_generations(most=2)
    for name in ("g2", "g3", "g4"):
        generations.fold(registered(name))
    generations.fold(promoted("g4"))
    generations.reconcile()
    assert (set(made), serving(generations)) == ({"g4"}, "g4")


def test_when_one_cant_be_opened_then_it_is_let_go_of_and_the_old_one_serves_on() -> None:
    generations, made = memory_generations(failing=frozenset({"g2"}))
    generations.fold(registered("g2"))
    generations.fold(promoted("g2"))
    with pytest.raises(IndexUnavailableError):
        generations.reconcile()
    assert (made["g2"].closed, serving(generations)) == (1, "g1")


def test_when_the_configured_one_is_retired_then_it_says_so_and_is_left_to_its_owner() -> None:
    generations, _ = memory_generations()
    generations.fold(registered("g1", built=False))
    generations.fold(registered("g2"))
    generations.fold(promoted("g2"))
    generations.fold(registered("g1", "retired", built=False))
    generations.reconcile()
    assert (generations.own_lives, serving(generations)) == (False, "g2")


def test_when_something_changes_then_who_waits_is_told() -> None:
    generations, _ = memory_generations()
    seen = generations.wait(-1, 0.0)
    assert generations.wait(seen, 0.01) == seen
    generations.fold(registered("g2"))
    assert generations.wait(seen, 5.0) != seen
