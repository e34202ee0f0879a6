"""Claim: a user's notes are found by their own questions, by nobody else's, and take no document's place.

A hundred notes of twenty made-up users (`made.py`) lie beside the passages of labelled questions (`--squad`, a folder
with SQuAD's as JSON lines), all of one tenant. Through the whole journey in memory: each note is asked for by its user,
in near words and in others, and by others with memory and its user without; then labelled questions are asked where
there are no notes, and beside them, with memory and without. Prints progress and one JSON object, and writes it beside
this file.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[2]))

from adapters.heads_view import MemoryHeads  # the path comes first
from adapters.local_index import LocalIndex
from adapters.one_serving import OneGeneration, OneServing
from bench.engine.environments import machine
from bench.followups.journeys import TENANT, Journeys, opened, right, say
from bench.memory.made import USERS, Note, notes
from processors.ingest.memories import owner_in, owner_of
from schemas.memories import MemoryKept
from schemas.queries import AnswerGiven, Passage, Query
from streams.parts import Parts
from streams.trial import Line, read_lines
from topics.ingest import MEMORY_KEPT

CLAIM: Final = "memory"
SEED: Final = 5
# The share of notes that are read where their user asks for them in near words.
TARGET: Final = 0.95

Figures = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What a question found, what of it was read, what came of it, and how long all that took."""

    found: tuple[Passage, ...]
    read: tuple[Passage, ...]
    text: str
    cited: tuple[str, ...]
    seconds: float

    @property
    def documents(self) -> list[str]:
        """What was read that is no note, best first."""
        return [one.object_id for one in self.read if not owner_in(one.document)]

    def foreign(self, owner: str) -> int:
        """Passages of notes that are not this owner's."""
        return sum(owner_in(one.document) not in ("", owner) for one in (*self.found, *self.read))


class Asker:
    """Keeps notes and asks as their users."""

    def __init__(self, parts: Parts, **ports: Any) -> None:
        self._clock = parts.port("clock")
        self._journeys = Journeys(parts, **ports)
        self._number = 0

    def publish(self, passages: Sequence[Line]) -> None:
        self._journeys.publish(passages)

    def keep(self, note: Note) -> None:
        """A note, up to its head."""
        owner, at = owner_of(TENANT, note.user), self._clock.now()
        event = MemoryKept(tenant=TENANT, owner=owner, memory=note.name, text=note.text, occurred_at=at)
        self._journeys.put(MEMORY_KEPT, event)

    def ask(self, question: str, user: str = "", memory: bool = True) -> Asked:
        """Asks as a user, with the user's notes or without."""
        self._number += 1
        query = Query(query_id=f"q-{self._number}", question=question, user=user, memory=memory and bool(user))
        began = time.perf_counter()
        heard = self._journeys.ask(query)
        seconds = time.perf_counter() - began
        cited = heard.answer.citations if isinstance(heard.answer, AnswerGiven) else ()
        return Asked(heard.found, heard.read, heard.text, tuple(citation.memory for citation in cited), seconds)


def recalled(asker: Asker, kept: Sequence[Note], words: str) -> Figures:
    """Each note asked for by its user: whether it is found, read, answered from; then by others, and without memory."""
    found, read, right, foreign, off = [], [], [], 0, 0
    for number, note in enumerate(kept, 1):
        question, owner = getattr(note, words), owner_of(TENANT, note.user)
        own = asker.ask(question, note.user)
        name = f"memory/{owner}/{note.name}"
        found.append(any(one.document == name for one in own.found))
        read.append(any(one.document == name for one in own.read))
        right.append(note.fact in own.text and note.name in own.cited)
        other = f"user-{(int(note.user.rpartition('-')[2]) + 1) % USERS}"
        foreign += own.foreign(owner) + asker.ask(question, other).foreign(owner_of(TENANT, other))
        off += asker.ask(question, note.user, memory=False).foreign("")
        if number % 25 == 0:
            say(f"{words}: {number} of {len(kept)}")
    shares = {"found": found, "read": read, "answered from it": right}
    told = {name: round(fmean(each), 3) for name, each in shares.items()}
    return {"notes": len(kept), **told, "passages of others": foreign, "passages without memory": off}


def beside(asker: Asker, plain: Asker, lines: Sequence[Line], draw: random.Random) -> Figures:
    """Labelled questions where there are no notes, and beside notes with memory and without: what they cost, and
    whether documents stay."""
    before, off, with_notes = [], [], []
    for number, line in enumerate(lines, 1):
        user, question = f"user-{draw.randrange(USERS)}", str(line["question"])
        # Once for nothing: what the ranker reads is encoded, and kept. Then in turns, so that whatever else the machine
        # does falls on all alike.
        plain.ask(question, user, memory=False)
        before.append(plain.ask(question, user, memory=False))
        off.append(asker.ask(question, user, memory=False))
        with_notes.append(asker.ask(question, user))
        if number % 50 == 0:
            say(f"labelled: {number} of {len(lines)}")
    pairs = list(zip(off, with_notes, strict=True))
    ways = {"no notes there": before, "without memory": off, "with memory": with_notes}
    took = {way: round(median(one.seconds for one in each) * 1_000, 1) for way, each in ways.items()}
    held = {way: [right(one.text, line) for one, line in zip(each, lines, strict=True)] for way, each in ways.items()}
    return {
        "questions": len(lines),
        "milliseconds, median": took,
        "answer holds gold": {way: round(fmean(each), 3) for way, each in held.items()},
        "other documents read with memory": sum(a.documents != b.documents for a, b in pairs),
        "other documents read beside notes": sum(a.documents != b.documents for a, b in zip(before, off, strict=True)),
        "other answers with memory": sum(a.text != b.text for a, b in pairs),
        "answers that cite a note": sum(any(one.cited) for one in with_notes),
        "notes read, mean": round(fmean(len(one.read) - len(one.documents) for one in with_notes), 2),
    }


def without_notes(parts: Parts, folder: Path) -> Asker:
    """Who asks an index and a view as they are now, whatever comes to the others; all else is the same."""
    generation = parts.port("generation")
    shutil.copytree(folder / generation, folder / "plain")
    heads = MemoryHeads(generation)
    heads.open()
    for head in parts.port("heads").walk():
        heads.fold(head)
    served = OneGeneration(generation, parts.port("embedder"), LocalIndex(folder / "plain"), heads)
    return Asker(parts, serving=OneServing(served))


def main() -> int:
    """Asks everything; 1 where a note is not found, somebody else's is, or a document gives way to one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--squad", type=Path, required=True, help="folder with squad-1.1-{passages,questions}.jsonl")
    parser.add_argument("--most", type=int, default=200, help="labelled questions")
    parser.add_argument("--model", default="minilm", choices=("minilm", "hashing"))
    arguments = parser.parse_args()
    passages = read_lines(arguments.squad / "squad-1.1-passages.jsonl", ("id", "text", "article"))
    questions = read_lines(arguments.squad / "squad-1.1-questions.jsonl", ("question", "passage", "article", "answers"))
    draw, kept = random.Random(SEED), list(notes())
    lines = draw.sample(questions, min(arguments.most, len(questions)))
    with opened(arguments.model) as (parts, folder):
        asker = Asker(parts)
        asker.publish(passages)
        plain = without_notes(parts, folder)
        for note in kept:
            asker.keep(note)
        figures = {words: recalled(asker, kept, words) for words in ("near", "other")}
        figures["labelled"] = beside(asker, plain, lines, draw)
    strangers = sum(figures[words][what] for words in ("near", "other")
                    for what in ("passages of others", "passages without memory"))  # fmt: skip
    met = figures["near"]["read"] >= TARGET and not strangers
    met = met and not figures["labelled"]["other documents read with memory"]
    told = {"claim": CLAIM, "machine": machine(), "model": arguments.model, **figures, "met": met}
    (Path(__file__).parent / f"raw-{arguments.model}.json").write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    print(json.dumps(told))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
