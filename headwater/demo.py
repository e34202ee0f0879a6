"""The demonstration: a folder of documents, a real Kafka, cited answers that follow every edit.

1. Start the stack (Kafka, registry, worker, gateway) as children of this process.
2. Mirror a copy of the sample documents into it; wait for the receipt of each.
3. Ask five questions.
4. Edit one document, delete another, ask again until the answer follows; say how long it took.
5. Show the way of one answer back to the version of the document it cites.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from adapters.folder_claims import FolderClaims
from adapters.folder_source import FolderSource
from headwater.client import Answer, Client
from headwater.errors import ClientError
from schemas.documents import DocumentIndexed
from streams.mirror import FolderMirror, read_known
from streams.publishing import Publisher
from streams.reading import Reader
from topics.ingest import DOCUMENT_INDEXED

TENANT: Final = "handbook"
# A first start embeds every chunk of the corpus: seconds on two cores, minutes on a machine that does other things too.
INGEST_TIMEOUT_S: Final = 300.0
FOLLOW_TIMEOUT_S: Final = 30.0

Say = Callable[[str], None]


class DemoError(ClientError):
    """The demonstration did not go as it should; the message says where."""


def script_of(corpus: Path) -> Path:
    """Where the script of a folder of documents stands.

    >>> script_of(Path("/handbook/pages"))
    PosixPath('/handbook/questions.json')
    """
    return corpus.resolve().with_name("questions.json")


@dataclass(frozen=True)
class Script:
    """What is asked and what is changed: `questions.json` beside the folder of documents, for it is none of them."""

    questions: tuple[str, ...]
    edit: dict[str, str]
    delete: dict[str, str]

    @classmethod
    def read(cls, corpus: Path) -> Script:
        demo = json.loads(script_of(corpus).read_text(encoding="utf-8"))["demo"]
        return cls(tuple(demo["questions"]), demo["edit"], demo["delete"])


@dataclass(frozen=True)
class Entry:
    """What the demonstration needs of the platform to put documents in and see them arrive."""

    settings: Any
    codec: Any
    entrance: Any


@dataclass(frozen=True)
class Timed:
    """An answer, and how many milliseconds it took to get it."""

    answer: Answer
    ms: float


class Demo:
    """Runs the demonstration over a stack that is up. Use it from the command line."""

    def __init__(self, entry: Entry, corpus: Path, folder: Path, gateway_url: str, say: Say) -> None:
        self._entry = entry
        self._folder = folder
        self._script = Script.read(corpus)
        self._say = say
        self._client = Client(gateway_url, tenant=TENANT, timeout_s=FOLLOW_TIMEOUT_S)
        if folder.exists():
            shutil.rmtree(folder)
        shutil.copytree(corpus, folder)

    def ingest(self) -> int:
        """Mirrors the folder and waits until every document that was sent has its receipt; returns how many."""
        with self._receipts() as arrived, self._mirror() as mirror:
            sent = {change.document for change in mirror.sync() if change.action in ("published", "deleted")}
            until, shown = time.monotonic() + INGEST_TIMEOUT_S, -1
            while missing := sent - arrived:
                if time.monotonic() > until:
                    raise DemoError(f"{len(missing)} documents have no receipt, {sorted(missing)[0]!r} among them")
                if len(missing) != shown:
                    shown = len(missing)
                    self._say(f"indexed {len(sent) - shown} of {len(sent)} documents")
                time.sleep(0.2)
        return len(sent)

    def ask(self, question: str) -> Timed:
        """Asks once."""
        began = time.monotonic()
        answer = self._client.ask(question)
        return Timed(answer, (time.monotonic() - began) * 1000)

    def ask_all(self) -> Iterator[tuple[str, Timed]]:
        for question in self._script.questions:
            yield question, self.ask(question)

    def edit(self) -> tuple[str, Timed]:
        """Changes one sentence in a file; returns the first answer by its new words alone, and how long it took."""
        edit = self._script.edit
        path = self._folder / edit["document"]
        text = path.read_text(encoding="utf-8")
        if edit["old"] not in text:
            raise DemoError(f"wanted {edit['old']!r} in {edit['document']!r}, which does not hold it")
        path.write_text(text.replace(edit["old"], edit["new"]), encoding="utf-8")

        def follows(answer: Answer) -> bool:
            return edit["new"] in answer.text and edit["old"] not in answer.text

        return edit["question"], self._follow(edit["question"], follows)

    def delete(self) -> tuple[str, Timed]:
        """Deletes one file; returns the first answer that no longer rests on it, and how long it took."""
        delete = self._script.delete
        (self._folder / delete["document"]).unlink()

        def is_gone(answer: Answer) -> bool:
            return all(citation.document != delete["document"] for citation in answer.citations)

        return delete["question"], self._follow(delete["question"], is_gone)

    def close(self) -> None:
        self._client.close()

    def _follow(self, question: str, arrived: Callable[[Answer], bool]) -> Timed:
        with self._mirror() as mirror:
            began = time.monotonic()
            list(mirror.sync())
            while time.monotonic() - began < FOLLOW_TIMEOUT_S:
                answer = self._client.ask(question)
                if arrived(answer):
                    return Timed(answer, (time.monotonic() - began) * 1000)
        raise DemoError(f"the answer to {question!r} did not follow within {FOLLOW_TIMEOUT_S:g} s")

    @contextmanager
    def _mirror(self) -> Iterator[FolderMirror]:
        entry = self._entry
        source = FolderSource(self._folder, entry.settings.watch.max_file_bytes)
        with Reader(entry.settings.kafka, entry.codec, entry.entrance.clock) as reader:
            known = read_known(reader, TENANT, str(source.root))
        with Publisher(entry.settings.kafka, entry.codec, entry.entrance) as publisher:
            yield FolderMirror(source, publisher, FolderClaims(entry.settings.claims_folder), TENANT, known)

    @contextmanager
    def _receipts(self) -> Iterator[set[str]]:
        """The names of documents whose receipts arrive from now on."""
        arrived, stop, listening = set[str](), threading.Event(), threading.Event()

        def listen() -> None:
            with Reader(self._entry.settings.kafka, self._entry.codec, self._entry.entrance.clock) as reader:
                for reading in reader.follow([DOCUMENT_INDEXED.name], stop, listening.set):
                    if isinstance(reading.event, DocumentIndexed) and reading.event.tenant == TENANT:
                        arrived.add(reading.event.document)

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        listening.wait(10.0)
        try:
            yield arrived
        finally:
            stop.set()
            thread.join(5.0)
