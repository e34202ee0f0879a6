"""Rewrite: without a model, a question is searched for as it was asked."""

from __future__ import annotations

import pytest

from processors.answer.rewrite import rewrite
from schemas.queries import QueryAdmitted
from tests.processors.answer.questions import TENANT, query


@pytest.mark.parametrize("question", ["How long is a delta kept?", "Wie lange bleibt ein Delta?", "hello", "ログとは?"])
def test_when_planned_then_the_question_is_its_one_variant_in_its_language(question: str) -> None:
    (planned,) = rewrite(QueryAdmitted(tenant=TENANT, query=query(question)))
    assert (planned.kind, planned.variants) == ("retrieval", (question,))
    assert planned.query == query(question)
