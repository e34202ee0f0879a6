"""Claim: with three topics declared, no question about the documents is refused, and most that ask for a topic are.

Topics, examples, and questions that ask for the like in other words, written before the bars were set, are in
`topics.json`. Labelled questions (`--squad`, a folder with SQuAD's passages and questions as JSON lines) are asked over
their own passages, of both sets; the bars were set on the first. Prints one JSON object, and writes it beside this
file.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.engine.environments import machine  # the path comes first
from bench.peers.in_memory import TENANT, InMemory, changed
from processors.answer.scope import Scope, out_of_scope
from schemas.queries import Query, QueryPlanned
from streams.parts import Parts
from streams.settings import load
from streams.trial import Line, read_lines

CLAIM: Final = "scope"
ROUND: Final = 64
HERE: Final = Path(__file__).parent

Figures = dict[str, Any]


def refused(parts: Parts, scope: Scope, questions: Sequence[str]) -> tuple[list[str], float]:
    """Those that are out of scope, and how long one took, milliseconds, its vector included."""
    told, times = [], []
    for question in questions:
        query = Query(query_id="q", question=question)
        planned = QueryPlanned(tenant=TENANT, query=query, kind="retrieval", variants=(question,))
        began = time.perf_counter()
        if out_of_scope(planned, parts.port("serving"), scope):
            told.append(question)
        times.append(1_000 * (time.perf_counter() - began))
    return told, median(times)


def over(folder: Path, name: str, scope: Scope, topics: Mapping[str, Mapping[str, Sequence[str]]]) -> Figures:
    """One set: its own questions, and the other words for each topic."""
    passages = read_lines(folder / f"{name}-passages.jsonl", ("id", "text", "article"))
    asked = [str(line["question"]) for line in read_lines(folder / f"{name}-questions.jsonl", ("question",))]
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as index, closing(_parts(index)) as parts:
        InMemory(parts).publish([_document(line) for line in passages])
        wrong, took = refused(parts, scope, asked)
        caught = {topic: len(refused(parts, scope, declared["paraphrases"])[0]) for topic, declared in topics.items()}
    for question in wrong:
        print(f"{name}: refused {question!r}", file=sys.stderr)
    return {"questions": len(asked), "refused": len(wrong), "caught": caught, "p50 ms": round(took, 2)}


def _parts(index: str) -> Parts:
    return Parts(load(index={"folder": Path(index)}))


def _document(line: Line) -> Any:
    return changed(str(line["id"]), str(line["article"]).replace("_", " "), str(line["text"]))


def main() -> int:
    """Asks everything; 1 where a question of the first set is refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--squad", type=Path, required=True, help="folder with both sets as JSON lines")
    arguments = parser.parse_args()
    topics = json.loads((HERE / "topics.json").read_text(encoding="utf-8"))
    scope = load(scope={"topics": {topic: each["examples"] for topic, each in topics.items()}}).scope.scope()
    sets = {name: over(arguments.squad, name, scope, topics) for name in ("squad-1.1", "squad-2.0")}
    met = not sets["squad-1.1"]["refused"]
    paraphrases = {topic: len(each["paraphrases"]) for topic, each in topics.items()}
    bars = {"nearness": scope.nearness, "margin": scope.margin}
    told = {"claim": CLAIM, "machine": machine(), **bars, "paraphrases": paraphrases, **sets, "met": met}
    (HERE / "raw.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(told))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
