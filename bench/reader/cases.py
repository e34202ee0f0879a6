"""Cases for a reader out of labelled questions: windows that hold the answer, and promising ones that don't."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.reader.made_up import Article, made_up
from processors.answer.extract import windows
from processors.answer.reader import Window
from schemas.envelope import Version
from schemas.queries import Passage, Source

__all__ = ["Case", "Question", "cases", "made_up_cases", "questions_in", "questions_of"]

# Of a question that nothing answers two windows are read, since none shows what an answer is.
WRONG: Final = {True: 1, False: 2}
# A file of one article only is taken for articles of so many passages.
PASSAGES: Final = 40


@dataclass(frozen=True)
class Question:
    """A labelled question with its passage; no golden answers where that does not answer it."""

    id: str
    text: str
    golden: tuple[str, ...]
    article: str
    title: str
    passage: str


@dataclass(frozen=True)
class Case:
    """A question with a window; `answers` are the places in it that answer, none where it does not."""

    question: str
    window: Window
    answers: tuple[tuple[int, int], ...]
    article: str
    question_id: str
    golden: tuple[str, ...]


def questions_of(folder: Path) -> list[Question]:
    """The questions of SQuAD's files in the folder, each once: those of 1.1 that 2.0 has too are the same."""
    found = dict[str, Question]()
    for name in ("1.1", "2.0"):
        passages = {line["id"]: line["text"] for line in _lines(folder / f"squad-{name}-passages.jsonl")}
        for line in _lines(folder / f"squad-{name}-questions.jsonl"):
            article, text = line["article"], passages[line["passage"]]
            title = article.replace("_", " ")
            one = Question(line["id"], line["question"], tuple(line["answers"]), article, title, text)
            found.setdefault(one.id, one)
    return list(found.values())


def questions_in(path: Path) -> list[Question]:
    """The questions of a file in SQuAD's own format."""
    articles = json.loads(path.read_text(encoding="utf-8"))["data"]
    passages = [passage for article in articles for passage in article["paragraphs"]]
    return [
        Question(
            line["id"],
            line["question"].strip(),
            tuple(answer["text"] for answer in line["answers"]),
            f"{path.stem} {place // PASSAGES}",
            "",
            passage["context"],
        )
        for place, passage in enumerate(passages)
        for line in passage["qas"]
    ]


def cases(questions: Sequence[Question]) -> list[Case]:
    """Of every question: a window with the answer and the most promising one without, or two without.

    None of a question whose answer stands in no sentence.
    """
    return [case for question in questions for case in _of(question)]


def made_up_cases(questions: Sequence[Question], share: float, chance: random.Random) -> list[Case]:
    """Of a share of the questions: the window that answers, with a made-up question that it does not answer."""
    articles = _articles(questions)
    return [
        case
        for question in questions
        if question.golden and chance.random() < share
        for case in _made_up(question, articles[question.article], chance)
    ]


def _made_up(question: Question, article: Article, chance: random.Random) -> Iterator[Case]:
    asked = made_up(question.text, question.passage, article, chance)
    right = next((case for case in _of(question) if case.answers), None)
    if asked and right:
        yield Case(asked, right.window, (), question.article, question.id, ())


def _articles(questions: Sequence[Question]) -> Mapping[str, Article]:
    texts = defaultdict[str, list[str]](list)
    for question in questions:
        texts[question.article] += (question.text, question.passage)
    return {name: Article.of(sorted(set(held))) for name, held in texts.items()}


def _of(question: Question) -> list[Case]:
    found = [_case(question, window) for window in windows(question.text, _source(question))]
    right = [case for case in found if case.answers]
    wrong = [case for case in found if not case.answers]
    if question.golden and not right:
        return []
    return [*right[:1], *wrong[: WRONG[bool(right)]]]


def _case(question: Question, window: Window) -> Case:
    places = _places(question.golden, window)
    return Case(question.text, window, places, question.article, question.id, question.golden)


def _places(golden: Sequence[str], window: Window) -> tuple[tuple[int, int], ...]:
    found = {(window.text.find(answer, window.start), len(answer)) for answer in golden}
    return tuple(sorted((start, start + length) for start, length in found if start >= 0))


def _source(question: Question) -> Source:
    text = question.passage
    passage = Passage(
        object_id=question.id,
        document=question.id,
        version=Version(source=0, offset=1),
        chunk=question.id,
        ordinal=0,
        text=text,
        title=question.title,
        source_uri="",
        start=0,
        end=len(text),
        score=1.0,
    )
    return Source(number=1, passage=passage)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
