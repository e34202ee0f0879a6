"""Follow-ups: a question leans on what its session said before, or stands by itself and is left alone."""

from __future__ import annotations

import pytest

from processors.answer.followups import Leaning, leaning
from schemas.envelope import Micros


@pytest.mark.parametrize(
    ("question", "lean"),
    [
        ("Where did he die?", "pronoun"),
        ("What is its capital?", "pronoun"),
        ("How many of them were built?", "pronoun"),
        ("What caused this war?", ""),
        ("What happened after that?", "pronoun"),
        ("And in 1998?", "ellipsis"),
        ("How about the second one?", "ellipsis"),
        ("Why?", "ellipsis"),
        ("Who else?", "ellipsis"),
        ("Why did he do that?", "ellipsis"),
        ("Where did Tesla live when he was young?", ""),
        ("When was the oil crisis?", ""),
        ("Who is the author that wrote the book?", ""),
        ("Who is Tesla?", ""),
        ("Was ist die Hauptstadt von Polen?", ""),
        ("", "ellipsis"),
    ],
)
def test_when_a_question_is_read_then_how_it_leans_is_told(question: str, lean: Leaning) -> None:
    assert leaning(question) == lean
