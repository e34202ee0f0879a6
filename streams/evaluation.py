"""Measures retrieval on labelled questions, through the steps of both journeys in memory over an index of its own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypedDict

from processors.contract import Outcome
from processors.measure.ranking import ranking_scores
from schemas.documents import DocumentChanged
from schemas.queries import AnswerWithheld, PassagesRanked, Query, QueryAsked
from streams.answer import ANSWER
from streams.driver import Driver
from streams.errors import StreamsError
from streams.hop import Journey
from streams.ingest import INGEST
from streams.parts import Parts
from streams.pipeline import Origin
from streams.settings import Settings
from topics.answer import ANSWER_GIVEN, PASSAGES_RANKED, QUERY_ASKED
from topics.ingest import DOCUMENT_CHANGED, DOCUMENT_INDEXED

TENANT: Final = "eval"
DEPTH: Final = 10
"""How many distinct documents are judged: what the @10 measures need."""
ROUND: Final = 100
"""Documents or questions at a time, so that memory stays flat and progress shows."""

Line = dict[str, Any]
Report = TypedDict(
    "Report",
    {
        "recall@1": float,
        "recall@5": float,
        "mrr@10": float,
        "ndcg@10": float,
        "questions": int,
        "passages": int,
        "seconds": float,
        "ms_per_question": float,
    },
)


class EvaluationError(StreamsError):
    """The data can't be used, or a passage or question was refused by a step; the message names it."""


def read_lines(path: Path, wanted: Sequence[str]) -> list[Line]:
    """The objects of a JSON-lines file. Raises EvaluationError with the line that lacks a field."""
    lines = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            line = json.loads(text)
            missing = [name for name in wanted if name not in line]
        except (ValueError, TypeError) as error:
            raise EvaluationError(f"{path.name} line {number}: wanted a JSON object, got {text[:60]!r}") from error
        if missing:
            raise EvaluationError(f"{path.name} line {number}: wanted the fields {', '.join(missing)}")
        lines.append(line)
    return lines


def evaluate_retrieval(
    settings: Settings, passages: Sequence[Line], questions: Sequence[Line], say: Callable[[str], None]
) -> Report:
    """Ingests the passages, asks the questions, judges the ranked documents against the labelled passage."""
    with tempfile.TemporaryDirectory(prefix="headwater-eval-") as folder:
        parts = Parts(_for_trial(settings, Path(folder)))
        try:
            return _Trial(parts, say).run(passages, questions)
        finally:
            parts.close()


def _for_trial(settings: Settings, folder: Path) -> Settings:
    """The same settings, with an index of its own and ranking as deep as the measures look."""
    index = settings.index.model_copy(update={"folder": folder})
    retrieve = settings.retrieve.model_copy(
        update={"passages": max(settings.retrieve.candidates, 2 * DEPTH), "rerank_deadline_ms": 60_000}
    )
    return settings.model_copy(update={"index": index, "retrieve": retrieve, "claims_folder": folder / "claims"})


class _Trial:
    def __init__(self, parts: Parts, say: Callable[[str], None]) -> None:
        self._parts = parts
        self._say = say
        self._clock = parts.port("clock")
        parts.port("heads").open()
        until_ranked = Journey("answer", [hop for hop in ANSWER if hop.name in _FINDING])
        self._driver = Driver(
            [INGEST, until_ranked], parts.port, parts.memory_codec(), Origin(self._clock), batch=ROUND
        )

    def run(self, passages: Sequence[Line], questions: Sequence[Line]) -> Report:
        started = self._clock.monotonic()
        for done, some in _rounds(passages):
            self._ingest(some)
            self._say(f"ingested {done} of {len(passages)} passages")
        asked = self._clock.monotonic()
        runs: dict[str, tuple[str, ...]] = {}
        for done, some in _rounds(questions):
            runs |= self._ask(some)
            self._say(f"asked {done} of {len(questions)} questions")
        scores = ranking_scores(runs, {str(line["id"]): _relevant(line) for line in questions})
        return {
            "recall@1": round(scores.recall_at_1, 4),
            "recall@5": round(scores.recall_at_5, 4),
            "mrr@10": round(scores.mrr_at_10, 4),
            "ndcg@10": round(scores.ndcg_at_10, 4),
            "questions": scores.questions,
            "passages": len(passages),
            "seconds": round(self._clock.monotonic() - started, 1),
            "ms_per_question": round(1000 * (self._clock.monotonic() - asked) / max(1, len(questions)), 2),
        }

    def _ingest(self, lines: Sequence[Line]) -> None:
        for line in lines:
            body = str(line["text"]).encode()
            title = str(line.get("title") or line.get("article", "")).replace("_", " ")
            change = DocumentChanged(
                tenant=TENANT, document=str(line["id"]), media_type="text/plain", body=body, title=title
            )
            self._driver.put(DOCUMENT_CHANGED, change)
        self._run()
        if (receipts := len(self._driver.events(DOCUMENT_INDEXED))) != len(lines):
            letters = [letter for name, log in self._driver.topics.items() if name.endswith(".dlq") for letter in log]
            reason = dict(letters[0].headers).get("dlq.reason", b"").decode() if letters else "no receipt"
            raise EvaluationError(f"{len(lines) - receipts} passages were not indexed: {reason}")
        self._driver.forget()

    def _ask(self, lines: Sequence[Line]) -> dict[str, tuple[str, ...]]:
        for line in lines:
            query = Query(query_id=str(line["id"]), question=str(line["question"]), max_passages=1_000)
            self._driver.put(QUERY_ASKED, QueryAsked(tenant=TENANT, query=query))
        self._run()
        for withheld in self._driver.events(ANSWER_GIVEN):
            if isinstance(withheld, AnswerWithheld):
                raise EvaluationError(f"question {withheld.answer_id!r} was refused: {withheld.message}")
        found = {event.query.query_id: _documents(event) for event in self._driver.events(PASSAGES_RANKED)}
        self._driver.forget()
        return found

    def _run(self) -> None:
        try:
            self._driver.run()
        except Outcome as outcome:
            raise EvaluationError(f"a step can't go on: {outcome}") from outcome


_FINDING: Final = frozenset({"admit", "rewrite", "retrieve", "rerank"})


def _documents(ranked: PassagesRanked) -> tuple[str, ...]:
    """The documents of the passages, each once, best first."""
    return tuple(dict.fromkeys(passage.document for passage in ranked.passages))


def _rounds(lines: Sequence[Line]) -> Iterator[tuple[int, Sequence[Line]]]:
    for start in range(0, len(lines), ROUND):
        some = lines[start : start + ROUND]
        yield start + len(some), some


def _relevant(line: Line) -> dict[str, int]:
    """The grades of a question: those given, else its one passage."""
    grades = line.get("relevant") or {line["passage"]: 1}
    return {str(document): int(grade) for document, grade in grades.items()}
