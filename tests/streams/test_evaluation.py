"""The trials behind `headwater eval`: over the real steps, with an embedder that needs no model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streams.answer_evaluation import evaluate_answers
from streams.evaluation import evaluate_retrieval
from streams.settings import Settings, load
from streams.trial import EvaluationError, read_lines

PASSAGES = [
    {"id": "lease", "article": "Leases", "text": "A lease lasts 30 seconds. After that it is offered again."},
    {"id": "valve", "article": "Valves", "text": "The main valve was made by Leroy Sherman in 1931. It leaks."},
    {"id": "index", "article": "Indexes", "text": "An index keeps one object per chunk, and a head per document."},
]
QUESTIONS: list[dict[str, Any]] = [
    {"id": "1", "passage": "lease", "question": "How long does a lease last?", "answers": ["30 seconds", "30"]},
    {"id": "2", "passage": "valve", "question": "Who made the main valve?", "answers": ["Leroy Sherman"]},
    {"id": "3", "passage": "index", "question": "Which colour has the moon of Saturn?", "answers": []},
]


@pytest.fixture
def settings() -> Settings:
    return load(embed={"model": "hashing", "dimension": 64})


def quiet(_line: str) -> None:
    """Progress is of no interest here."""


def test_when_answers_are_measured_then_right_wrong_and_declined_ones_are_told_apart(settings: Settings) -> None:
    report = evaluate_answers(settings, PASSAGES, QUESTIONS, quiet)
    assert (report["questions"], report["answerable"], report["unanswerable"]) == (3, 2, 1)
    # Words alone find the valve's maker, and are not sure enough of the lease.
    assert report["answered"] == report["holds_answer"] == 0.5
    assert report["right_of_answered"] == report["declined"] == report["auc"] == 1.0
    assert (report["citations"], report["citations_hold"]) == (1, 1.0)
    assert report["risk_coverage"][-1] == {"coverage": 1.0, "risk": pytest.approx(2 / 3, abs=1e-4)}


def test_when_a_label_is_wrong_then_the_answer_counts_as_wrong(settings: Settings) -> None:
    wrong = [QUESTIONS[0], {**QUESTIONS[1], "answers": ["Sherman Leroy"]}]
    report = evaluate_answers(settings, PASSAGES, wrong, quiet)
    assert report["answered"] == 0.5
    assert report["holds_answer"] == report["right_of_answered"] == 0.0
    assert report["auc"] is None and report["declined"] is None


def test_when_retrieval_is_measured_then_the_labelled_passage_counts(settings: Settings) -> None:
    report = evaluate_retrieval(settings, PASSAGES, QUESTIONS[:2], quiet)
    assert report["recall@1"] == 1.0
    assert report["stages"] == {"bm25": 1.0, "dense": report["stages"]["dense"], "fused": 1.0, "ranked": 1.0}
    assert 0.0 < report["stages"]["dense"] <= 1.0
    wrong = [{**line, "passage": "index"} for line in QUESTIONS[:2]]
    assert evaluate_retrieval(settings, PASSAGES, wrong, quiet)["recall@1"] == 0.0
    graded = [{"id": "1", "question": QUESTIONS[0]["question"], "relevant": {"lease": 2, "valve": 0}}]
    assert evaluate_retrieval(settings, PASSAGES, graded, quiet)["ndcg@10"] == 1.0


def test_when_a_question_has_no_label_then_it_is_named(settings: Settings) -> None:
    with pytest.raises(EvaluationError, match="question '9'"):
        evaluate_retrieval(settings, PASSAGES, [{"id": "9", "question": "What is it?"}], quiet)


def test_when_a_question_is_refused_then_the_trial_says_so(settings: Settings) -> None:
    with pytest.raises(EvaluationError, match="question '9' was refused: Wanted a question, got no words"):
        evaluate_answers(settings, PASSAGES, [{"id": "9", "question": "?!", "answers": []}], quiet)


def test_when_a_line_lacks_a_field_or_is_no_json_then_it_is_named(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text('{"id": "1", "question": "?"}\n{"id": "2"}\n', encoding="utf-8")
    with pytest.raises(EvaluationError, match=r"questions\.jsonl line 2: wanted the fields question"):
        read_lines(file, ("id", "question"))
    file.write_text("not json\n", encoding="utf-8")
    with pytest.raises(EvaluationError, match=r"line 1: wanted a JSON object, got 'not json'"):
        read_lines(file, ("id",))
