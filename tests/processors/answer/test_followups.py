"""Follow-ups: a question leans on what its session said before, or stands by itself and is left alone."""

from __future__ import annotations

import pytest

from processors.answer.followups import leans


@pytest.mark.parametrize(
    ("question", "lean"),
    [
        ("Where did he die?", True),
        ("What is its capital?", True),
        ("How many of them were built?", True),
        ("What caused this war?", False),
        ("What happened after that?", True),
        ("And in 1998?", True),
        ("How about the second one?", True),
        ("Why?", True),
        ("Who else?", True),
        ("Why did he do that?", True),
        ("Where did Tesla live when he was young?", False),
        ("When was the oil crisis?", False),
        ("Who is the author that wrote the book?", False),
        ("Who is Tesla?", False),
        ("Was ist die Hauptstadt von Polen?", False),
        ("", True),
    ],
)
def test_when_a_question_is_read_then_how_it_leans_is_told(question: str, lean: bool) -> None:
    assert leans(question) is lean
