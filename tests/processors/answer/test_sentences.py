"""Sentences and their places."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.answer.sentences import locate, sentences

CASES = [
    ("", []),
    ("   \n\n ", []),
    ("One.", ["One."]),
    ("No stop at the end", ["No stop at the end"]),
    ("One. Two! Three?", ["One.", "Two!", "Three?"]),
    ("It costs 3.5 dollars. Cheap.", ["It costs 3.5 dollars.", "Cheap."]),
    ("Dr. Smith met Mr. J. R. Jones. They spoke.", ["Dr. Smith met Mr. J. R. Jones.", "They spoke."]),
    ("See e.g. Chapter 3. It helps.", ["See e.g. Chapter 3.", "It helps."]),
    ("She moved to the U.S. in May. He stayed.", ["She moved to the U.S. in May.", "He stayed."]),
    ("He left the U.S. The trip was long.", ["He left the U.S.", "The trip was long."]),
    ("Sold by Acme Inc. The price fell.", ["Sold by Acme Inc.", "The price fell."]),
    ('He said "Go." Then he left.', ['He said "Go."', "Then he left."]),
    ("He asked (why?) and left. Done.", ["He asked (why?) and left.", "Done."]),
    ("Wrapped over\ntwo lines. Next.", ["Wrapped over\ntwo lines.", "Next."]),
    ("A title\n\nA paragraph.", ["A title", "A paragraph."]),
    ("# Heading\nText under it.", ["# Heading", "Text under it."]),
    ("Steps:\n- first one\n- second one. With more.\n", ["Steps:", "- first one", "- second one.", "With more."]),
    ("1. Open the lid.\n2. Close it.", ["1. Open the lid.", "2. Close it."]),
    ("| a | b |\n| - | - |\n| 1. x | 2 |", ["| a | b |", "| - | - |", "| 1. x | 2 |"]),
    ("Run:\n```\na. b\nc. d\n```\nThen stop.", ["Run:", "```\na. b\nc. d\n```", "Then stop."]),
    ("Ends with ellipsis… Next one.", ["Ends with ellipsis…", "Next one."]),
    ("日本語です。次の文です。", ["日本語です。", "次の文です。"]),
    ("Version v1.2.3 of foo.bar() is out. Use it.", ["Version v1.2.3 of foo.bar() is out.", "Use it."]),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_when_split_then_each_sentence_stands_alone(text: str, expected: list[str]) -> None:
    assert [span.text for span in sentences(text)] == expected


@given(st.text(alphabet=st.sampled_from(list("aB .!?\n-|#`1。'\"[]")), max_size=80))
def test_when_any_text_is_split_then_places_are_true_and_no_word_is_lost(text: str) -> None:
    found = sentences(text)
    assert all(text[span.start : span.end] == span.text for span in found)
    assert all(before.end <= after.start for before, after in pairwise(found))
    assert "".join("".join(span.text.split()) for span in found) == "".join(text.split())


@pytest.mark.parametrize(
    ("quote", "text", "expected"),
    [
        ("log", "a log here", "log"),
        ("two words", "just two\n   words", "two\n   words"),
        ("a.b", "axb a.b", "a.b"),
        ("missing", "a log here", None),
        ("", "a log here", None),
        ("  ", "a log here", None),
    ],
)
def test_when_a_quote_is_sought_then_white_space_does_not_matter(quote: str, text: str, expected: str | None) -> None:
    span = locate(quote, text)
    assert (span.text if span else None) == expected
    assert span is None or text[span.start : span.end] == span.text
