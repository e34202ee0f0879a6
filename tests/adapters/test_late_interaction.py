"""MaxSim and the token vectors it compares, with tokens made by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from adapters.late_interaction import MaxSimRanker
from adapters.token_vectors import TokenCache, TokenVectors, quantised

AXES = {word: axis for axis, word in enumerate(["the", "red", "valve", "snow", "leaks"])}


class WordAxes:
    """A model whose every word is an axis of its own; `the` tells nothing."""

    model = "axes"

    def token_vectors(self, texts: Sequence[str]) -> list[TokenVectors]:
        return [self._vectors(text.split()) for text in texts]

    def _vectors(self, words: Sequence[str]) -> TokenVectors:
        rows = np.eye(len(AXES), dtype=np.float32)[[AXES[word] for word in words]]
        return quantised(3.0 * rows, np.array([float(word != "the") for word in words], np.float32))


@pytest.mark.parametrize(
    ("question", "text", "score"),
    [
        ("red valve", "the red valve leaks", 1.0),
        ("red valve", "snow leaks valve", 0.5),
        ("the red", "the snow", 0.0),
        ("the", "the snow", 1.0),
        ("red", "snow", 0.0),
    ],
)
def test_when_scored_then_it_is_the_weighted_share_of_words_matched(question: str, text: str, score: float) -> None:
    assert MaxSimRanker(WordAxes()).score(question, [text, "snow"])[0] == pytest.approx(score, abs=1e-6)


def test_when_quantised_then_products_of_unit_vectors_hardly_change() -> None:
    rows = np.random.default_rng(5).standard_normal((50, 384)).astype(np.float32)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    small = quantised(rows, np.ones(50, np.float32))
    back = small.codes * small.scales[:, None]
    assert np.abs(back @ back.T - unit @ unit.T).max() < 0.01
    assert quantised(np.zeros((1, 4), np.float32), np.ones(1, np.float32)).codes.any() == np.False_


def test_when_the_cache_is_full_then_what_was_not_used_for_longest_goes() -> None:
    one = quantised(np.ones((1_000, 384), np.float32), np.ones(1_000, np.float32))
    cache = TokenCache(max_mbytes=1)
    cache.put("a", one)
    cache.put("b", one)
    assert cache.get("a") is not None
    cache.put("c", one)
    assert [cache.get(text) is not None for text in "abc"] == [True, False, True]
    assert cache.bytes_held == 2 * one.size <= 1_000_000


def test_when_a_text_is_put_again_then_it_is_counted_once() -> None:
    small = quantised(np.ones((2, 8), np.float32), np.ones(2, np.float32))
    cache = TokenCache(max_mbytes=1)
    for _ in range(3):
        cache.put("a", small)
    assert cache.bytes_held == small.size


def test_when_one_is_larger_than_all_the_room_then_it_is_not_kept() -> None:
    cache = TokenCache(max_mbytes=0)
    cache.put("a", quantised(np.ones((2, 8), np.float32), np.ones(2, np.float32)))
    assert cache.get("a") is None
    assert cache.bytes_held == 0
