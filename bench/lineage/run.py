"""Claim: the answers that cited a document, or a commit, are found among ten thousand within seconds.

A stack of its own on free ports; the answers are put on their topic as the check step would write them, each citing
three of 500 documents, 600 characters long. Both questions are asked from the topics, three times each. Prints one JSON
object as its last line.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from adapters.host import SystemClock, SystemIds
from adapters.schema_registry import ConfluentSchemaIds
from headwater.local.spec import StackSpec
from headwater.local.stack import Stack
from schemas.codec import Codec
from schemas.envelope import Version
from schemas.queries import AnswerGiven, Citation
from streams.lineage import Forward, answers_citing, answers_of_commit, lsn
from streams.publishing import Entrance, Publisher
from streams.reading import Reader
from streams.settings import Settings, load, user_cache
from topics.answer import ANSWER_GIVEN

CLAIM: Final = "lineage"
DOCUMENTS: Final = 500
ROUNDS: Final = 3


def answer(number: int, ids: SystemIds) -> AnswerGiven:
    """An answer with three citations, 600 characters of text."""
    return AnswerGiven(
        tenant="bench",
        answer_id=ids.new(),
        question=f"What is said of gauge {number}?",
        text="The gauge stands below the weir and is read at noon. " * 11,
        citations=tuple(_citation(n + 1, (number * 3 + n) % DOCUMENTS) for n in range(3)),
        model="extractive",
        prompt_version="1",
    )


def _citation(number: int, document: int) -> Citation:
    return Citation(
        number=number,
        document=f"docs/{document}.md",
        version=Version(source=7_000_000 + document, offset=document),
        object_id=f"{document:032x}",
        chunk=f"{document:040x}-0",
        title=f"Gauge {document}",
        source_uri="",
        quote="The gauge stands below the weir and is read at noon.",
        start=0,
        end=52,
    )


def timed(ask: Callable[[], Forward]) -> tuple[float, Forward]:
    began = time.perf_counter()
    found = ask()
    return time.perf_counter() - began, found


def fill(settings: Settings, codec: Codec, count: int) -> None:
    """So many answers on their topic."""
    ids = SystemIds()
    with Publisher(settings.kafka, codec, Entrance(SystemClock(), ids, CLAIM)) as publisher:
        for sent in [publisher.send(ANSWER_GIVEN, answer(number, ids)) for number in range(count)]:
            publisher.wait(sent)


def measured(settings: Settings, codec: Codec) -> dict[str, object]:
    """Both questions, several times each, from the topics."""
    result: dict[str, object] = {}
    with Reader(settings.kafka, codec, SystemClock()) as reader:
        questions: dict[str, Callable[[], Forward]] = {
            "document": lambda: answers_citing(reader, ("bench", "docs/7.md")),
            "commit": lambda: answers_of_commit(reader, lsn(7_000_007)),
        }
        for name, ask in questions.items():
            runs = [timed(ask) for _ in range(ROUNDS)]
            took, found = sorted(round(seconds, 2) for seconds, _ in runs), runs[0][1]
            result[name] = {"seconds": took, "found": found.found, "read": found.read}
            print(f"{name}: {found.found} of {found.read} answers in {took[ROUNDS // 2]:.2f} s")
    return result


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--answers", type=int, default=10_000)
    wanted = arguments.parse_args().answers
    with tempfile.TemporaryDirectory() as folder:
        environment = (("HEADWATER_EMBED__MODEL", "hashing"),)
        spec = StackSpec(Path(folder) / "state", user_cache(), detached=False, environment=environment)
        with Stack(spec) as stack:
            settings = load(kafka={"bootstrap": stack.addresses.bootstrap})
            codec = Codec(ConfluentSchemaIds(stack.addresses.registry_url))
            fill(settings, codec, wanted)
            result = measured(settings, codec)
    machine = {"processors": os.cpu_count(), "python": platform.python_version()}
    print(json.dumps({"claim": CLAIM, "answers": wanted, **result, "machine": machine}))


if __name__ == "__main__":
    main()
