"""Drawing: filters that a question states in declared words, and everything that only looks like it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.answer.drawing import drawn, problem_of_phrase
from processors.answer.filters import FilterField, FilterFields

FIELDS = {
    "article": FilterField("word", phrases=("in the article on {value}", "in the {value} handbook")),
    "year": FilterField(
        "number", phrases=("of {value}",), since=("since {value}",), until=("until {value}",), least=1900, most=2100
    ),
    "day": FilterField("date", phrases=("dated {value}",)),
    "product": FilterField("choice", values=(("Model X", ("MX", "the x one")), ("C++", ())), phrases=("{value}",)),
}


@pytest.mark.parametrize(
    ("question", "filters"),
    [
        ("In the article on Super Bowl 50, who won?", {"article": "Super Bowl 50"}),
        ('Who won in the article on "Fresno, California"?', {"article": "Fresno, California"}),
        ("What is it called in the article on St. Louis?", {"article": "St. Louis"}),
        ("Who is paid what IN  THE  HR leave handbook and why?", {"article": "HR leave"}),
        ("What was built since 1990?", {"year": ">=1990"}),
        ("What was built until 1990, and by whom?", {"year": "<=1990"}),
        ("What was built since 1990 and until 1999?", {"year": "1990..1999"}),
        ("Who wrote the report of 1990", {"year": "1990"}),
        ("Which memo is dated 5 March 2020, by whom?", {"day": "2020-03-05"}),
        ("Which memo is dated March 5, 2020?", {"day": "2020-03-05"}),
        ("Which memo is dated march 2020?", {"day": "2020-03"}),
        ("Which memo is dated 2020-03-05?", {"day": "2020-03-05"}),
        ("How do I reset the mx or the Model X?", {"product": "Model X"}),
        ("How do I link C++ code?", {"product": "C++"}),
        ("In the article on Rome, what fell since 1990?", {"article": "Rome", "year": ">=1990"}),
    ],
)
def test_when_a_phrase_stands_in_a_question_then_its_value_is_drawn(question: str, filters: dict[str, str]) -> None:
    assert drawn(question, FIELDS, {}) == filters
    assert FilterFields(FIELDS).problem("acme", filters) == ""


@pytest.mark.parametrize(
    "question",
    [
        "Who won Super Bowl 50?",
        "What has happened since?",
        "What has happened since 40 people came?",
        "Who has it since 1990-03-05?",
        "How much since 1990km?",
        "What rose by since 2000%?",
        "What was built since 1990 or since 1995?",
        "Which report of 1990 changed since 1980?",
        "What was built until 1980 and since 1990?",
        "Which memo is dated 2020-02-31?",
        "Which memo is dated 31 February 2020?",
        "Not in the article on Rome, who won?",
        "Who won, other than in the article on Rome?",
        "Who won except in the article on Rome, and who lost in the article on Rome?",
        "How does the Model X differ from C++?",
        "What is a Model Xerox?",
        "What is C+++?",
        "In the article on a matter that goes on for very many words, who?",
        "in the handbook",
        "in the article on ?",
    ],
)
def test_when_it_is_not_unmistakable_then_nothing_is_drawn(question: str) -> None:
    assert drawn(question, FIELDS, {}) == {}


def test_when_the_asker_gave_the_field_then_it_is_not_drawn() -> None:
    question = "In the article on Rome, what fell since 1990?"
    assert drawn(question, FIELDS, {"year": "1950"}) == {"article": "Rome"}


@pytest.mark.parametrize(
    ("phrase", "kind", "said"),
    [
        ("in {value}", "word", ""),
        ("{value}", "choice", ""),
        ("in it", "word", "wanted {value} once in the phrase 'in it', found it 0 times"),
        ("{value} to {value}", "number", "found it 2 times"),
        ("{value}", "number", "wanted words beside {value} in a phrase of kind number"),
        ("({value})", "word", "wanted words beside {value}"),
    ],
)
def test_when_a_phrase_is_declared_then_one_that_every_question_holds_is_refused(
    phrase: str, kind: str, said: str
) -> None:
    problem = problem_of_phrase(phrase, kind)  # type: ignore[arg-type]
    assert said in problem and bool(problem) == bool(said)


ODDLY = st.text(st.sampled_from('in the article on of since until dated Model X {}\\.,?"1990-03 '), max_size=200)


@given(ODDLY)
def test_when_any_text_is_asked_then_whatever_is_drawn_can_be_used(question: str) -> None:
    assert FilterFields(FIELDS).problem("acme", drawn(question, FIELDS, {})) == ""
