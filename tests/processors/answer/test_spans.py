"""Spans: the words that answer by themselves, and nothing where the question asks for no such thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.answer.cues import asked
from processors.answer.spans import exact_span

CASES = [
    ("When did the lock open?", "The lock opened on 12 May 1931, after two years.", "12 May 1931"),
    ("When did the lock open?", "It was in the late 18th century that the lock opened.", "late 18th century"),
    ("What year was the lock of 1931 closed?", "Opened in 1931, the lock was closed in 1975.", "1975"),
    ("How many people died in the flood?", "In 1953 the flood took 1,836 people and 30,000 animals.", "1,836"),
    ("How many gates does the lock have?", "The lock has twenty-two gates.", "twenty-two"),
    ("How long does a lease last?", "A lease lasts 30 seconds at most.", "30 seconds"),
    ("What percentage of water is salt?", "About 97.5% of all water is salt.", "97.5%"),
    ("Who made the valve?", "In May 1931 the valve was made by Leroy Sherman.", "Leroy Sherman"),
    ("Where does the Rhine begin?", "High above the valley the Rhine begins in Graubünden.", "Graubünden"),
    ("Who made the valve?", "The valve was made in a hurry.", ""),
    ("Why did the valve leak?", "The valve leaked because Leroy Sherman made it in 1931.", ""),
    ("What is a head gate?", "A head gate of 1931 lets water in.", ""),
]


@pytest.mark.parametrize(("question", "sentence", "span"), CASES)
def test_when_something_exact_is_asked_for_then_it_is_pointed_at(question: str, sentence: str, span: str) -> None:
    assert exact_span(asked(question), sentence) == span


@given(
    question=st.sampled_from([question for question, _, _ in CASES]),
    sentence=st.text(alphabet="ABab12.,-–% éÉ'’$€", max_size=60),
)
def test_when_any_text_is_looked_through_then_the_span_is_some_of_its_words(question: str, sentence: str) -> None:
    span = exact_span(asked(question), sentence)
    assert span in sentence
    assert span == span.strip()
