"""What people write after `headwater run`."""

from __future__ import annotations

import pytest

from streams.hop import JourneyError
from streams.selection import select


@pytest.mark.parametrize(
    ("words", "groups"),
    [
        (("measure",), ["headwater.measure.evaluate.v1", "headwater.measure.cost.v1"]),
        (("ingest",), [f"headwater.ingest.{step}.v1" for step in ("keep", "parse", "settle", "survey", "erase")]),
        (("ingest.chunk",), ["headwater.ingest.chunk.v1"]),
        (("ingest.parse+redact", "ingest.chunk"), ["headwater.ingest.parse.v1", "headwater.ingest.chunk.v1"]),
        (("answer", "answer"), [f"headwater.answer.{step}.v1" for step in ("admit", "tell", "remember")]),
    ],
)
def test_when_words_are_given_then_these_groups_run(words: tuple[str, ...], groups: list[str]) -> None:
    assert [selected.group for selected in select(words)] == groups


def test_when_all_is_wanted_then_other_systems_topics_are_read_only_if_asked_for() -> None:
    without, with_sources = select(("all",)), select(("all",), sources=True)
    assert {s.group for s in with_sources} - {s.group for s in without} == {"headwater.ingest.capture.v1"}


@pytest.mark.parametrize(("word", "message"), [("ingst", "wanted 'all', a journey"), ("ingest.cut", "wanted a step")])
def test_when_a_word_names_nothing_then_the_error_says_what_there_is(word: str, message: str) -> None:
    with pytest.raises(JourneyError, match=message):
        select((word,))
