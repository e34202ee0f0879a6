"""Several questions in one are searched for one by one as well; what asks once is left whole."""

from __future__ import annotations

import pytest

from processors.answer.rewrite import plan
from processors.answer.sessions import NOTHING_SAID
from processors.answer.several import parts_of
from schemas.queries import QueryPlanned
from tests.processors.answer.questions import TENANT, query


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("Who built the mill? When was the ferry lost?", 2),
        ("When was the mill built and in which year was the ferry lost?", 2),
        ("Where is the old mill? Where is the ferry house? Where is the town hall?", 3),
        ("Who built the mill and the ferry?", 0),
        ("Who built the mill and why?", 0),
        ("What did the miller, who and when unknown, build?", 0),
        ("Is it so? Who built the mill?", 0),
        ("Who built the old mill? " * 4, 0),
        ("", 0),
    ],
)
def test_when_a_text_asks_several_things_then_each_is_a_part_of_it(question: str, parts: int) -> None:
    assert len(parts_of(question)) == parts


def test_when_several_are_asked_then_the_whole_and_each_part_are_searched_for_within_four() -> None:
    asked = "Where is the old mill? Where is the ferry house? Where is the town hall?"
    outcome = plan(TENANT, query(asked), NOTHING_SAID)
    assert isinstance(outcome, QueryPlanned)
    assert outcome.variants == (asked, "Where is the old mill?", "Where is the ferry house?", "Where is the town hall?")
