"""The shipped corpus is what the demo and the evaluation rely on: enough documents, and true questions."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

CORPUS = Path(__file__).parents[2] / "examples" / "corpus"
DOCUMENTS = sorted(path for path in CORPUS.rglob("*") if path.suffix in {".md", ".html", ".txt"})
PLAN: dict[str, Any] = json.loads(CORPUS.with_name("questions.json").read_text("utf-8"))
QUESTIONS: list[dict[str, str | None]] = PLAN["questions"]
ANSWERED = [case for case in QUESTIONS if case["document"] is not None]
UNANSWERED = [case for case in QUESTIONS if case["document"] is None]


def _words(path: Path) -> int:
    return len(re.sub(r"<[^>]+>", " ", path.read_text("utf-8")).split())


def _holding(text: str) -> list[str]:
    return [str(path.relative_to(CORPUS)) for path in DOCUMENTS if text in path.read_text("utf-8")]


def test_when_the_corpus_is_counted_then_every_format_is_there() -> None:
    counts = Counter(path.suffix for path in DOCUMENTS)
    assert len(DOCUMENTS) >= 64
    assert counts[".md"] >= 40
    assert counts[".html"] >= 14
    assert counts[".txt"] >= 10


def test_when_the_corpus_folder_is_listed_then_only_documents_lie_there() -> None:
    """What lies there is ingested, whatever it is: the questions would be found, and would answer themselves."""
    assert {path.name for path in CORPUS.rglob("*") if path.is_file() and path not in DOCUMENTS} == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(CORPUS)))
def test_when_a_document_is_read_then_it_is_prose_of_some_length_in_utf_8(path: Path) -> None:
    text = path.read_bytes().decode("utf-8")
    assert 350 <= _words(path) <= 2_500
    assert text.endswith("\n")
    assert "\ufffd" not in text
    assert re.fullmatch(r"[a-z0-9-]+", path.stem)


def test_when_long_documents_are_counted_then_there_are_two_at_least() -> None:
    assert sum(_words(path) >= 1_500 for path in DOCUMENTS) >= 2


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if path.suffix == ".html"], ids=lambda path: path.stem)
def test_when_a_page_is_html_then_boilerplate_stands_around_its_text(path: Path) -> None:
    text = path.read_text("utf-8")
    assert re.search(r"<title>[^<]+ \| The River Handbook</title>", text)
    assert "<nav" in text
    assert "<footer" in text


def test_when_titles_are_compared_then_no_two_documents_share_one() -> None:
    firsts = [re.findall(r"^# (.+)|<h1>(.+)</h1>|\A(.+)", path.read_text("utf-8"), re.M)[0] for path in DOCUMENTS]
    titles = Counter("".join(first).lower() for first in firsts if "doctype" not in "".join(first).lower())
    assert [title for title, count in titles.items() if count > 1] == []


def test_when_questions_are_counted_then_thirty_of_two_kinds_are_there() -> None:
    assert len(ANSWERED) == 24
    assert len(UNANSWERED) == 6
    assert all(case["answer"] is None for case in UNANSWERED)
    assert len({case["question"] for case in QUESTIONS}) == 30


@pytest.mark.parametrize("case", ANSWERED, ids=lambda case: str(case["document"]))
def test_when_a_question_has_an_answer_then_it_stands_literally_in_its_document(case: dict[str, str]) -> None:
    assert case["answer"] in (CORPUS / case["document"]).read_text("utf-8")


def test_when_the_demo_edits_then_the_number_stands_once_and_only_there() -> None:
    edit = PLAN["demo"]["edit"]
    assert _holding(edit["old"]) == [edit["document"]]
    assert (CORPUS / edit["document"]).read_text("utf-8").count(edit["old"]) == 1
    assert _holding(edit["new"]) == []


def test_when_the_demo_deletes_then_no_other_document_knows_the_answer() -> None:
    deleted = PLAN["demo"]["delete"]
    assert _holding("Heron Mill") == [deleted["document"]]
    assert _holding("fifty-two hours") == [deleted["document"]]


def test_when_the_demo_asks_then_it_asks_five_and_among_them_the_two_that_will_change() -> None:
    demo = PLAN["demo"]
    assert len(demo["questions"]) == 5
    assert {demo["edit"]["question"], demo["delete"]["question"]} <= set(demo["questions"])
