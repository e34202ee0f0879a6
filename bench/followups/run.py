"""Claim: a question that leans on its session is found and answered as it is meant, and no other is any worse for it.

Labelled questions (`--squad`, a folder with SQuAD's passages and questions as JSON lines) become follow-ups by rule
(`made.py`). Each is asked through the whole journey: as it was before the rule, by itself, and in a session behind the
first question. Beside them: questions that stand by themselves but look as if they leaned, behind one about something
else; and how many questions are taken for talk or for naming nothing. Prints progress and one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[2]))

from adapters.host import SystemClock  # the path comes first
from adapters.session_memory import MemorySessions
from bench.engine.environments import machine
from bench.followups.journeys import Journeys, opened, right, say
from bench.followups.made import KINDS, FollowUp, follow_ups
from processors.answer.followups import leans
from processors.answer.kinds import kind_of
from schemas.queries import Query
from streams.parts import Parts
from streams.trial import Line, read_lines

CLAIM: Final = "followups"
SEED: Final = 11
TOP: Final = 5
# Noise of a sample of 150: a follow-up may be answered otherwise by chance.
SLACK: Final = 0.02

Figures = dict[str, Any]


@dataclass(frozen=True)
class Judged:
    """Whether the labelled passage is among the first five, whether it is the first, whether the answer is right."""

    found: bool
    first: bool
    right: bool


class Asker:
    """Asks in sessions or without, and judges."""

    def __init__(self, parts: Parts) -> None:
        self._journeys = Journeys(parts, sessions=MemorySessions(SystemClock()))
        self._number = 0

    def publish(self, passages: Sequence[Line]) -> None:
        self._journeys.publish(passages)

    def ask(self, question: str, line: Line, session: str = "") -> Judged:
        """Asks, and judges what comes by a line's labels."""
        self._number += 1
        user = "bench" if session else ""
        heard = self._journeys.ask(Query(query_id=f"q-{self._number}", question=question, session=session, user=user))
        read = [passage.document for passage in heard.read][:TOP]
        return Judged(line["passage"] in read, read[:1] == [line["passage"]], right(heard.text, line))


def of_kind(asker: Asker, kind: str, made: Sequence[FollowUp]) -> Figures:
    """The figures of one kind of follow-ups."""
    ways: dict[str, list[Judged]] = {"as it was": [], "by itself": [], "in its session": []}
    for number, each in enumerate(made, 1):
        session = f"{kind}-{number}"
        asker.ask(str(each.first["question"]), each.first, session)
        ways["in its session"].append(asker.ask(each.asked, each.second, session))
        ways["by itself"].append(asker.ask(each.asked, each.second))
        ways["as it was"].append(asker.ask(str(each.second["question"]), each.second))
        if number % 25 == 0:
            say(f"{kind}: {number} of {len(made)}")
    lean = sum(bool(leans(each.asked)) for each in made)
    return {"questions": len(made), "taken for leaning": lean, **{way: shares(all_) for way, all_ in ways.items()}}


def standing(asker: Asker, questions: Sequence[Line], most: int, draw: random.Random) -> Figures:
    """Questions that stand by themselves and are taken for leaning, behind a question about something else."""
    taken = [line for line in questions if leans(str(line["question"]))]
    some = draw.sample(taken, min(most, len(taken)))
    within, alone = [], []
    for number, line in enumerate(some, 1):
        other = draw.choice([one for one in questions if one["article"] != line["article"]])
        asker.ask(str(other["question"]), other, f"standing-{number}")
        within.append(asker.ask(str(line["question"]), line, f"standing-{number}"))
        alone.append(asker.ask(str(line["question"]), line))
        if number % 25 == 0:
            say(f"standing: {number} of {len(some)}")
    share = round(len(taken) / len(questions), 4)
    return {"taken for leaning": share, "questions": len(some), "within": shares(within), "alone": shares(alone)}


def shares(judged: Sequence[Judged]) -> Figures:
    """The share of each measure."""
    return {
        "recall@5": round(fmean(one.found for one in judged), 3),
        "recall@1": round(fmean(one.first for one in judged), 3),
        "answer holds gold": round(fmean(one.right for one in judged), 3),
    }


def better(figures: Mapping[str, Figures]) -> bool:
    """Whether follow-ups of every kind are found and answered at least as well in their session, and better overall."""
    gains = [
        figures[kind]["in its session"][measure] - figures[kind]["by itself"][measure]
        for kind in KINDS
        for measure in ("recall@5", "answer holds gold")
    ]
    return min(gains) >= -SLACK and fmean(gains) > SLACK


def measured(asker: Asker, questions: Sequence[Line], passages: Sequence[Line], most: int) -> Figures:
    """All figures, kind by kind."""
    draw, texts = random.Random(SEED), {str(line["id"]): str(line["text"]) for line in passages}
    figures: Figures = {}
    for kind in KINDS:
        made = follow_ups(kind, questions, texts)
        for each in made[:: max(1, len(made) // 3)][:3]:
            say(f"{kind}: {each.first['question']!r}, then {each.asked!r} for {each.second['question']!r}")
        figures[kind] = of_kind(asker, kind, draw.sample(made, min(most, len(made))))
        say(json.dumps({kind: figures[kind]}))
    figures["standing"] = standing(asker, questions, most, draw)
    figures["not taken for questions"] = sum(kind_of(str(line["question"])) != "retrieval" for line in questions)
    return figures


def main() -> int:
    """Asks everything; 1 where a session does not help, harms what stands by itself, or a question is not taken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--squad", type=Path, required=True, help="folder with squad-1.1-{passages,questions}.jsonl")
    parser.add_argument("--most", type=int, default=150, help="follow-ups of each kind")
    parser.add_argument("--model", default="minilm", choices=("minilm", "hashing"))
    arguments = parser.parse_args()
    passages = read_lines(arguments.squad / "squad-1.1-passages.jsonl", ("id", "text", "article"))
    questions = read_lines(arguments.squad / "squad-1.1-questions.jsonl", ("question", "passage", "article", "answers"))
    with opened(arguments.model) as (parts, _):
        asker = Asker(parts)
        asker.publish(passages)
        figures = measured(asker, questions, passages, arguments.most)
    within, alone = (figures["standing"][way]["answer holds gold"] for way in ("within", "alone"))
    met = better(figures) and within >= alone - SLACK and not figures["not taken for questions"]
    print(json.dumps({"claim": CLAIM, "machine": machine(), "model": arguments.model, **figures, "met": met}))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
