"""Claim: after an edit, of many standing questions few are asked again, and every changed answer is told, no other.

Questions stand on documents that are edited, deleted, added and restricted one after the other, through the whole
journey in memory. After each change a sample of the questions, and all that were told of, is asked anew without any of
this: what differs from before must have been told, and nothing else. The figures are what a proof costs (search and
ranking, no model), how many questions are asked after a change, and how many of those told something. Without files the
documents are made up; `--passages` and `--questions` take JSON lines (`id`, `text`; `question`, `passage`). Writes the
figures beside this file; prints one JSON object as its last line.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from adapters.host import SystemClock
from adapters.memory import ManualClock
from bench.cache.documents import TENANT, Documents
from bench.cache.log import Change, Material, from_files, made, question_log
from bench.engine.environments import machine
from schemas.queries import AnswerChanged, AnswerGiven, Query, QueryAsked, QuestionStanding
from streams.answer import ANSWER
from streams.driver import Driver
from streams.parts import Parts
from streams.pipeline import Origin
from streams.settings import load
from streams.standing import Owned, StandingWatch
from streams.standing_settings import StandingQuestions
from topics.answer import ANSWER_CHANGED, ANSWER_GIVEN, QUERY_ASKED_BULK

CLAIM: Final = "standing"
MOST_ASKED: Final = 0.10
SEED: Final = 7
HERE: Final = Path(__file__).parent
ALL: Final = Owned(frozenset({0}), 1)
AT_ONCE: Final = StandingQuestions(per_tenant=100_000, interval_s=0.0, in_flight=100_000, share=1.0, sweep_s=1e9)

Said = tuple[str, str, tuple[tuple[int, str, str], ...]]


@dataclass
class Tally:
    """What was counted."""

    proof_cpu_ms: list[float] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    told: list[int] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    checked: int = 0
    wrong: list[str] = field(default_factory=list)


class Standing:
    """Questions that stand over documents that change."""

    def __init__(self, parts: Parts) -> None:
        self.tally = Tally()
        self._known: dict[str, Said] = {}
        self.documents = Documents(parts, say)
        self._questions: dict[str, str] = {}
        self._views = parts.port("questions"), parts.port("answered")
        # A clock that stands: what a turn may take is the worker's care, not the bench's.
        clock = ManualClock(SystemClock().now())
        serving = parts.port("serving")
        self._watch = StandingWatch(self._views, serving, parts.port("retrieval"), clock, AT_ONCE)
        ports = {"clock": clock}
        self._answer = Driver(
            [ANSWER], lambda name: ports.get(name) or parts.port(name), parts.memory_codec(), Origin(SystemClock())
        )

    def subscribe(self, questions: tuple[str, ...]) -> None:
        for number, question in enumerate(questions):
            name = f"q{number}"
            self._questions[name] = question
            query = Query(query_id="", question=question)
            stands = QuestionStanding(tenant=TENANT, event_id=f"s-{name}", question_id=name, query=query)
            self._views[0].fold(stands)
        self._follow()
        self._known = {name: self._oracle(name) for name in self._questions}
        say(f"{len(questions)} questions stand")

    def take(self, change: Change, sample: list[str]) -> None:
        """One change, what is told of it, and what an oracle says to that."""
        self._watch.changed(self.documents.change(change))
        told = self._follow()
        self.tally.told.append(len(told))
        for reason in (event.reason for event in told.values()):
            self.tally.reasons[reason] = self.tally.reasons.get(reason, 0) + 1
        for name in {*sample, *told}:
            now, event = self._oracle(name), told.get(name)
            said = (event.withheld, event.after, _cited(event)) if event else self._known[name]
            self.tally.checked += 1
            if said != now or (event and now == self._known[name]):
                self.tally.wrong.append(f"{name} after {change.kind} of {change.document}: {said}, wanted {now}")
            self._known[name] = now

    def _follow(self) -> dict[str, AnswerChanged]:
        """Turns until nothing is asked any more."""
        count, told = 0, dict[str, AnswerChanged]()
        before = cpu_ms()
        while asked := self._watch.turn(ALL):
            if not count:
                self.tally.proof_cpu_ms.append((cpu_ms() - before) / len(self._questions))
            count += len(asked)
            for one in asked:
                self._answer.put(QUERY_ASKED_BULK, one)
            self._answer.run()
            told |= {event.question_id: event for event in self._answer.events(ANSWER_CHANGED)}
            self._answer.forget()
        if not count:
            self.tally.proof_cpu_ms.append((cpu_ms() - before) / len(self._questions))
        self.tally.asked.append(count)
        return told

    def _oracle(self, name: str) -> Said:
        query = Query(query_id=self.documents.id(), question=self._questions[name])
        self._answer.put(QUERY_ASKED_BULK, QueryAsked(tenant=TENANT, event_id=query.query_id, query=query))
        self._answer.run()
        (answer,) = self._answer.events(ANSWER_GIVEN)
        self._answer.forget()
        if isinstance(answer, AnswerGiven):
            return "", answer.text, _cited(answer)
        return answer.reason, answer.message, ()


def _cited(answer: AnswerGiven | AnswerChanged) -> tuple[tuple[int, str, str], ...]:
    return tuple((one.number, one.document, one.quote) for one in answer.citations)


def say(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


def cpu_ms() -> float:
    """What this process has used so far, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return 1_000 * (used.ru_utime + used.ru_stime)


def changes(material: Material, count: int) -> Iterator[Change]:
    happened = question_log(material, count, 1, 1, SEED)
    return (one for one in happened if isinstance(one, Change))


def figures(tally: Tally, questions: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """A tally in figures; the first follow was the first asking of all."""
    asked = tally.asked[1:]
    share = sum(asked) / (len(asked) * questions)
    return {
        "claim": CLAIM,
        "machine": machine(),
        "model": arguments.model,
        "standing_questions": questions,
        "changes": len(asked),
        "proof_cpu_ms_p50": round(median(tally.proof_cpu_ms[1:]), 3),
        "asked_per_change": round(sum(asked) / len(asked), 2),
        "share_asked": round(share, 4),
        "told_per_change": round(sum(tally.told) / len(tally.told), 2),
        "reasons": tally.reasons,
        "checked_against_the_oracle": tally.checked,
        "wrong": len(tally.wrong),
        "met": not tally.wrong and share <= MOST_ASKED and sum(tally.told) > 0,
    }


def main() -> int:
    """Changes documents under standing questions; 1 where anything was told wrongly or too many were asked again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=Path, help="JSON lines with `id` and `text`")
    parser.add_argument("--questions", type=Path, help="JSON lines with `question` and `passage`")
    parser.add_argument("--model", default="minilm", choices=("minilm", "hashing"))
    parser.add_argument("--standing", type=int, default=200, help="questions that stand")
    parser.add_argument("--changes", type=int, default=60, help="changes, one after the other")
    parser.add_argument("--sample", type=int, default=10, help="questions asked anew after each, besides those told of")
    arguments = parser.parse_args()
    material = from_files(arguments.passages, arguments.questions, SEED) if arguments.passages else made(SEED)
    draw = random.Random(SEED)
    with (
        tempfile.TemporaryDirectory(prefix="headwater-bench-") as folder,
        closing(Parts(load(embed={"model": arguments.model}, index={"folder": Path(folder)}))) as parts,
    ):
        parts.port("heads").open()
        standing = Standing(parts)
        standing.documents.publish(material.documents)
        standing.subscribe(material.questions[: arguments.standing])
        names = [f"q{number}" for number in range(arguments.standing)]
        for number, change in enumerate(changes(material, arguments.changes), 1):
            standing.take(change, draw.sample(names, min(arguments.sample, len(names))))
            if number % 10 == 0:
                say(f"{number} changes")
    for problem in standing.tally.wrong[:5]:
        say(problem)
    found = figures(standing.tally, arguments.standing, arguments)
    name = arguments.passages.stem if arguments.passages else "made"
    (HERE / f"raw-{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))
    return 0 if found["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
