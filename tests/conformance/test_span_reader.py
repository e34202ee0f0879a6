"""What every SpanReader must do."""

from __future__ import annotations

from functools import cache

import pytest

from adapters.minilm_reader import MiniLmReader
from processors.answer.reader import RuleReader, SpanReader, Window

QUESTION = "When was the barrier at Woolwich opened?"
BEFORE = "It was planned in 1954. "
HOLDS = Window(f"{BEFORE}The barrier at Woolwich was opened by the Queen on 8 May 1984.", len(BEFORE))
NOT = Window("The barrier has ten gates and a control room.")


@cache
def minilm() -> SpanReader:
    pytest.importorskip("sentence_transformers", reason="needs the embed extra")
    return MiniLmReader()


@pytest.fixture(params=["rules", pytest.param("minilm", marks=pytest.mark.model)])
def reader(request: pytest.FixtureRequest) -> SpanReader:
    return RuleReader() if request.param == "rules" else minilm()


def test_when_a_window_holds_the_answer_then_its_words_are_found_behind_the_start(reader: SpanReader) -> None:
    (found,) = reader.read(QUESTION, [HOLDS])
    assert "1984" in HOLDS.text[found.start : found.end]
    assert found.start >= HOLDS.start


def test_when_several_are_read_then_each_has_its_reading_in_order(reader: SpanReader) -> None:
    alone = [reader.read(QUESTION, [window])[0] for window in (NOT, HOLDS)]
    together = reader.read(QUESTION, [NOT, HOLDS])
    assert [(one.start, one.end) for one in together] == [(one.start, one.end) for one in alone]


def test_when_the_margin_is_told_then_it_is_larger_where_the_answer_stands(reader: SpanReader) -> None:
    holds, other = (one.margin for one in reader.read(QUESTION, [HOLDS, NOT]))
    assert (holds is None) == (other is None)
    assert holds is None or other is None or holds > other + 1.0


def test_when_nothing_is_given_then_nothing_is_read(reader: SpanReader) -> None:
    assert reader.read(QUESTION, []) == []


@pytest.mark.parametrize("odd", ["", "🙂", "?!", "\x00", "word " * 2_000, "2^3 = 8"])
def test_when_a_window_or_the_question_is_odd_then_the_words_stand_in_the_window(reader: SpanReader, odd: str) -> None:
    for question, window in (
        (QUESTION, Window(odd)),
        (odd, HOLDS),
        (odd, Window(odd)),
        (QUESTION, Window(odd, len(odd))),
    ):
        (found,) = reader.read(question, [window])
        assert window.start <= found.start <= found.end <= len(window.text)


def test_when_a_sentence_stands_too_far_back_to_be_seen_then_nothing_is_said_of_it(reader: SpanReader) -> None:
    before = "It was planned in 1954 by a board of nine. " * 40
    (found,) = reader.read(QUESTION, [Window(f"{before}It opened at last.", len(before))])
    assert found.start == found.end == len(before)
    assert found.margin is None
