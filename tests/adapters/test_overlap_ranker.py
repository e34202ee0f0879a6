"""The ranker by shared words, beyond its port's promises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.overlap_ranker import OverlapRanker
from processors.answer.words import stem

WORDS = st.lists(st.sampled_from(["valve", "valves", "leaks", "Snow", "ä", "42"]), max_size=6).map(" ".join)


@pytest.mark.parametrize(
    ("question", "text", "score"), [("red valve", "a valve", 0.5), ("", "x", 0.0), ("a", "a", 1.0), ("valve", "", 0.0)]
)
def test_when_words_overlap_then_the_score_is_their_share(question: str, text: str, score: float) -> None:
    assert OverlapRanker().score(question, [text]) == [score]


@given(WORDS, st.lists(WORDS, max_size=5))
def test_when_many_texts_are_given_then_each_has_the_share_of_its_own_words(question: str, texts: list[str]) -> None:
    def stems(text: str) -> set[str]:
        return {stem(word) for word in text.lower().split()}

    asked = stems(question)
    expected = [len(asked & stems(text)) / max(1, len(asked)) for text in texts]
    ranker = OverlapRanker()
    assert ranker.score(question, texts) == expected
    assert ranker.score(question, texts[::-1]) == expected[::-1]
