"""A worker of T10 as a process of its own: hops of ingest, and a reader that polls the real read path beside them.

Run as `python -m tests.chaos.cdc_worker WORD SPEC`: a word of `headwater run`, and the reader's specification as JSON.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from adapters.errors import UnavailableError
from processors.answer.limits import RetrievalLimits
from processors.answer.retrieve import retrieve
from schemas.queries import Query, QueryPlanned
from streams.parts import Parts
from streams.selection import select
from streams.settings import load
from streams.worker import Worker
from tests.chaos.history import History

TENANT: Final = "chaos"
REVISION: Final = re.compile(r"revision r(\d+)")
PAUSE_S: Final = 0.002


@dataclass(frozen=True)
class ReaderSpec:
    """What the reader of a worker does: `documents` of them are asked for; without the fence it takes what is found."""

    folder: str
    documents: int = 0
    fenced: bool = True
    seed: int = 0

    def text(self) -> str:
        return json.dumps(asdict(self))


class Reader:
    """Asks for one document after the other, and notes which revisions it was given."""

    def __init__(self, spec: ReaderSpec, parts: Parts) -> None:
        self._spec = spec
        self._parts = parts
        self._chance = random.Random(spec.seed + os.getpid())
        self._history = History(Path(spec.folder) / f"reader-{os.getpid()}.jsonl", "reader")

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            number = self._chance.randrange(self._spec.documents)
            try:
                texts = self._fenced(number) if self._spec.fenced else self._found(number)
            except UnavailableError:
                time.sleep(PAUSE_S)
                continue
            seen = sorted({int(found) for text in texts for found in REVISION.findall(text)})
            self._history.add("poll", document=number, revisions=seen)
            time.sleep(PAUSE_S)

    def _fenced(self, number: int) -> list[str]:
        """The retrieval of a question about one document, through the fence."""
        query = Query(query_id="q", question=f"document{number}", filters={"document": f"texts/{number}"})
        planned = QueryPlanned(tenant=TENANT, query=query, kind="retrieval", variants=(query.question,))
        port = self._parts.port
        ports: dict[str, Any] = {name: port(name) for name in ("embedder", "store", "heads", "clock")}
        found = next(retrieve(planned, retrieval=RetrievalLimits(), **ports))
        return [passage.text for passage in found.passages]

    def _found(self, number: int) -> list[str]:
        """What the index finds, whatever the heads say."""
        hits = self._parts.port("store").search_text(TENANT, f"document{number}", 60, frozenset({"*"}))
        return [hit.object.chunk.text for hit in hits if hit.object.document == f"texts/{number}"]


def main(arguments: list[str]) -> int:
    """Works until SIGTERM; a file named by its word says when it is ready."""
    word, spec = arguments[0], ReaderSpec(**json.loads(arguments[1]))
    settings = load()
    parts = Parts(settings)
    worker = Worker(settings, select((word,)), parts)
    signal.signal(signal.SIGTERM, lambda *_: worker.stop.set())

    def beside() -> None:
        while not worker.ready.wait(0.1):
            if worker.stop.is_set():
                return
        (Path(spec.folder) / f"{word}.ready").write_text(str(os.getpid()), encoding="utf-8")
        if spec.documents:
            Reader(spec, parts).run(worker.stop)

    threading.Thread(target=beside, daemon=True).start()
    return worker.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
