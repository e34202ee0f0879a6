"""Every implementation of the Serving port: a question keeps what it was given, until it leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from adapters.one_serving import OneGeneration, OneServing
from processors.ports import Serving
from schemas.documents import IndexGeneration
from streams.generations import Generations
from tests.conformance.objects import EMBEDDER, indexed
from tests.streams.memory_generations import MemoryParts, memory_generations, registered


def one() -> Serving:
    parts = MemoryParts("g1")
    return OneServing(OneGeneration("g1", EMBEDDER, parts.store, parts.heads))


def log() -> Serving:
    generations, _ = memory_generations()
    return generations


def promoted() -> Serving:
    generations, _ = memory_generations()
    generations.fold(registered("g2"))
    generations.fold(IndexGeneration(tenant="", corpus="main", generation="g2", previous="g1"))
    generations.open()
    return generations


@dataclass(frozen=True)
class Kind:
    name: str
    make: Callable[[], Serving]
    serves: str


KINDS = (Kind("one", one, "g1"), Kind("log", log, "g1"), Kind("log, after a promotion", promoted, "g2"))


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    assert isinstance(request.param, Kind)
    return request.param


def test_when_leased_then_all_parts_are_of_one_generation(kind: Kind) -> None:
    with kind.make().lease("acme") as served:
        assert served.generation == kind.serves
        assert served.embedder.dimension == served.embedder.embed(["a text"]).shape[1]
        assert served.heads.get_many("acme", ["absent"]) == {}


def test_when_leased_twice_then_both_see_the_same_store(kind: Kind) -> None:
    serving = kind.make()
    with serving.lease("acme") as first, serving.lease("acme") as second:
        first.store.upsert([indexed("o1", "A valve is red")])
        assert second.store.existing("acme", ["o1"]) == {"o1"}


def test_when_a_question_fails_then_the_lease_ends_all_the_same(kind: Kind) -> None:
    serving = kind.make()
    with pytest.raises(ZeroDivisionError), serving.lease("acme"):
        raise ZeroDivisionError
    with serving.lease("acme") as served:
        assert served.generation == kind.serves


def test_when_tenants_are_strangers_then_they_are_served_too(kind: Kind) -> None:
    with kind.make().lease("never heard of") as served:
        assert served.generation == kind.serves


def test_when_the_log_serves_then_it_is_the_class_that_workers_use() -> None:
    assert isinstance(log(), Generations)
