"""Claim: a filter that a question states in declared words helps to find, and no other question is any worse for it.

Labelled questions (`--squad`, a folder with SQuAD's passages and questions as JSON lines) over passages with metadata:
the article's name as title, and a year made up by a fixed seed. Each question is asked as it is, and with words that
name its article, a year that its passage is not older than, or a year that no passage has: with the fields declared and
without. So are those that are not found as they are. Then every plain question: from how many a filter is drawn, and
whether they are found as before; also with phrases that questions use for other things. Prints progress and one JSON
object, and writes it beside this file.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.engine.environments import machine  # the path comes first
from bench.peers.in_memory import InMemory
from processors.answer.drawing import drawn
from processors.answer.filters import NO_FIELDS, FilterFields
from processors.answer.limits import RetrievalLimits
from processors.answer.rerank import rerank
from processors.answer.retrieve import UNFILTERED, retrieve
from processors.answer.rewrite import plan
from processors.answer.sessions import NOTHING_SAID
from schemas.documents import DocumentChanged
from schemas.queries import PassagesRanked, Query, QueryPlanned
from streams.parts import Parts
from streams.settings import load
from streams.trial import Line, read_lines

CLAIM: Final = "filters"
TENANT: Final = "bench"
SEED: Final = 17
TOP: Final = 5
PATIENT_MS: Final = 60_000
FIRST_YEAR, LAST_YEAR = 1950, 2024
HERE: Final = Path(__file__).parent
DECLARED: Final = {
    "title": {"kind": "word", "phrases": ["in the article on {value}"]},
    "year": {"kind": "number", "since": ["in texts since {value}"], "least": 1900, "most": 2100},
}
# Words that a question also uses when it speaks of something else.
LOOSE: Final = {"year": {"kind": "number", "since": ["since {value}"], "phrases": ["of {value}", "in {value}"]}}

Figures = dict[str, Any]
Worded = Callable[[Line], str]


class Asker:
    """The three steps from a question to its ranked passages, called one after the other."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        shipped: RetrievalLimits = parts.port("retrieval")
        self.limits = replace(shipped, rerank_deadline_ms=PATIENT_MS)

    def ask(self, question: str, fields: FilterFields) -> tuple[PassagesRanked, float]:
        """What is read, best first, and how long finding took, milliseconds; its vector is there already."""
        limits, port = replace(self.limits, fields=fields), self._parts.port
        planned = plan(TENANT, Query(query_id="q", question=question), NOTHING_SAID, fields)
        assert isinstance(planned, QueryPlanned), question
        port("embedder").embed(planned.variants)
        began = time.perf_counter()
        (found,) = retrieve(planned, port("serving"), limits, port("clock"))
        took = 1_000 * (time.perf_counter() - began)
        (ranked,) = rerank(found, port("ranker"), limits, port("clock"))
        return ranked, took


def of_words(asker: Asker, lines: Sequence[Line], worded: Worded, fields: FilterFields) -> Figures:
    """The figures of questions in some words."""
    hits, times, stated, dropped = [], [], 0, 0
    for line in lines:
        ranked, took = asker.ask(worded(line), fields)
        hits.append(_holds(ranked, line))
        times.append(took)
        stated += bool(ranked.query.drawn)
        dropped += UNFILTERED in ranked.degraded
    return {
        "recall@5": round(fmean(hits), 4),
        "drawn": stated,
        "dropped": dropped,
        "found p50 ms": round(median(times), 2),
    }


def found(asker: Asker, line: Line) -> bool:
    """Whether a question is found as it is."""
    return _holds(asker.ask(str(line["question"]), NO_FIELDS)[0], line)


def _holds(ranked: PassagesRanked, line: Line) -> bool:
    return line["passage"] in list(dict.fromkeys(one.document for one in ranked.passages))[:TOP]


def both(asker: Asker, lines: Sequence[Line], worded: Worded, fields: FilterFields) -> Figures:
    """With the fields declared, and without."""
    figures = {name: of_words(asker, lines, worded, some) for name, some in (("with", fields), ("without", NO_FIELDS))}
    say(json.dumps(figures))
    return figures


def plain(asker: Asker, lines: Sequence[Line], fields: FilterFields) -> Figures:
    """Questions as they are: those from which something is drawn are asked both ways."""
    taken = [line for line in lines if drawn(str(line["question"]), fields.of(TENANT), {})]
    for line in taken[:5]:
        say(f"drawn from {line['question']!r}")
    asked = both(asker, taken, lambda line: str(line["question"]), fields) if taken else {}
    return {"questions": len(lines), "drawn": len(taken), **asked}


def measured(asker: Asker, questions: Sequence[Line], years: dict[str, int], most: int) -> Figures:
    """All figures."""
    fields = load(retrieve={"filters": DECLARED}).retrieve.fields()
    loose = load(retrieve={"filters": LOOSE}).retrieve.fields()
    draw = random.Random(SEED)
    some = draw.sample(questions, min(most, len(questions)))
    since = {str(line["id"]): years[str(line["passage"])] - draw.randrange(5) for line in questions}

    def by_article(line: Line) -> str:
        return f"In the article on {_title(line)}, {line['question']}"

    def by_year(line: Line) -> str:
        return f"{str(line['question']).rstrip(' ?.')} in texts since {since[str(line['id'])]}?"

    def by_both(line: Line) -> str:
        return f"In the article on {_title(line)}, {by_year(line)}"

    def by_no_year(line: Line) -> str:
        return f"{str(line['question']).rstrip(' ?.')} in texts since {LAST_YEAR + 50}?"

    figures: Figures = {"questions": len(some)}
    figures["as they are"] = of_words(asker, some, lambda line: str(line["question"]), NO_FIELDS)
    missed = [line for line in questions if not found(asker, line)]
    figures["missed as they are"] = len(missed)
    for name, worded in (("missed, article", by_article), ("missed, year", by_year), ("missed, both", by_both)):
        say(name)
        figures[name] = both(asker, missed, worded, fields)
    for name, worded in (("article", by_article), ("year", by_year), ("both", by_both), ("no such year", by_no_year)):
        say(name)
        figures[name] = both(asker, some, worded, fields)
    say("plain questions")
    figures["plain"] = plain(asker, questions, fields)
    figures["plain, loose phrases"] = plain(asker, questions, loose)
    return figures


def published(parts: Parts, passages: Sequence[Line], years: dict[str, int]) -> None:
    """Each passage is a document, under the title of its article and with its year."""
    parts.port("heads").open()
    InMemory(parts).publish(
        [
            DocumentChanged(
                tenant=TENANT,
                document=str(line["id"]),
                media_type="text/plain",
                body=str(line["text"]).encode(),
                title=_title(line),
                properties={"year": str(years[str(line["id"])])},
            )
            for line in passages
        ]
    )


def met(figures: Figures) -> bool:
    """Whether what is stated helps, what leaves nothing harms nothing, and nothing is drawn where nothing is stated."""
    stated = [figures[name] for name in ("article", "year", "both", "missed, article", "missed, year")]
    gains = [each["with"]["recall@5"] - each["without"]["recall@5"] for each in stated]
    helps = min(gains) >= 0 and max(gains) > 0
    empty = figures["no such year"]
    harmless = empty["with"]["recall@5"] == empty["without"]["recall@5"]
    return helps and harmless and not figures["plain"]["drawn"]


def say(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


def _title(line: Line) -> str:
    return str(line["article"]).replace("_", " ")


def main() -> int:
    """Asks everything; 1 where a filter does not help or one is drawn that nobody stated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--squad", type=Path, required=True, help="folder with squad-1.1-{passages,questions}.jsonl")
    parser.add_argument("--most", type=int, default=600, help="questions that state something")
    parser.add_argument("--model", default="minilm", choices=("minilm", "hashing"))
    arguments = parser.parse_args()
    passages = read_lines(arguments.squad / "squad-1.1-passages.jsonl", ("id", "text", "article"))
    questions = read_lines(arguments.squad / "squad-1.1-questions.jsonl", ("id", "question", "passage", "article"))
    draw = random.Random(SEED)
    years = {str(line["id"]): draw.randint(FIRST_YEAR, LAST_YEAR) for line in passages}
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as folder:
        settings = load(embed={"model": arguments.model}, index={"folder": Path(folder)})
        with closing(Parts(settings)) as parts:
            published(parts, passages, years)
            say("published")
            figures = measured(Asker(parts), questions, years, arguments.most)
    told = {"claim": CLAIM, "machine": machine(), "model": arguments.model, **figures, "met": met(figures)}
    (HERE / "raw.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(told))
    return 0 if told["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
