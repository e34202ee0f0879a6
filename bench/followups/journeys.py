"""All of ingest and answering in memory, over SQuAD's passages: what benches of sessions and of notes ask."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from processors.measure.answering import holds_answer
from schemas.documents import DocumentChanged
from schemas.envelope import Event
from schemas.queries import AnswerGiven, AnswerWithheld, Passage, Query, QueryAsked
from streams.answer import ANSWER
from streams.driver import Driver
from streams.hop import AnyTopic
from streams.ingest import INGEST
from streams.parts import Parts
from streams.pipeline import Origin
from streams.settings import load
from streams.trial import Line
from topics.answer import ANSWER_GIVEN, PASSAGES_FOUND, PASSAGES_RANKED, QUERY_ASKED
from topics.ingest import DOCUMENT_CHANGED

__all__ = ["TENANT", "Heard", "Journeys", "opened", "right", "say"]

TENANT: Final = "bench"
ROUND: Final = 100
# Quality is measured: ranking takes as long as it takes.
NO_DEADLINE_MS: Final = 60_000


@dataclass(frozen=True)
class Heard:
    """What a question found, what of it was read, and how it ended."""

    found: tuple[Passage, ...]
    read: tuple[Passage, ...]
    answer: AnswerGiven | AnswerWithheld

    @property
    def text(self) -> str:
        """The answer's; empty where none was given."""
        return self.answer.text if isinstance(self.answer, AnswerGiven) else ""


class Journeys:
    """Both journeys over some parts; ports given by name stand in for theirs."""

    def __init__(self, parts: Parts, **ports: Any) -> None:
        origin = Origin(parts.port("clock"))
        # A port that holds nothing yet is one all the same.
        self._driver = Driver(
            [INGEST, ANSWER],
            lambda name: ports[name] if name in ports else parts.port(name),
            parts.memory_codec(),
            origin,
            ROUND,
        )

    def publish(self, passages: Sequence[Line]) -> None:
        """The passages, each a document under the title of its article."""
        for start in range(0, len(passages), ROUND):
            for line in passages[start : start + ROUND]:
                self._driver.put(DOCUMENT_CHANGED, _document(line))
            self._driver.run()
            self._driver.forget()
            say(f"published {min(start + ROUND, len(passages))} of {len(passages)}")

    def put(self, topic: AnyTopic, event: Event) -> None:
        """An event, and all that follows from it."""
        self._driver.put(topic, event)
        self._driver.run()
        self._driver.forget()

    def ask(self, query: Query) -> Heard:
        """A question, to its end."""
        self._driver.put(QUERY_ASKED, QueryAsked(tenant=TENANT, event_id=query.query_id, query=query))
        self._driver.run()
        found, read = (
            tuple(passage for event in self._driver.events(topic) for passage in event.passages)
            for topic in (PASSAGES_FOUND, PASSAGES_RANKED)
        )
        (answer,) = self._driver.events(ANSWER_GIVEN)
        self._driver.forget()
        return Heard(found, read, answer)


@contextmanager
def opened(model: str) -> Iterator[tuple[Parts, Path]]:
    """Parts over an empty index of their own, with its folder; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as folder:
        retrieve = {"rerank_deadline_ms": NO_DEADLINE_MS}
        settings = load(embed={"model": model}, index={"folder": Path(folder)}, retrieve=retrieve)
        with closing(Parts(settings)) as parts:
            parts.port("heads").open()
            yield parts, Path(folder)


def right(text: str, line: Line) -> bool:
    """Whether an answer's text holds one of a labelled question's golden ones."""
    return bool(text) and holds_answer(text, tuple(map(str, line["answers"])))


def say(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


def _document(line: Line) -> DocumentChanged:
    name, title = str(line["id"]), str(line["article"]).replace("_", " ")
    body = str(line["text"]).encode()
    return DocumentChanged(tenant=TENANT, event_id=name, document=name, media_type="text/plain", body=body, title=title)
