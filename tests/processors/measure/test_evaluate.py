"""Evaluate: one evaluation per answer, by measures that need no labels."""

from __future__ import annotations

import pytest

from adapters.judges import OverlapJudge
from processors.measure.evaluate import evaluate
from schemas.envelope import Version
from schemas.queries import AnswerGiven, AnswerWithheld, Citation


def citation(number: int, quote: str) -> Citation:
    return Citation(
        number=number,
        document="handbook.md",
        version=Version(source=0, offset=1),
        object_id="o",
        chunk="c",
        title="Handbook",
        source_uri="file:handbook.md",
        quote=quote,
        start=0,
        end=len(quote),
    )


def given(text: str, *citations: Citation) -> AnswerGiven:
    return AnswerGiven(
        tenant="acme",
        answer_id="q-1",
        question="How long is a delta kept?",
        text=text,
        citations=citations,
        model="extractive",
        prompt_version="answer@1",
        confidence=0.7,
    )


def scored(answer: AnswerGiven | AnswerWithheld) -> dict[str, float]:
    (evaluated,) = evaluate(answer, OverlapJudge())
    assert (evaluated.answer_id, evaluated.tenant) == ("q-1", "acme")
    return {score.metric: score.value for score in evaluated.scores}


HOUR = citation(1, "A delta is kept for one hour.")


def test_when_every_sentence_is_quoted_then_it_is_faithful_and_rightly_cited() -> None:
    scores = scored(given("A delta is kept for one hour. [1]", HOUR))
    assert (scores["faithfulness"], scores["citation_correctness"], scores["citation_coverage"]) == (1.0, 1.0, 1.0)
    assert (scores["abstained"], scores["confidence"]) == (0.0, 0.7)
    assert scores["answer_relevance"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("text", "faithfulness", "correctness", "coverage"),
    [
        ("A delta is kept for one hour. [1] Nobody cites this.", 0.5, 1.0, 0.5),
        ("A delta is kept for one hour. [1][2]", 1.0, 0.5, 1.0),
        ("The moon is cheese. [1]", 0.0, 0.0, 1.0),
        ("A delta is kept for one hour. [7]", 0.0, 0.0, 1.0),
        ("", 0.0, 0.0, 0.0),
    ],
)
def test_when_citations_are_missing_or_wrong_then_the_scores_say_so(
    text: str, faithfulness: float, correctness: float, coverage: float
) -> None:
    scores = scored(given(text, HOUR, citation(2, "Kafka is a log.")))
    assert scores["faithfulness"] == pytest.approx(faithfulness)
    assert scores["citation_correctness"] == pytest.approx(correctness)
    assert scores["citation_coverage"] == pytest.approx(coverage)


def test_when_withheld_then_only_the_abstention_is_scored() -> None:
    withheld = AnswerWithheld(
        tenant="acme", answer_id="q-1", question="Why?", reason="not_in_documents", message="Not there."
    )
    assert scored(withheld) == {"abstained": 1.0}
