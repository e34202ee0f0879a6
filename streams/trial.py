"""A trial: labelled passages and questions through the steps of both journeys, in memory, over an index of its own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from processors.contract import Outcome
from schemas.documents import DocumentChanged
from schemas.queries import AnswerWithheld, Query, QueryAsked
from streams.answer import ANSWER
from streams.cache_settings import AnswerCaching
from streams.driver import Driver
from streams.errors import StreamsError
from streams.hop import AnyTopic, Journey
from streams.ingest import INGEST
from streams.parts import Parts
from streams.pipeline import Origin
from streams.settings import Settings
from topics.answer import ANSWER_GIVEN, QUERY_ASKED
from topics.ingest import DOCUMENT_CHANGED, DOCUMENT_INDEXED

__all__ = ["EvaluationError", "Line", "Trial", "read_lines"]

TENANT: Final = "eval"
# What is withheld for another reason is no answer: something is wrong with the trial itself.
_ANSWERS: Final = frozenset({"not_in_documents", "no_question", "out_of_scope"})
NO_DEADLINE_MS: Final = 60_000
"""Quality is measured, not time: ranking takes as long as it takes."""
ROUND: Final = 100
"""Documents or questions at a time, so that memory stays flat and progress shows."""

Line = dict[str, Any]


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


class Trial:
    """Ingests passages and asks questions with the settings' own steps. Use it as a context, to measure quality.

    >>> with Trial(settings, say, until="rerank") as trial:                        # doctest: +SKIP
    ...     trial.ingest([{"id": "a", "text": "The lease lasts 30 s."}])
    ...     found = trial.ask([{"id": "1", "question": "How long is a lease?"}], [PASSAGES_RANKED])

    `until` is the last step of the answer journey that runs. Every question is worked out, whatever the settings keep.
    Raises EvaluationError for a passage that is not indexed
    and a question that no step can answer.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None], until: str) -> None:
        self._settings = settings
        self._say = say
        self._until = until
        self._closing = ExitStack()

    def __enter__(self) -> Trial:
        folder = Path(self._closing.enter_context(tempfile.TemporaryDirectory(prefix="headwater-eval-")))
        index = self._settings.index.model_copy(update={"folder": folder})
        retrieve = self._settings.retrieve.model_copy(update={"rerank_deadline_ms": NO_DEADLINE_MS})
        own = {"index": index, "retrieve": retrieve, "claims_folder": folder / "claims", "cache": AnswerCaching()}
        parts = Parts(self._settings.model_copy(update=own))
        self._closing.callback(parts.close)
        self._clock = parts.port("clock")
        parts.port("heads").open()
        last = next(place for place, hop in enumerate(ANSWER) if hop.name == self._until)
        asking = Journey("answer", list(ANSWER)[: last + 1])
        self._driver = Driver([INGEST, asking], parts.port, parts.memory_codec(), Origin(self._clock), batch=ROUND)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def now(self) -> float:
        """Seconds, to be subtracted."""
        return float(self._clock.monotonic())

    def ingest(self, passages: Sequence[Line]) -> None:
        """Every passage becomes a document of its id; `title`, or else `article`, is its title."""
        for done, lines in _rounds(passages):
            for line in lines:
                self._driver.put(DOCUMENT_CHANGED, _document(line))
            self._run()
            self._must_be_indexed(len(lines))
            self._driver.forget()
            self._say(f"ingested {done} of {len(passages)} passages")

    def ask(self, questions: Sequence[Line], topics: Sequence[AnyTopic], most: int = 6) -> list[Any]:
        """Asks every question and returns what came out on these topics; `most` passages are wanted.

        Raises EvaluationError for a question that is refused: an abstention is an answer, a refusal is a fault.
        """
        found = list[Any]()
        for done, lines in _rounds(questions):
            for line in lines:
                query = Query(query_id=str(line["id"]), question=str(line["question"]), max_passages=most)
                self._driver.put(QUERY_ASKED, QueryAsked(tenant=TENANT, query=query))
            self._run()
            self._must_not_be_refused()
            found += [event for topic in topics for event in self._driver.events(topic)]
            self._driver.forget()
            self._say(f"asked {done} of {len(questions)} questions")
        return found

    def _must_be_indexed(self, count: int) -> None:
        if (receipts := len(self._driver.events(DOCUMENT_INDEXED))) != count:
            letters = [letter for name, log in self._driver.topics.items() if name.endswith(".dlq") for letter in log]
            reason = dict(letters[0].headers).get("dlq.reason", b"").decode() if letters else "no receipt"
            raise EvaluationError(f"{count - receipts} passages were not indexed: {reason}")

    def _must_not_be_refused(self) -> None:
        for event in self._driver.events(ANSWER_GIVEN):
            if isinstance(event, AnswerWithheld) and event.reason not in _ANSWERS:
                raise EvaluationError(f"question {event.answer_id!r} was refused: {event.message}")

    def _run(self) -> None:
        try:
            self._driver.run()
        except Outcome as outcome:
            raise EvaluationError(f"a step can't go on: {outcome}") from outcome


def _document(line: Line) -> DocumentChanged:
    title = str(line.get("title") or line.get("article", "")).replace("_", " ")
    body = str(line["text"]).encode()
    return DocumentChanged(tenant=TENANT, document=str(line["id"]), media_type="text/plain", body=body, title=title)


def _rounds(lines: Sequence[Line]) -> Iterator[tuple[int, Sequence[Line]]]:
    for start in range(0, len(lines), ROUND):
        some = lines[start : start + ROUND]
        yield start + len(some), some
