"""What every Embedder must do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest

from adapters.memory import HashingEmbedder
from adapters.sentence_transformers import SentenceTransformerEmbedder
from processors.ports import Embedder

TEXTS = ("The red valve of the pump leaks", "Snow falls on the hills", "Red valves leak from time to time")
ODD = ("", " ", "🙂", "\x00", "?!", "漢字", "word " * 5_000, "x" * 5_000)


@cache
def minilm() -> Embedder:
    pytest.importorskip("sentence_transformers", reason="needs the embed extra")
    return SentenceTransformerEmbedder()


@pytest.fixture(params=["hashing", pytest.param("minilm", marks=pytest.mark.model)])
def embedder(request: pytest.FixtureRequest) -> Embedder:
    return HashingEmbedder() if request.param == "hashing" else minilm()


def test_when_texts_are_given_then_there_is_a_unit_row_for_each(embedder: Embedder) -> None:
    vectors = embedder.embed(TEXTS)
    assert vectors.shape == (3, embedder.dimension)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)


def test_when_no_text_is_given_then_there_is_no_row(embedder: Embedder) -> None:
    assert embedder.embed([]).shape == (0, embedder.dimension)


def test_when_texts_mean_the_like_then_they_are_nearer(embedder: Embedder) -> None:
    valve, snow, valves = embedder.embed(TEXTS)
    assert valve @ valves > valve @ snow


def test_when_texts_are_many_and_of_every_length_then_rows_keep_their_order(embedder: Embedder) -> None:
    texts = [" ".join(f"word{number}" for number in range(1 + 7 * place % 40)) + f" end{place}" for place in range(30)]
    together = embedder.embed(texts)
    for place in (0, 7, 29):
        assert together[place] @ embedder.embed([texts[place]])[0] == pytest.approx(1.0, abs=1e-3)


def test_when_asked_again_then_the_vector_is_the_same(embedder: Embedder) -> None:
    assert np.array_equal(embedder.embed(TEXTS[:1]), embedder.embed(TEXTS[:1]))


@pytest.mark.parametrize("text", ODD, ids=["empty", "blank", "emoji", "nul", "marks", "script", "many", "long"])
def test_when_a_text_is_odd_then_its_row_is_still_a_unit_vector(embedder: Embedder, text: str) -> None:
    vectors = embedder.embed([TEXTS[0], text])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(2), abs=1e-5)
    assert embedder.count(text) >= 0


def test_when_counted_then_more_words_are_more_tokens(embedder: Embedder) -> None:
    counts = [embedder.count("valve " * times) for times in (0, 1, 100, 1_000)]
    assert counts == sorted(set(counts))
    assert counts[0] == 0
    assert counts[3] >= 1_000


def test_when_threads_share_it_then_each_gets_its_own_rows(embedder: Embedder) -> None:
    expected = embedder.embed(TEXTS)
    with ThreadPoolExecutor(4) as threads:
        rows = list(
            threads.map(lambda number: (embedder.embed([TEXTS[number % 3]])[0], embedder.count("a b")), range(24))
        )
    for number, (row, _) in enumerate(rows):
        assert row @ expected[number % 3] == pytest.approx(1.0, abs=1e-3)


def test_when_named_then_the_model_says_what_it_is(embedder: Embedder) -> None:
    assert embedder.model
    assert embedder.dimension > 0
