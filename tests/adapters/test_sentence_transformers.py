"""MiniLM: what embedding leaves for the ranker, how threads take turns, what is said when it is not installed."""

from __future__ import annotations

import threading
from functools import cache

import numpy as np
import pytest

from adapters import sentence_transformers
from adapters.errors import MissingExtraError
from adapters.late_interaction import MaxSimRanker
from adapters.sentence_transformers import SentenceTransformerEmbedder

VALVE = "The red valve of the pump leaks."


@cache
def embedder() -> SentenceTransformerEmbedder:
    pytest.importorskip("sentence_transformers", reason="needs the embed extra")
    return SentenceTransformerEmbedder()


@pytest.mark.model
def test_when_a_text_was_embedded_then_its_tokens_are_there_without_another_pass() -> None:
    embedder().embed([VALVE])
    first, second = embedder().token_vectors([VALVE, VALVE])
    assert first is second
    # Nine tokens with the two of the frame, the full stop left out.
    assert len(first.codes) == embedder().count(VALVE) + 2 - 1
    assert first.weights[0] == first.weights[-1] == 0
    the, red = first.weights[1], first.weights[2]
    assert 0 < the < red


@pytest.mark.model
def test_when_tokens_are_asked_for_first_then_they_are_the_same_as_after_embedding() -> None:
    text = "Snow falls on the hills"
    alone = SentenceTransformerEmbedder(cache_mbytes=0)
    asked = alone.token_vectors([text, VALVE])[0]
    embedder().embed([text])
    assert np.abs(asked.codes.astype(int) - embedder().token_vectors([text])[0].codes).max() <= 3


@pytest.mark.model
def test_when_a_text_is_longer_than_the_model_reads_then_the_count_is_whole_and_the_tokens_are_cut() -> None:
    text = "valve " * 1_000
    assert embedder().count(text) == 1_000
    assert len(embedder().token_vectors([text])[0].codes) == sentence_transformers.MAX_TOKENS


@pytest.mark.model
def test_when_meanings_are_alike_without_a_shared_word_then_they_are_near() -> None:
    near, far, asked = embedder().embed(["The automobile broke down", "Tea is served at four", "A car stopped working"])
    assert asked @ near > asked @ far + 0.3


@pytest.mark.model
def test_when_a_question_comes_during_a_long_batch_then_it_does_not_wait_for_all_of_it() -> None:
    model = embedder()
    model.warm()
    order: list[str] = []

    def bulk() -> None:
        model.embed([f"{VALVE} {number} " * 30 for number in range(64)])
        order.append("bulk")

    thread = threading.Thread(target=bulk)
    thread.start()
    model.embed(["Why does it leak?"])
    order.append("question")
    thread.join(60)
    assert order == ["question", "bulk"]


@pytest.mark.model
def test_when_the_ranker_shares_the_model_then_a_word_in_another_form_still_matches() -> None:
    scores = MaxSimRanker(embedder()).score("Which part was leaking?", ["Snow falls on the hills.", VALVE])
    assert scores[1] > scores[0]


def test_when_the_extra_is_missing_then_the_error_holds_the_install_line() -> None:
    with pytest.raises(MissingExtraError, match=r"'no_such_package'.*uv pip install 'headwater\[embed\]'"):
        sentence_transformers._required("no_such_package.inner")


def test_when_only_made_then_nothing_is_loaded() -> None:
    made = SentenceTransformerEmbedder()
    assert (made.model, made.dimension) == ("all-minilm-l6-v2", 384)
    assert made._loaded is None
