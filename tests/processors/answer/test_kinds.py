"""Kinds of questions: talk and what names nothing are told apart; everything else is looked for."""

from __future__ import annotations

import pytest

from processors.answer.kinds import kind_of


@pytest.mark.parametrize(
    "said",
    [
        "hello", "Hi!", "Hello, how are you?", "Good morning.", "Thanks!", "Thank you very much!", "OK, thanks",
        "What can you do?", "who are you", "Help", "Hi, can you help me?", "Guten Tag!", "Vielen Dank",
        "Merci beaucoup !", "¡Hola! Buenos días", "Tschüss",
    ],
)  # fmt: skip
def test_when_nothing_is_asked_then_it_is_talk(said: str) -> None:
    assert kind_of(said) == "direct"


@pytest.mark.parametrize(
    "said", ["Why?", "what is it", "And how about this one?", "Who are they?", "Tell me more.", "When?"]
)
def test_when_a_question_names_nothing_then_it_is_out_of_scope(said: str) -> None:
    assert kind_of(said) == "out_of_scope"


@pytest.mark.parametrize(
    "said",
    [
        "Hello, when was Tesla born?", "Who wrote Hello?", "What is a greeting?", "Thanks to whom was it built?",
        "hi-fi", "What can you do about rust?", "Who is IT?", "What does WHO do?", "Who are The Who?", "1998?",
        "Was ist das?",
        "Wie lange?", "Qu'est-ce que c'est ?", "¿Qué es?", "これは何?", "что это?", "help desk", "Who are you quoting?",
    ],
)  # fmt: skip
def test_when_there_is_any_word_to_look_for_then_it_is_looked_for(said: str) -> None:
    assert kind_of(said) == "retrieval"
