"""Phrases: found however they are written, and only as whole words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.answer.phrases import MOST_PHRASES, Phrases


def found(phrase: str, text: str) -> list[str]:
    return [text[start:end] for start, end in Phrases([phrase]).find(text)]


@pytest.mark.parametrize(
    ("phrase", "text", "there"),
    [
        ("Project Falcon", "About project falcon.", ["project falcon"]),
        ("project falcon", "PROJECT-FALCON, Project\n Falcon!", ["PROJECT-FALCON", "Project\n Falcon"]),
        (
            "Project Falcon",
            "Pro\u200bject Fal\u00adcon and Ｐroject Ｆalcon",
            ["Pro\u200bject Fal\u00adcon", "Ｐroject Ｆalcon"],
        ),
        ("Café Müller", "cafe\u0301 mu\u0308ller and CAFÉ MÜLLER", ["cafe\u0301 mu\u0308ller", "CAFÉ MÜLLER"]),
        ("Straße", "die STRASSE", ["STRASSE"]),
        ("猎鹰", "计划猎鹰很好", ["猎鹰"]),
        ("Falcon", "Falcons and falconry", []),
        ("Project Falcon", "Project of Falcon", []),
        ("a.*", "abc", []),
        ("a b", "a b a b", ["a b", "a b"]),
        ("a a", "a a a", ["a a", "a a"]),
        ("anything", "", []),
    ],
)
def test_when_a_phrase_is_looked_for_then_it_is_found_as_whole_words(phrase: str, text: str, there: list[str]) -> None:
    assert found(phrase, text) == there


@pytest.mark.parametrize("phrase", ["", "  ", "***", "x" * 201])
def test_when_a_phrase_can_not_be_used_then_the_error_says_what_is_wanted(phrase: str) -> None:
    with pytest.raises(ValueError, match="wanted phrases of 1 to 200 characters with a letter or digit, got"):
        Phrases([phrase])


def test_when_there_are_too_many_then_the_error_says_how_many() -> None:
    with pytest.raises(ValueError, match="wanted at most 1,000 phrases, got 1,001"):
        Phrases(f"phrase {number}" for number in range(MOST_PHRASES + 1))


@given(st.text(max_size=30), st.text(max_size=30), st.sampled_from(["Project Falcon", "été", "猎鹰 x"]))
def test_when_a_phrase_stands_between_anything_then_it_is_found(before: str, after: str, phrase: str) -> None:
    text = f"{before} {phrase} {after}"
    assert any(phrase in text[start:end] for start, end in Phrases([phrase]).find(text))
