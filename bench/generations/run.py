"""Claim: an index generation is swapped under questions, and nobody notices.

A stack of its own on free ports serves 50 questions a second (open loop, over Kafka) while documents are edited. Beside
it a second generation is built by another bound on chunks, promoted; a third by another dimension, promoted; documents
are edited once more, and the last promotion is rolled back. What happened is judged afterwards from the topics alone,
by a checker that is shown four damaged copies of the same run and must find each damage. Prints a verdict, then one
JSON object as its last line, and writes that beside this file.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

from adapters.host import SystemClock, SystemIds
from adapters.schema_registry import ConfluentSchemaIds
from bench.generations.checker import Log, cut_over, judge
from bench.generations.load import TENANT, Load, word
from headwater.local.spec import StackSpec
from headwater.local.stack import Stack
from schemas.codec import Codec
from schemas.documents import EmbeddingComputed, IndexGeneration
from schemas.envelope import Version
from schemas.queries import AnswerGiven
from streams.promotion import Operator
from streams.publishing import Entrance, Publisher
from streams.reading import Reader
from streams.settings import Settings, load, user_cache
from topics.answer import ANSWER_GIVEN, PASSAGES_FOUND
from topics.ingest import DOCUMENT_HEAD, EMBEDDING_COMPUTED, INDEX_GENERATION

CLAIM: Final = "generations"
TARGET: Final = {"failed": 0, "mixed": 0, "mislabelled": 0, "stale": 0, "cut_over_s": 1.0}
DIMENSIONS: Final = {"g1": 384, "g2": 384, "g3": 256}
QUIET_S: Final = 6.0
# A build rests while questions come; on a busy machine it takes its time.
BUILD_S: Final = 420.0
PROVEN: Final = 20


class Run:
    """One run; `report` says what became of it."""

    def __init__(self, stack: Stack, documents: int, rate: float) -> None:
        self._settings = load(
            kafka={"bootstrap": stack.addresses.bootstrap},
            registry={"url": stack.addresses.registry_url},
            embed={"model": "hashing"},
        )
        self._codec = Codec(ConfluentSchemaIds(stack.addresses.registry_url))
        entrance = Entrance(SystemClock(), SystemIds(), CLAIM)
        self._operator = Operator(self._settings, self._codec, entrance)
        self._load = Load(Publisher(self._settings.kafka, self._codec, entrance), documents, rate, edits=4.0)
        self._moments: dict[str, float] = {}
        self._figures: dict[str, Any] = {"documents": documents, "rate": rate}

    def go(self) -> dict[str, Any]:
        """Everything, in order; returns the report."""
        self._load.fill()
        self._await("g1", self._load.documents)
        self._load.start()
        try:
            self._phase("quiet")
            self._swap("g1", "g2", _chunked(self._settings))
            self._swap("g2", "g3", _narrow(_chunked(self._settings)))
            proof = self._roll_back("g3", "g2")
        finally:
            self._load.stop()
        log = self._read()
        self._load.publisher.close()
        return self._report(log, proof)

    def _swap(self, old: str, new: str, settings: Settings) -> None:
        before, began = self._computed(), time.monotonic()
        self._moments[f"build {new}"] = time.time()
        self._operator.register(settings, new)
        if late := self._operator.late(old, new, BUILD_S):
            raise TimeoutError(f"{late} documents of {new} were not built within {BUILD_S:g} s")
        built_s = time.monotonic() - began
        chunks = sum(len(head.chunks) for head in self._heads(new))
        self._figures[f"build {new}"] = {
            "seconds": round(built_s, 1),
            "chunks": chunks,
            "embedded": self._computed() - before,
        }
        self._phase(f"both {new}")
        self._operator.promote(new, (), CLAIM)
        self._moments[f"promoted {new}"] = self._chosen_at()
        self._phase(f"after {new}")

    def _roll_back(self, new: str, old: str) -> list[str]:
        """Edits while the new one serves, rolls back, and asks for what was edited; returns the questions' ids."""
        chosen = range(PROVEN)
        for number in chosen:
            self._load.edit(number)
        if late := self._operator.late(new, old, 30.0):
            raise TimeoutError(f"the old generation is {late} documents behind")
        self._operator.rollback(CLAIM)
        self._moments["rolled back"] = self._chosen_at()
        time.sleep(1.0)
        asked = [self._load.ask(number) for number in chosen]
        self._phase("rolled back")
        return asked

    def _chosen_at(self) -> float:
        """When the last choice was written, by its record: by the time that a command returns, it has long counted."""
        with Reader(self._settings.kafka, self._codec, SystemClock()) as reader:
            found = [one for one in reader.read(INDEX_GENERATION.name) if isinstance(one.event, IndexGeneration)]
        return max(one.at for one in found) / 1e6

    def _phase(self, name: str) -> None:
        at = time.strftime("%H:%M:%S")
        print(f"{at} {name}: {len(self._load.asked)} questions so far", file=sys.stderr, flush=True)
        time.sleep(QUIET_S)

    def _await(self, generation: str, documents: int) -> None:
        until = time.monotonic() + BUILD_S
        while len(list(self._heads(generation))) < documents:
            if time.monotonic() > until:
                raise TimeoutError(f"{generation} did not get its documents within {BUILD_S:g} s")
            time.sleep(0.5)

    def _heads(self, generation: str) -> Iterator[Any]:
        from streams.generation_log import HeadViews

        with HeadViews(self._settings, self._codec, SystemClock(), (generation,)) as heads:
            yield from heads.views[generation].walk()

    def _computed(self) -> int:
        with Reader(self._settings.kafka, self._codec, SystemClock()) as reader:
            return sum(isinstance(one.event, EmbeddingComputed) for one in reader.read(EMBEDDING_COMPUTED.name))

    def _read(self) -> Log:
        """What lies on the topics, once every question has its answer or twenty seconds are over."""
        until = time.monotonic() + 20.0
        while True:
            log = Log(list(self._load.asked))
            with Reader(self._settings.kafka, self._codec, SystemClock()) as reader:
                for topic in (ANSWER_GIVEN, PASSAGES_FOUND, DOCUMENT_HEAD):
                    log.take(reader.read(topic.name))
            if all(one.id in log.answers for one in log.asked) or time.monotonic() > until:
                return log

    def _report(self, log: Log, proof: Sequence[str]) -> dict[str, Any]:
        fresh = [one for number, one in enumerate(proof) if _says(log, one, self._load.edited[number])]
        moments = self._moments
        cuts = {
            "g1 to g2": cut_over(log, moments["promoted g2"], "g1"),
            "g2 to g3": cut_over(_until(log, moments["rolled back"]), moments["promoted g3"], "g2"),
            "g3 to g2": cut_over(log, moments["rolled back"], "g3"),
        }
        found = judge(log, DIMENSIONS).counts()
        return {
            **self._figures,
            "questions": len(log.asked),
            "edits": sum(self._load.edited.values()),
            "asked_late_s": round(self._load.late_s, 3),
            **found,
            "cut_over_s": {name: round(seconds, 3) for name, seconds in cuts.items()},
            "rollback": {"edited": len(proof), "fresh": len(fresh)},
            "latency_ms": _latencies(log, moments),
            "answers_by": _by_generation(log),
            "controls": controls(log),
        }


def _chunked(settings: Settings) -> Settings:
    chunking = settings.chunking.model_copy(update={"max_tokens": 120, "target_tokens": 70})
    return settings.model_copy(update={"chunking": chunking})


def _narrow(settings: Settings) -> Settings:
    return settings.model_copy(update={"embed": settings.embed.model_copy(update={"dimension": DIMENSIONS["g3"]})})


def _says(log: Log, question: str, edit: int) -> bool:
    """Whether the answer is of the generation rolled back to, and says what was edited while another one served.

    A steady edit may have come in between: any later one is as fresh."""
    answer = log.answers[question][1] if question in log.answers else None
    fresh = [word(50_000 + 97 * later) for later in range(1, edit + 1)][-3:]
    return isinstance(answer, AnswerGiven) and answer.generation == "g2" and any(one in answer.text for one in fresh)


def _until(log: Log, moment: float) -> Log:
    return replace(log, answers={name: one for name, one in log.answers.items() if one[0] < moment})


def _latencies(log: Log, moments: dict[str, float]) -> dict[str, dict[str, float]]:
    """From the question to its answer, by what went on when it was asked."""
    borders = sorted((at, name) for name, at in moments.items())
    phases: dict[str, list[float]] = {}
    for one in log.asked:
        if one.id in log.answers:
            name = next((name for at, name in reversed(borders) if at <= one.at), "quiet")
            phases.setdefault(name, []).append(1000 * (log.answers[one.id][0] - one.at))
    return {name: _quantiles(sorted(values)) for name, values in phases.items()}


def _quantiles(ordered: list[float]) -> dict[str, float]:
    at = {name: ordered[min(len(ordered) - 1, int(q * len(ordered)))] for name, q in (("p50", 0.5), ("p99", 0.99))}
    return {**{name: round(value, 1) for name, value in at.items()}, "max": round(ordered[-1], 1)}


def _by_generation(log: Log) -> dict[str, int]:
    given = [answer.generation for _, answer in log.answers.values() if isinstance(answer, AnswerGiven)]
    return {name: given.count(name) for name in sorted(set(given))}


def controls(log: Log) -> dict[str, bool]:
    """Whether the checker finds each of four damages, done to copies of this very run."""
    # The last one that can be damaged: by then every document had its heads for long.
    given = {name for name, (_, answer) in log.answers.items() if isinstance(answer, AnswerGiven)}
    first = [one.id for one in log.asked if one.id in given and len(log.found[one.id].passages) > 1][-1]
    answer_at, answer = log.answers[first]
    lost, mixed, moved, old = (copy.copy(log) for _ in range(4))
    lost.answers = {name: one for name, one in log.answers.items() if name != first}
    found = log.found[first]
    other = msgspec.structs.replace(found.passages[0], generation="g3")
    mixed.found = {**log.found, first: msgspec.structs.replace(found, passages=(other, *found.passages[1:]))}
    all_moved = tuple(msgspec.structs.replace(one, generation="g3") for one in found.passages)
    moved.found = {**log.found, first: msgspec.structs.replace(found, passages=all_moved)}
    if isinstance(answer, AnswerGiven):
        never = Version(source=-1, offset=-1)
        cited = tuple(msgspec.structs.replace(one, version=never) for one in answer.citations)
        old.answers = {**log.answers, first: (answer_at, msgspec.structs.replace(answer, citations=cited))}
    return {
        "an answer lost": first in judge(lost, DIMENSIONS).failed,
        "two generations in one answer": first in judge(mixed, DIMENSIONS).mixed,
        "passages under another generation's name": first in judge(moved, DIMENSIONS).mislabelled,
        "an older version cited": first in judge(old, DIMENSIONS).stale,
    }


@contextmanager
def running() -> Iterator[Stack]:
    """A stack of its own, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as folder:
        environment = (("HEADWATER_EMBED__MODEL", "hashing"), ("HEADWATER_TENANTS", json.dumps([TENANT])))
        spec = StackSpec(Path(folder) / "state", user_cache(), detached=False, environment=environment)
        with Stack(spec, lambda line: print(line, file=sys.stderr)) as stack:
            yield stack


def misses(ours: dict[str, Any]) -> list[str]:
    """What of the claim does not hold, in words."""
    counts = ("failed", "mixed", "mislabelled", "stale")
    found = [f"{ours[name]} of {ours['questions']} questions {name}" for name in counts if ours[name]]
    slowest = max(ours["cut_over_s"].values())
    found += [f"a cut-over took {slowest:.2f} s"] * (slowest >= TARGET["cut_over_s"])
    fresh, edited = ours["rollback"]["fresh"], ours["rollback"]["edited"]
    found += [f"after the rollback {fresh} of {edited} answers say what was edited"] * (fresh < edited)
    return found + [f"the checker does not find {name}" for name, seen in ours["controls"].items() if not seen]


def main() -> int:
    """Runs it; 1 where a target is missed or a control is not found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--rate", type=float, default=50.0, help="questions per second")
    arguments = parser.parse_args()
    with running() as stack:
        ours = Run(stack, arguments.documents, arguments.rate).go()
    missed = misses(ours)
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}
    result = {"claim": CLAIM, "machine": machine, "target": TARGET, "ours": ours, "peers": {}, "met": not missed}
    Path(__file__).with_name("results.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"verdict: {'missed: ' + '; '.join(missed) if missed else 'met'}")
    print(json.dumps(result))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
