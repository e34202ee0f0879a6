"""What the reader on MiniLM is told of a question and a window, and what it makes of the numbers that come out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from adapters.minilm_reader import CUES, best_words, cues
from processors.answer.reader import Window


class Pair(NamedTuple):
    """Question and window in tokens, as the tokenizer gives them."""

    ids: list[int]
    sequence_ids: list[int | None]
    offsets: list[tuple[int, int]]


QUESTION = "Was Ohio founded?"
WINDOW = Window("So. He found Ohio in 1803", 4)
PAIR = Pair(
    ids=[101, 1, 2, 3, 4, 102, 5, 6, 7, 8, 2, 9, 10, 102],
    sequence_ids=[None, 0, 0, 0, 0, None, 1, 1, 1, 1, 1, 1, 1, None],
    offsets=[
        *((0, 0), (0, 3), (4, 8), (9, 16), (16, 17), (0, 0)),
        *((0, 2), (2, 3), (4, 6), (7, 12), (13, 17), (18, 20), (21, 25), (0, 0)),
    ],
)


@pytest.fixture
def told() -> np.ndarray:
    return cues(QUESTION, WINDOW, PAIR)


def test_when_a_token_is_of_the_window_then_only_the_first_six_are_told(told: np.ndarray) -> None:
    assert told.shape == (len(PAIR.ids), CUES)
    in_question, large, digit, stops, may, asked_for = told[:, :6].T
    assert list(np.flatnonzero(in_question)) == [10]
    assert list(np.flatnonzero(large)) == [6, 8, 10]
    assert list(np.flatnonzero(digit)) == [12]
    assert list(np.flatnonzero(stops)) == [6, 8, 11]
    assert list(np.flatnonzero(may)) == [8, 9, 10, 11, 12]
    assert list(np.flatnonzero(asked_for)) == [10]
    assert not told[6:13, 6:].any()


def test_when_a_token_is_of_the_question_then_only_the_other_six_are_told(told: np.ndarray) -> None:
    in_window, large, digit, stops, always, met = told[:, 6:].T
    assert list(np.flatnonzero(in_window)) == [2]
    assert list(np.flatnonzero(large)) == [2]
    assert not digit.any()
    assert list(np.flatnonzero(stops)) == [1]
    assert list(np.flatnonzero(always)) == [1, 2, 3, 4]
    assert list(np.flatnonzero(met)) == [2]
    assert not told[1:5, :6].any()


def test_when_a_token_is_of_neither_then_nothing_is_told(told: np.ndarray) -> None:
    assert not told[[0, 5, 13]].any()


def test_when_an_answer_is_likelier_at_all_then_the_margin_is_larger_and_the_words_the_same() -> None:
    scores = np.zeros((len(PAIR.ids), 3), np.float32)
    scores[12, :2] = 3.0
    unsure = best_words(WINDOW, PAIR, scores)
    scores[0, 2] = 2.0
    sure = best_words(WINDOW, PAIR, scores)
    assert WINDOW.text[unsure.start : unsure.end] == "1803"
    assert (sure.start, sure.end) == (unsure.start, unsure.end)
    assert unsure.margin == pytest.approx(6.0)
    assert sure.margin is not None
    assert unsure.margin is not None
    assert sure.margin > unsure.margin
