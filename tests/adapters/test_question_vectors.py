"""Vectors of questions: computed once, the right one each time, bounded, and of one tenant only."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from adapters.memory import HashingEmbedder
from adapters.question_vectors import KeptVectors
from processors.answer.asked import NOT_KEPT
from processors.ports import Vectors


class Counting(HashingEmbedder):
    """The hashing embedder, keeping what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked.extend(texts)
        return super().embed(texts)


class Other(Counting):
    """Another model."""

    model = "other"


def test_when_a_question_comes_again_then_it_is_not_embedded_again_and_its_vector_is_the_same() -> None:
    embedder, kept = Counting(), KeptVectors(10)
    first, computed = kept.of("acme", embedder, ["a valve", "a pump"], "q1")
    again, none = kept.of("acme", embedder, ["a pump", "a valve"], "q2")
    assert (computed, none, embedder.asked) == (["a valve", "a pump"], [], ["a valve", "a pump"])
    assert np.array_equal(first, again[::-1])
    assert np.array_equal(again, embedder.embed(["a pump", "a valve"]))


def test_when_some_are_known_then_only_the_others_are_embedded_each_in_its_place() -> None:
    embedder, kept = Counting(), KeptVectors(10)
    kept.of("acme", embedder, ["b"], "q1")
    vectors, computed = kept.of("acme", embedder, ["a", "b", "c"], "q2")
    assert computed == ["a", "c"] and np.array_equal(vectors, HashingEmbedder().embed(["a", "b", "c"]))


def test_when_another_tenant_or_model_asks_the_same_then_it_is_embedded_for_them() -> None:
    embedder, other, kept = Counting(), Other(), KeptVectors(10)
    for tenant, model in (("acme", embedder), ("globex", embedder), ("acme", other)):
        kept.of(tenant, model, ["a valve"], "q1")
    assert (embedder.asked, other.asked) == (["a valve", "a valve"], ["a valve"])


def test_when_there_are_more_than_are_kept_then_the_longest_unused_goes() -> None:
    embedder, kept = Counting(), KeptVectors(2)
    for text in ("a", "b", "a", "c"):
        kept.of("acme", embedder, [text], "q1")
    assert [kept.of("acme", embedder, [text], "q2")[1] for text in ("a", "c")] == [[], []]
    assert kept.of("acme", embedder, ["b"], "q1")[1] == ["b"]


@pytest.mark.parametrize("texts", [[], ["a"], ["a", "a"]])
def test_when_none_are_kept_then_all_are_embedded_and_nobody_is_told(texts: list[str]) -> None:
    told: list[bool] = []
    assert NOT_KEPT.of("acme", Counting(), texts, "q1")[1] == texts
    kept = KeptVectors(2, told.append)
    kept.of("acme", Counting(), texts, "q1")
    kept.of("acme", Counting(), texts, "q1")
    assert told == [False] * len(texts) + [True] * len(texts)


def test_when_threads_share_it_then_every_vector_is_the_right_one() -> None:
    kept, embedder = KeptVectors(3), HashingEmbedder()
    texts = [f"question {number % 7}" for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda text: kept.of("acme", embedder, [text], "q1")[0][0], texts))
    assert np.array_equal(np.array(found), embedder.embed(texts))


def test_when_a_step_only_looked_at_it_then_it_is_computed_once_and_charged_to_who_comes_next_once() -> None:
    embedder, kept = Counting(), KeptVectors(10)
    looked = kept.looked_at("acme", embedder, "a valve")
    vectors, charged = kept.of("acme", embedder, ["a valve"], "q1")
    assert embedder.asked == ["a valve"] == charged
    assert np.array_equal(vectors[0], looked)
    assert kept.of("acme", embedder, ["a valve"], "q2")[1] == []
    assert np.array_equal(kept.looked_at("acme", embedder, "a valve"), looked) and embedder.asked == ["a valve"]


def test_when_the_same_query_comes_again_then_it_is_charged_the_same() -> None:
    embedder, kept = Counting(), KeptVectors(10)
    told = [kept.of("acme", embedder, ["a valve"], query_id)[1] for query_id in ("q1", "q1", "q2", "q1")]
    assert told == [["a valve"], ["a valve"], [], ["a valve"]] and embedder.asked == ["a valve"]
