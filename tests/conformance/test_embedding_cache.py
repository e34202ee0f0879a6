"""What every EmbeddingCache must do: the adapters of this suite are interchangeable."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from adapters.memory import DictEmbeddingCache
from processors.ports import EmbeddingCache

# A cache that needs a server belongs here too, with a skip that says what is missing.
CACHES: dict[str, Callable[[], EmbeddingCache]] = {"memory": DictEmbeddingCache}

VECTOR = np.arange(4, dtype="<f4").tobytes()


@pytest.fixture(params=sorted(CACHES))
def cache(request: pytest.FixtureRequest) -> EmbeddingCache:
    return CACHES[request.param]()


def test_when_a_text_was_never_embedded_then_there_is_nothing(cache: EmbeddingCache) -> None:
    assert cache.get("model", "hash") is None


def test_when_a_vector_is_put_then_its_very_bytes_come_back(cache: EmbeddingCache) -> None:
    cache.put("model", "hash", VECTOR)
    assert cache.get("model", "hash") == VECTOR


def test_when_models_or_texts_differ_then_so_do_the_vectors(cache: EmbeddingCache) -> None:
    cache.put("a", "1", b"a1")
    cache.put("a", "2", b"a2")
    cache.put("b", "1", b"b1")
    assert [cache.get(model, text) for model, text in (("a", "1"), ("a", "2"), ("b", "1"), ("b", "2"))] == [
        b"a1",
        b"a2",
        b"b1",
        None,
    ]


def test_when_a_vector_is_put_again_then_the_last_one_stands(cache: EmbeddingCache) -> None:
    cache.put("model", "hash", b"old!")
    cache.put("model", "hash", VECTOR)
    assert cache.get("model", "hash") == VECTOR


def test_when_names_join_alike_then_they_are_kept_apart(cache: EmbeddingCache) -> None:
    cache.put("a|b", "c", b"one ")
    cache.put("a", "b|c", b"two ")
    assert (cache.get("a|b", "c"), cache.get("a", "b|c")) == (b"one ", b"two ")


def test_when_many_put_and_get_at_once_then_nobody_sees_half_a_vector(cache: EmbeddingCache) -> None:
    wrong: list[bytes] = []

    def work(number: int) -> None:
        for turn in range(200):
            cache.put("model", f"{turn % 7}", bytes([number]) * 64)
            found = cache.get("model", f"{turn % 7}")
            if found is not None and len(set(found)) != 1:
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert wrong == []


def test_when_a_vector_is_dropped_then_it_is_gone_and_its_neighbours_stay(cache: EmbeddingCache) -> None:
    cache.put("a", "1", VECTOR)
    cache.put("a", "2", VECTOR)
    cache.drop("a", "1")
    cache.drop("a", "1")
    assert (cache.get("a", "1"), cache.get("a", "2")) == (None, VECTOR)
