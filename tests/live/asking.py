"""Questions by the hundred while the model behind the answers misbehaves, and the count of what became of each."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from adapters.host import SystemClock
from schemas.envelope import Micros
from schemas.queries import AnswerDrafted, AnswerGiven, AnswerWithheld, Query, QueryAsked
from streams.answer import ANSWER
from streams.parts import Parts
from streams.publishing import Publisher
from streams.reading import Reading
from streams.selection import select
from streams.settings import Settings
from streams.worker import Worker
from tests.live.erasure_world import TENANT, World, until
from tests.live.in_process import working
from tests.live.stalls import Stalls
from tests.streams.answerer import entrance
from topics.answer import ANSWER_DRAFTED, ANSWER_GIVEN, QUERY_ASKED, QUERY_ASKED_BULK

SAID: Final = "The lamp of pier Amber has the colour teal."
"""What stands in the one document; a model that says it and cites it is right."""
REPLY: Final = f"{SAID} [1] {SAID} [1]"
GRACE_S: Final = 0.5
"""How much later than its deadline an answer may be written; what the machine itself stood still comes on top."""


@dataclass
class Asking:
    """Asks, and says in the end what became of every question. Use it as a context and from one thread."""

    world: World
    letters_allowed: int = 0
    deadlines: dict[str, int] = field(default_factory=dict)
    asked_at: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._publisher = Publisher(self.world.settings.kafka, self.world.codec, entrance())

    def ask(self, kind: str, within_s: float, lane: str = "interactive", session: str = "") -> str:
        """One question; `kind` says in the end under which behaviour it was asked."""
        made = entrance()
        query_id, now = made.ids.new(), made.clock.now()
        deadline = Micros(now + int(within_s * 1e6))
        query = Query(
            query_id=query_id,
            question="Which colour has the lamp of pier Amber?",
            session=session,
            lane="bulk" if lane == "bulk" else "interactive",
            deadline_at=deadline,
        )
        topic = QUERY_ASKED_BULK if lane == "bulk" else QUERY_ASKED
        headers = [("deadline", str(deadline).encode()), ("lane", lane.encode())]
        self._publisher.send(topic, QueryAsked(tenant=TENANT, event_id=query_id, query=query), headers)
        self.deadlines[query_id], self.kinds[query_id], self.asked_at[query_id] = deadline, kind, now
        return query_id

    def __enter__(self) -> Asking:
        self._stalls = Stalls().__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._stalls.__exit__()
        self._publisher.close()

    def count(self) -> Count:
        """Waits until all is over, then holds what came against what must."""
        found = self.await_all()
        self._stalls.__exit__()
        counted = _counted(self, found, GRACE_S + self._stalls.longest_s)
        letters = self.letters()
        if len(letters) != self.letters_allowed:
            counted.damage.append(f"dead letters: {letters}")
        return counted

    def endings(self) -> dict[str, list[Reading]]:
        """Every final event of the questions asked here, by question."""
        found = defaultdict(list)
        for reading in self.world.readings(ANSWER_GIVEN.name):
            if reading.key in self.deadlines:
                found[reading.key].append(reading)
        return found

    def drafts(self) -> list[AnswerDrafted]:
        events = [reading.event for reading in self.world.readings(ANSWER_DRAFTED.name)]
        return [e for e in events if isinstance(e, AnswerDrafted) and e.query.query_id in self.deadlines]

    def await_all(self) -> dict[str, list[Reading]]:
        """Waits until the last deadline and its grace have passed, and a moment more for what comes too often."""
        last = max(self.deadlines.values()) / 1e6 + GRACE_S + 2.0
        time.sleep(max(0.0, last - SystemClock().now() / 1e6))
        return self.endings()

    def letters(self) -> list[str]:
        """Which of the questions asked here became dead letters; one that can't be read counts for all."""
        topics = dict.fromkeys(topic.dead_letters for hop in ANSWER for topic in hop.reads)
        readings = [reading for topic in topics for reading in self.world.readings(topic)]
        events = [(reading.event, reading.problem) for reading in readings]
        ids = [problem or getattr(getattr(event, "query", None), "query_id", "") for event, problem in events]
        return [one for one in ids if one in self.deadlines or " " in one]


@dataclass
class Count:
    """What became of the questions: how each ended, what is wrong with any."""

    outcomes: dict[str, Counter[str]]
    damage: list[str]
    latest_s: float
    grace_s: float
    took_s: dict[str, list[float]]

    def endings(self, outcome: str) -> int:
        """How many ended so."""
        return sum(each[outcome] for each in self.outcomes.values())

    def line(self) -> str:
        parts = [f"{kind}: {dict(outcome)}" for kind, outcome in sorted(self.outcomes.items())]
        asked = sum(sum(each.values()) for each in self.outcomes.values())
        late = f"the latest {self.latest_s:+.2f} s from its deadline (allowed {self.grace_s:.2f})"
        return "\n  ".join((f"{asked} questions, {late}", *parts))


def _counted(asking: Asking, endings: dict[str, list[Reading]], grace_s: float) -> Count:
    """Exactly one final event for each, in time, under its id."""
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    took: dict[str, list[float]] = defaultdict(list)
    damage, latest = [], -1e9
    for query_id, deadline in asking.deadlines.items():
        kind, found = asking.kinds[query_id], endings.get(query_id, [])
        if len(found) != 1:
            damage.append(f"{kind}: {len(found)} endings: {[_outcome(one.event) for one in found]}")
        for one in found:
            late_s = (one.at - deadline) / 1e6
            latest = max(latest, late_s)
            took[kind].append((one.at - asking.asked_at[query_id]) / 1e6)
            outcomes[kind][_outcome(one.event)] += 1
            if late_s > grace_s:
                damage.append(f"{kind}: {_outcome(one.event)} came {late_s:.2f} s after the deadline")
            if getattr(one.event, "answer_id", "") != query_id:
                damage.append(f"{kind}: an answer under another id")
    return Count(dict(outcomes), damage, latest, grace_s, dict(took))


def _outcome(event: Any) -> str:
    if isinstance(event, AnswerGiven):
        return "+".join(("given", *event.degraded))
    return event.reason if isinstance(event, AnswerWithheld) else "no answer event"


@contextmanager
def answering(settings: Settings, parts: Parts | None = None) -> Iterator[Worker]:
    """A worker that indexes and answers, in this process."""
    with working(Worker(settings, select(("ingest", "answer")), parts or Parts(settings))) as worker:
        yield worker


def publish_document(world: World) -> None:
    """The one document, indexed."""
    if "amber.md" not in world.heads():
        world.publish("amber.md", f"# Piers\n\n{SAID}\n")
        until(lambda: "amber.md" in world.heads(), "the document's head")
