"""Claim: more than 40 of 100 questions of a log are answered from the cache, none of them with a stale answer.

A question log is replayed through the whole journey in memory, documents changing in between: the same wording comes
back with slips or in other words, a few questions are asked most, askers differ. Each question is asked a second time
without the cache at the same moment: an answer given again that differs from that one is stale, unless only the slip in
the wording makes the difference. A hit is an answer for which nothing was written: given at once, or after ranking left
the same passages to read. Without files the documents are made up; `--passages` and `--questions` take JSON lines
(`id`, `text`; `question`). Writes the figures beside this file; prints one JSON object as its last line.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

from msgspec.structs import replace as altered

from adapters.answer_cache import MemoryAnswers
from adapters.host import SystemClock
from bench.cache.documents import TENANT, Documents
from bench.cache.log import Ask, Change, Material, from_files, made, question_log
from bench.cache.wording import told_apart
from bench.engine.environments import machine
from processors.answer.caching import Answers, Result
from processors.answer.kept import KeptAnswer
from schemas.envelope import Micros
from schemas.queries import AnswerGiven, AnswerWithheld, Query, QueryAsked
from streams.answer import ANSWER
from streams.driver import Driver
from streams.parts import Parts
from streams.pipeline import Origin
from streams.settings import load
from topics.answer import ANSWER_GIVEN, PROMPT_ASSEMBLED, QUERY_ASKED

CLAIM: Final = "cache"
TARGET: Final = 0.40
SEED: Final = 7
HERE: Final = Path(__file__).parent

Answer = AnswerGiven | AnswerWithheld


class Watched(MemoryAnswers):
    """The cache, which tells what it was last asked for."""

    held: Answer | None = None

    def get(self, key: str) -> KeptAnswer | None:
        kept = super().get(key)
        self.held = kept.answer if kept else None
        return kept


@dataclass
class Tally:
    """What was counted while a log was replayed."""

    told: Counter[Result] = field(default_factory=Counter)
    generations: int = 0
    stale: int = 0
    worded: int = 0
    needless: int = 0
    ms: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    cpu_ms: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


class Replay:
    """One log over one set of documents, with the cache and without it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.tally = Tally()
        self._cache = Watched(SystemClock())
        answers = Answers(self._cache, "bench", tell=lambda result: self.tally.told.update([result]))
        self._cached = self._driver(ANSWER, lambda name: answers if name == "answers" else parts.port(name))
        self._fresh = self._driver(ANSWER, lambda name: Answers() if name == "answers" else parts.port(name))
        self._wordings: dict[str, str] = {}
        self.documents = Documents(parts, say)

    def take(self, happened: Ask | Change) -> None:
        if isinstance(happened, Ask):
            self._ask(happened)
        else:
            self.documents.change(happened)

    def _ask(self, ask: Ask) -> None:
        tally, before = self.tally, Counter(self.tally.told)
        cached, spent, generated = self._asked(self._cached, ask)
        held = self._cache.held
        fresh, bare, _ = self._asked(self._fresh, ask)
        how = "+".join((tally.told - before).elements())
        tally.generations += generated
        if cached.cached_from:
            self._judge(cached, fresh, ask)
        else:
            self._wordings[cached.answer_id] = ask.question
            tally.needless += held is not None and said(held) == said(fresh)
        for label, (wall, cpu) in ((how, spent), ("without", bare)):
            tally.ms[label].append(wall)
            tally.cpu_ms[label].append(cpu)

    def _judge(self, cached: Answer, fresh: Answer, ask: Ask) -> None:
        """An answer given again must be the one that is worked out now; only a slip in the wording may make a
        difference: the wording it was made for gives it now, or it was made of the very passages that are read now."""
        if said(cached) == said(fresh):
            return
        wording = self._wordings[cached.cached_from]
        again, _, _ = self._asked(self._fresh, replace(ask, question=wording))
        if wording != ask.question and (said(cached) == said(again) or self._is_of_now(cached, fresh)):
            self.tally.worded += 1
            return
        self.tally.stale += 1
        say(f"stale: {ask} made for {wording!r}\n  {said(cached)}\n  {said(fresh)}\n  {said(again)}")

    def _is_of_now(self, cached: Answer, fresh: Answer) -> bool:
        if not isinstance(cached, AnswerGiven) or not isinstance(fresh, AnswerGiven):
            return False
        heads = self._parts.port("heads").get_many(TENANT, {one.document for one in cached.citations})
        current = all(heads[one.document].version == one.version for one in cached.citations)
        return current and cached.passages == fresh.passages

    def _asked(self, line: Driver, ask: Ask) -> tuple[Answer, tuple[float, float], int]:
        query = Query(query_id=self.documents.id(), question=ask.question, groups=ask.groups)
        line.put(QUERY_ASKED, QueryAsked(tenant=TENANT, event_id=query.query_id, query=query))
        began, cpu = time.perf_counter(), cpu_s()
        line.run()
        spent = (1_000 * (time.perf_counter() - began), 1_000 * (cpu_s() - cpu))
        (answer,) = line.events(ANSWER_GIVEN)
        generated = len(line.events(PROMPT_ASSEMBLED))
        line.forget()
        return answer, spent, generated

    def _driver(self, journey: Any, port: Callable[[str], Any]) -> Driver:
        return Driver([journey], port, self._parts.memory_codec(), Origin(SystemClock()))


def say(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


def cpu_s() -> float:
    """What this process has used so far, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def said(answer: Answer) -> Answer:
    """An answer without what is of its question alone, its spelling included."""
    return altered(answer, answer_id="", question="", event_id="", occurred_at=Micros(0), trail={}, cached_from="")


def replayed(material: Material, arguments: argparse.Namespace, per_change: int, with_wordings: bool) -> dict[str, Any]:
    """The figures of one log, and those of its wordings."""
    with (
        tempfile.TemporaryDirectory(prefix="headwater-bench-") as folder,
        closing(Parts(load(embed={"model": arguments.model}, index={"folder": Path(folder)}))) as parts,
    ):
        parts.port("heads").open()
        replay = Replay(parts)
        replay.documents.publish(material.documents)
        log = question_log(material, arguments.asks, arguments.distinct, per_change, SEED)
        for number, happened in enumerate(log, 1):
            replay.take(happened)
            if number % 200 == 0:
                say(f"{per_change} questions a change: {number} done")
        found = told(replay.tally, per_change)
        if with_wordings:
            found["wordings"] = told_apart(parts, TENANT, material.groups[: arguments.groups], say)
        return found


def told(tally: Tally, per_change: int) -> dict[str, Any]:
    """A tally in figures."""
    count = tally.told
    asked = count.total() - count["reread"]
    at_once = count["hit"] + count["waited"]
    return {
        "questions_per_change": per_change,
        "asked": asked,
        "hit_rate": round((at_once + count["reread"]) / asked, 4),
        "hit_rate_without_ranking": round(at_once / asked, 4),
        "stale_hits": tally.stale,
        "hits_that_another_spelling_would_word_otherwise": tally.worded,
        "generations": tally.generations,
        "results": dict(count),
        "not_given_again_but_worked_out_the_same": tally.needless,
        "ms_p50": {label: median(values) for label, values in sorted(tally.ms.items())},
        "cpu_ms_p50": {label: median(values) for label, values in sorted(tally.cpu_ms.items())},
    }


def median(values: Sequence[float]) -> float:
    return round(quantiles(values, n=2)[0] if len(values) > 1 else values[0], 2)


def main() -> int:
    """Replays the log with three rates of change; 1 where a hit is stale or too few are hits at the middle one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=Path, help="JSON lines with `id` and `text`")
    parser.add_argument("--questions", type=Path, help="JSON lines with `question` and `passage`")
    parser.add_argument("--model", default="minilm", choices=("minilm", "hashing"))
    parser.add_argument("--asks", type=int, default=1_000, help="questions of the log")
    parser.add_argument("--distinct", type=int, default=300, help="different questions among them")
    parser.add_argument("--groups", type=int, default=300, help="passages whose questions are compared with each other")
    parser.add_argument("--changes", type=int, nargs="+", default=[100, 20, 5], help="questions per change")
    arguments = parser.parse_args()
    material = from_files(arguments.passages, arguments.questions, SEED) if arguments.passages else made(SEED)
    logs = [
        replayed(material, arguments, each, with_wordings=each == arguments.changes[0]) for each in arguments.changes
    ]
    middle = logs[len(logs) // 2]
    found = {
        "claim": CLAIM,
        "machine": machine(),
        "model": arguments.model,
        "documents": len(material.documents),
        "logs": logs,
        "met": middle["hit_rate"] > TARGET and not any(one["stale_hits"] for one in logs),
    }
    name = arguments.passages.stem if arguments.passages else "made"
    (HERE / f"raw-{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))
    return 0 if found["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
