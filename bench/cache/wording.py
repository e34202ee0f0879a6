"""Whether another wording can be told from another question: by nearness of meaning, and by what would be read for it.

Each question of a passage and a rewording of each go through the journey until something would be written. Two pass for
the same where the same passages are read in the same order and their vectors are near enough.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np

from adapters.answer_cache import MemoryAnswers
from adapters.host import SystemClock
from bench.cache.log import REWORDINGS
from processors.answer.caching import Answers, read_of, same_question
from schemas.queries import PromptAssembled, Query, QueryAsked
from streams.answer import ANSWER
from streams.driver import Driver
from streams.hop import Journey
from streams.parts import Parts
from streams.pipeline import Origin
from topics.answer import PROMPT_ASSEMBLED, QUERY_ASKED

THRESHOLDS: Final = (0.9, 0.95, 0.97, 0.98, 0.99)
SHOWN: Final = 0.95
READING: Final = frozenset({"admit", "rewrite", "retrieve", "rerank", "assemble"})


@dataclass(frozen=True)
class Read:
    """What would be read for a question, and the question as a vector."""

    passages: str
    vector: np.ndarray[Any, Any]


def told_apart(
    parts: Parts, tenant: str, groups: Sequence[Sequence[str]], say: Callable[[str], None]
) -> dict[str, Any]:
    """By threshold: of how many questions another about the same passage would pass for the same, by nearness alone and
    with what is read; and of how many a rewording would."""
    reader = _Reader(parts, tenant)
    counts: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    asked, pairs = 0, list[tuple[str, ...]]()
    for number, group in enumerate(groups):
        questions = list({same_question(question): question for question in group}.values())
        read = [reader.read(question) for question in questions]
        asked += len(questions)
        for threshold in THRESHOLDS:
            at = counts[str(threshold)]
            at["others_as_near"] += len(_alike(read, threshold, same=False))
            at["others_as_near_that_read_the_same"] += len(_alike(read, threshold, same=True))
        if alike := _alike(read, SHOWN, same=True):
            pairs.append(tuple(questions[n] for n in sorted(alike)))
        for place, question in enumerate(questions):
            other = reader.read(_reworded(question, asked + place))
            for threshold in THRESHOLDS:
                at = counts[str(threshold)]
                at["rewordings_as_near"] += _passes(read[place], other, threshold, same=False)
                at["rewordings_as_near_that_read_the_same"] += _passes(read[place], other, threshold)
        if number % 50 == 49:
            say(f"wordings: {asked} questions")
    return {
        "questions": asked,
        f"would_pass_at_{SHOWN}": len(pairs),
        "by_cosine": {at: dict(count) for at, count in counts.items()},
    }


class _Reader:
    def __init__(self, parts: Parts, tenant: str) -> None:
        answers = Answers(MemoryAnswers(SystemClock()), "wording")
        until = Journey("answer", [hop for hop in ANSWER if hop.name in READING])
        ports: Callable[[str], Any] = lambda name: answers if name == "answers" else parts.port(name)  # noqa: E731
        self._line = Driver([until], ports, parts.memory_codec(), Origin(SystemClock()))
        self._tenant = tenant
        self._number = 0

    def read(self, question: str) -> Read:
        self._number += 1
        query = Query(query_id=f"wording-{self._number}", question=question)
        self._line.put(QUERY_ASKED, QueryAsked(tenant=self._tenant, event_id=query.query_id, query=query))
        self._line.run()
        (prompt,) = self._line.events(PROMPT_ASSEMBLED)
        assert isinstance(prompt, PromptAssembled) and prompt.query.ticket is not None
        self._line.forget()
        return Read(read_of(prompt.sources), np.frombuffer(prompt.query.ticket.vectors[0], "<f4"))


def _passes(one: Read, other: Read, threshold: float, *, same: bool = True) -> bool:
    return float(one.vector @ other.vector) >= threshold and (not same or one.passages == other.passages)


def _alike(read: Sequence[Read], threshold: float, *, same: bool) -> set[int]:
    """Which of several different questions would pass for another one of them."""
    pairs = combinations(range(len(read)), 2)
    return {n for pair in pairs if _passes(read[pair[0]], read[pair[1]], threshold, same=same) for n in pair}


def _reworded(question: str, number: int) -> str:
    return REWORDINGS[number % len(REWORDINGS)].format(question[0].lower() + question[1:].rstrip("?"))
