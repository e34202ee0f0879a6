"""Follow-ups: a question leans on what its session said before, or stands by itself and is left alone."""

from __future__ import annotations

import pytest

from processors.answer.followups import leans, meanings
from processors.answer.sessions import Session, Turn
from schemas.envelope import Micros


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


def turn(question: str, title: str = "", answer: str = "") -> Turn:
    return Turn("a", Micros(1), question, titles=(title,) if title else (), answer=answer)


BORN = turn("When was Nikola Tesla born?", "Inventors")


@pytest.mark.parametrize(
    ("said", "question", "meant"),
    [
        ((BORN,), "Where did he die?", ("Where did he die? Inventors", "Where did he die? Nikola Tesla born")),
        ((BORN,), "Where did Tesla die?", ()),
        ((), "Where did he die?", ()),
        ((turn("Who are they?"),), "Where are they?", ()),
        ((turn("When was Tesla born?"),), "And Edison?", ("And Edison? Tesla born",)),
        (
            (turn("Who invented the dynamo?", "Inventors", "Siemens"),),
            "When did he die?",
            ("When did he die? Inventors", "When did he die? invented dynamo Siemens"),
        ),
        (
            (turn("Where is Rome?", "Rome"), BORN, turn("Where did he study?", "Graz")),
            "And in 1890?",
            ("And in 1890? Graz", "And in 1890? Nikola Tesla born study"),
        ),
        ((BORN, turn("Where did he die?")), "And why?", ("And why? Inventors", "And why? Nikola Tesla born die")),
    ],
    ids=["names", "stands by itself", "nothing said", "nothing named", "no title", "answer", "since then", "no answer"],
)
def test_when_a_question_leans_then_it_means_what_was_asked_about_since_one_that_stood_by_itself(
    said: tuple[Turn, ...], question: str, meant: tuple[str, ...]
) -> None:
    assert meanings(question, Session(said)) == meant


def test_when_what_it_leans_on_was_summarised_then_that_is_leant_on() -> None:
    asked_on = tuple(turn("And who else?") for _ in range(8))
    assert meanings("Where did he die?", Session(asked_on, (BORN.note,)))[0] == "Where did he die? Inventors"


def test_when_very_much_was_said_then_a_question_takes_a_bounded_part_of_it_the_last() -> None:
    said = turn(" ".join(f"word{number}" for number in range(200)))
    (meant,) = meanings("And why?", Session((said,)))
    assert len(meant.split()) == 42 and meant.endswith("word199")
