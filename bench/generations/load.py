"""The load of the run: documents, edits at a steady rate, and questions in an open loop, whatever the answers do."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from adapters.host import SystemIds
from adapters.memory import MemoryClaims
from bench.generations.checker import Asked
from schemas.envelope import Micros
from schemas.queries import Query, QueryAsked
from streams.publishing import Published, Publisher, Upload, document_changed
from topics.answer import QUERY_ASKED
from topics.ingest import DOCUMENT_CHANGED

TENANT: Final = "bench"
DEADLINE_S: Final = 20.0
SYLLABLES: Final = ("ba", "ke", "li", "mo", "nu", "ra", "so", "ti", "ve", "zu")


def word(number: int) -> str:
    """A word that no other number has."""
    return "".join(SYLLABLES[int(digit)] for digit in f"{number:05d}") + "k"


def text(number: int, edit: int) -> str:
    """A document of long paragraphs around one fact; the fact changes with every edit."""
    name = word(number)
    filler = " The keeper paints it in spring, oils the hinges in autumn and writes both into the book by the gate."
    paragraphs = "\n\n".join(f"Remark {n} about gate {name}.{filler * 8}" for n in range(4))
    fact = f"The code of gate {name} is {word(50_000 + 97 * edit)}."
    return f"# Gate {name}\n\n{paragraphs}\n\n## Code\n\n{fact}\n"


@dataclass
class Load:
    """Publishes and asks until it is stopped; remembers what it asked and how often each document was edited."""

    publisher: Publisher
    documents: int
    rate: float
    edits: float
    asked: list[Asked] = field(default_factory=list)
    edited: dict[int, int] = field(default_factory=dict)
    late_s: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def fill(self) -> None:
        """Every document once."""
        for sent in [self._put(number, 0) for number in range(self.documents)]:
            self.publisher.wait(sent)

    def start(self) -> None:
        self._threads = [threading.Thread(target=self._ask_on), threading.Thread(target=self._edit_on)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30.0)

    def edit(self, number: int) -> None:
        """One edit, confirmed."""
        self.edited[number] = self.edited.get(number, 0) + 1
        self.publisher.wait(self._put(number, self.edited[number]))

    def ask(self, number: int) -> str:
        """One question about a document, on its way; returns its id."""
        query = Query(
            query_id=SystemIds().new(),
            question=f"What is the code of gate {word(number)}?",
            deadline_at=Micros(int((time.time() + DEADLINE_S) * 1_000_000)),
        )
        self.asked.append(Asked(query.query_id, time.time(), f"{word(number)}.md"))
        self.publisher.send(QUERY_ASKED, QueryAsked(tenant=TENANT, query=query))
        return query.query_id

    def _ask_on(self) -> None:
        """Open loop: question n is due at n / rate, and a late one makes the next ones no later."""
        chance, began = random.Random(7), time.monotonic()
        for count in range(10**9):
            due = began + count / self.rate
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return
            self.late_s = max(self.late_s, time.monotonic() - due)
            self.ask(chance.randrange(self.documents))

    def _edit_on(self) -> None:
        chance = random.Random(11)
        while not self._stop.wait(1.0 / self.edits):
            self.edit(chance.randrange(self.documents))

    def _put(self, number: int, edit: int) -> Future[Published]:
        body = text(number, edit).encode()
        upload = Upload(tenant=TENANT, document=f"{word(number)}.md", body=body, media_type="text/markdown")
        return self.publisher.send(DOCUMENT_CHANGED, document_changed(upload, MemoryClaims()))
