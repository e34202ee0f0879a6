"""A world that changes while questions stand: what is told, and an oracle that asks every question anew each time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from adapters.memory import ManualClock
from schemas.envelope import Micros
from schemas.queries import AnswerChanged, AnswerGiven, Query, QueryAsked, QuestionStanding
from streams.standing import Owned, StandingWatch
from streams.standing_settings import StandingQuestions
from tests.topology.cached_world import FEW, Answer, World
from topics.answer import ANSWER_CHANGED, ANSWER_GIVEN, QUERY_ASKED_BULK, QUESTION_ANSWERED
from topics.ingest import DOCUMENT_HEAD, DOCUMENT_INDEXED

ALL = Owned(frozenset({0}), 1)
ROUNDS_MOST = 50
AT_ONCE = StandingQuestions(interval_s=0.0, share=1.0, sweep_s=1e9, deadline_s=60.0)

Said = tuple[str, str, tuple[tuple[int, str, str], ...]]


@dataclass(frozen=True)
class Step:
    """What became of each question by what happened last: its answer for the oracle, before and after, and the events
    that told of it."""

    before: dict[str, Said]
    after: dict[str, Said]
    told: dict[str, list[AnswerChanged]]

    def differences(self) -> list[str]:
        """Where what was told is not what an oracle would tell; with what it was told from."""
        wrong = []
        for name, now in self.after.items():
            events = [(event.withheld, event.after, _cited(event)) for event in self.told.get(name, [])]
            expected = [] if self.before.get(name) == now else [now]
            if events != expected:
                wrong.append(f"{name}: told {events}, wanted {expected}")
        return wrong


class StandingWorld(World):
    """The world of the cache's tests, with standing questions. Every change is followed by `settle`."""

    def __init__(self, seed: int, settings: StandingQuestions = AT_ONCE, **chosen: Any) -> None:
        self.clock = ManualClock()
        super().__init__(seed, clock=self.clock, **chosen)
        self.questions, self.answered = self.asking["questions"], self.asking["answered"]
        views = (self.questions, self.answered)
        self.watch = StandingWatch(views, self.serving, FEW, self.clock, settings)
        self.settings = settings
        self.standing: dict[str, QuestionStanding] = {}
        self.known: dict[str, Said] = {}
        self.asked = 0
        self.lost = False
        """Whether the next change goes unheard: the process that would have heard it is gone."""

    def subscribe(self, question_id: str, question: str, tenant: str = "acme", **who: Any) -> None:
        query = Query(query_id="", question=question, **who)
        self.count += 1
        stands = QuestionStanding(
            tenant=tenant,
            event_id=self._id(),
            occurred_at=Micros(self.count),
            question_id=question_id,
            query=query,
        )
        self.questions.fold(stands)
        self.standing[f"{tenant}|{question_id}"] = stands

    def unsubscribe(self, question_id: str, tenant: str = "acme") -> None:
        stands = self.standing.pop(f"{tenant}|{question_id}")
        gone = QuestionStanding(tenant=tenant, question_id=question_id, query=stands.query, active=False)
        self.questions.fold(gone)
        self.known.pop(f"{tenant}|{question_id}", None)

    def promote(self) -> None:
        super().promote()
        self.watch.promoted()

    def restart(self) -> None:
        """Another process takes over: it has the views, folded from the log, and nothing else."""
        self.watch = StandingWatch((self.questions, self.answered), self.serving, FEW, self.clock, self.settings)

    def settle(self) -> Step:
        """Everything that follows from what happened, and what an oracle makes of it."""
        told = self.follow()
        before, self.known = self.known, {key: self.oracle(key) for key in self.standing}
        return Step(before, self.known, told)

    def follow(self) -> dict[str, list[AnswerChanged]]:
        """Turns until nothing is asked any more; returns what was told, by key."""
        for _ in range(ROUNDS_MOST):
            asked = self.watch.turn(ALL)
            self.asked += len(asked)
            for one in asked:
                self.cached.put(QUERY_ASKED_BULK, one)
            if not asked:
                break
            self.cached.run()
        else:
            raise AssertionError(f"after {ROUNDS_MOST} rounds there is still something to ask: {asked}")
        return self.heard()

    def heard(self) -> dict[str, list[AnswerChanged]]:
        """What was told since this was last asked."""
        told: dict[str, list[AnswerChanged]] = {}
        for event in self.cached.events(ANSWER_CHANGED):
            told.setdefault(ANSWER_CHANGED.key(event), []).append(event)
        self.cached.forget()
        return told

    def oracle(self, key: str) -> Said:
        """What the question is answered now, by a run of its own without any of this."""
        stands = self.standing[key]
        query = Query(
            query_id=self._id(),
            question=stands.query.question,
            user=stands.query.user,
            groups=stands.query.groups,
            filters=stands.query.filters,
            max_passages=stands.query.max_passages,
        )
        self.fresh.put(QUERY_ASKED_BULK, QueryAsked(tenant=stands.tenant, event_id=query.query_id, query=query))
        return _said(self._answered(self.fresh))

    def _change(self, topic: Any, event: Any) -> None:
        super()._change(topic, event)
        for line in self.ingest:
            changed = [*line.events(DOCUMENT_HEAD), *line.events(DOCUMENT_INDEXED)]
            if not self.lost:
                self.watch.changed(changed)
            line.forget()

    @staticmethod
    def _answered(line: Any) -> Answer:
        line.run()
        (answer,) = line.events(ANSWER_GIVEN)
        assert not line.events(QUESTION_ANSWERED)
        line.forget()
        given: Answer = answer
        return given


def _said(answer: Answer) -> Said:
    if isinstance(answer, AnswerGiven):
        return ("", answer.text, _cited(answer))
    return (answer.reason, answer.message, ())


def _cited(answer: AnswerGiven | AnswerChanged) -> tuple[tuple[int, str, str], ...]:
    return tuple((one.number, one.document, one.quote) for one in answer.citations)
