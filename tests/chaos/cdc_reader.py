"""T10's reader: asks the real read path for one document after the other, and notes which revisions it was given."""

from __future__ import annotations

import json
import os
import random
import re
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from adapters.errors import UnavailableError
from processors.answer.limits import RetrievalLimits
from processors.answer.retrieve import retrieve
from schemas.queries import Passage, Query, QueryPlanned
from streams.parts import Parts
from tests.chaos.history import History

TENANT: Final = "chaos"
TITLE: Final = re.compile(r"^r(\d+)$")
REVISION: Final = re.compile(r"revision r(\d+)")
# Narrow, so that many reads fit: a document has a handful of chunks, and its name is in each of them.
LIMITS: Final = RetrievalLimits(candidates=8, rounds=3, widest=64)
PAUSE_S: Final = 0.002
AWAY_S: Final = 0.02
# Most reads are of a few documents, so that each of their versions is seen several times.
HOT: Final = 0.05
HOT_READS: Final = 0.7


@dataclass(frozen=True)
class ReaderSpec:
    """What the reader of a worker does: `documents` of them are asked for, none means that there is no reader.

    `defence` names what it does without (`tests/chaos/undefended_truth.py`); `name` tells its history from others'.
    """

    folder: str
    documents: int = 0
    defence: str = ""
    seed: int = 0
    name: str = "reader"

    def text(self) -> str:
        return json.dumps(asdict(self))


def passages_of(parts: Parts, number: int) -> tuple[Passage, ...]:
    """The retrieval of a question about one document, through the fence, as the answering step does it."""
    query = Query(query_id="q", question=f"document{number}", filters={"document": f"texts/{number}"})
    planned = QueryPlanned(tenant=TENANT, query=query, kind="retrieval", variants=(query.question,))
    found = next(retrieve(planned, parts.port("serving"), LIMITS, parts.port("clock")))
    return found.passages


def fenced(parts: Parts, number: int) -> set[int]:
    """The revisions of which an answer would be made: those that the texts say, and that of the title."""
    passages = passages_of(parts, number)
    return {found for one in passages for found in revisions(one.title, one.text)}


def unfenced(parts: Parts, number: int) -> set[int]:
    """What the index finds, whatever the heads say."""
    hits = parts.port("store").search_text(TENANT, f"document{number}", 60, frozenset({"*"}))
    things = [hit.object for hit in hits if hit.object.document == f"texts/{number}"]
    return {found for thing in things for found in revisions("", thing.chunk.text)}


def revisions(title: str, text: str) -> set[int]:
    """The revisions that a title and a text say."""
    return {int(found) for found in (*TITLE.findall(title), *REVISION.findall(text))}


class Reader:
    """Reads until it is told to stop. What it must not meet ends the worker, and is in the history."""

    def __init__(self, spec: ReaderSpec, parts: Parts) -> None:
        self._spec = spec
        self._parts = parts
        self._chance = random.Random(spec.seed + os.getpid())
        self._read: Callable[[Parts, int], set[int]] = unfenced if spec.defence == "fence" else fenced
        self._history = History(Path(spec.folder) / f"{spec.name}-{os.getpid()}.jsonl", spec.name)

    def run(self, stop: threading.Event) -> None:
        try:
            while not stop.is_set():
                self._poll(self._number())
        except Exception:
            self._history.add("note", "fail", text=traceback.format_exc())
            stop.set()

    def _number(self) -> int:
        share = HOT if self._chance.random() < HOT_READS else 1.0
        return self._chance.randrange(max(1, int(self._spec.documents * share)))

    def _poll(self, number: int) -> None:
        try:
            seen = sorted(self._read(self._parts, number))
        except UnavailableError as error:
            # It says that it can't answer, rather than answer wrongly.
            self._history.add("poll", "fail", document=number, reason=type(error).__name__)
            time.sleep(AWAY_S)
            return
        self._history.add("poll", document=number, revisions=seen)
        time.sleep(PAUSE_S)
