"""Cases for a reader out of labelled questions: windows that hold the answer, and promising ones that don't."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from processors.answer.extract import windows
from processors.answer.reader import Window
from schemas.envelope import Version
from schemas.queries import Passage, Source

__all__ = ["Case", "cases"]

# Of a question that nothing answers two windows are read, since none shows what an answer is.
WRONG: Final = {True: 1, False: 2}


@dataclass(frozen=True)
class Case:
    """A question with a window; `answers` are the places in it that answer, none where it does not."""

    question: str
    window: Window
    answers: tuple[tuple[int, int], ...]
    article: str
    question_id: str
    golden: tuple[str, ...]


def cases(folder: Path) -> list[Case]:
    """Of every question: a window with the answer and the most promising one without, or two without."""
    return [case for name in ("1.1", "2.0") for case in _of_set(folder, name)]


def _of_set(folder: Path, name: str) -> Iterator[Case]:
    passages = {line["id"]: line for line in _lines(folder / f"squad-{name}-passages.jsonl")}
    for line in _lines(folder / f"squad-{name}-questions.jsonl"):
        found = [_case(line, window) for window in windows(line["question"], _source(passages[line["passage"]]))]
        right = [case for case in found if case.answers]
        wrong = [case for case in found if not case.answers]
        yield from (*right[:1], *wrong[: WRONG[bool(right)]])


def _case(line: dict[str, Any], window: Window) -> Case:
    golden = tuple(line["answers"])
    return Case(line["question"], window, _places(golden, window), line["article"], line["id"], golden)


def _places(golden: Sequence[str], window: Window) -> tuple[tuple[int, int], ...]:
    found = {(window.text.find(answer, window.start), len(answer)) for answer in golden}
    return tuple(sorted((start, start + length) for start, length in found if start >= 0))


def _source(line: dict[str, Any]) -> Source:
    text = line["text"]
    passage = Passage(
        object_id=line["id"],
        document=line["id"],
        version=Version(source=0, offset=1),
        chunk=line["id"],
        ordinal=0,
        text=text,
        title=line["article"].replace("_", " "),
        source_uri="",
        start=0,
        end=len(text),
        score=1.0,
    )
    return Source(number=1, passage=passage)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
