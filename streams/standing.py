"""Which standing questions are asked again, and when. No Kafka in here: `streams/standing_keeper.py` runs it.

The way of a turn:
1. Take up what came: questions, swapped heads, a promotion, answers. What a change may concern is due.
2. Of what is due, prove by heads, search and ranking, without a model, whether the last answer still stands
   (`processors/answer/standing.py: holds`). Those drawn from what was swapped come first.
3. Ask where it does not; so many at a time, each question with a pause between.
Nothing in here has to survive: whoever takes a question over finds all of it due, and the proof says what was missed.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from confluent_kafka import murmur2
from prometheus_client import Counter, Gauge

from adapters.errors import AdapterError
from processors.answer.limits import RetrievalLimits
from processors.answer.standing import holds, round_of, round_query
from processors.ports import Clock, Serving
from schemas.documents import DocumentHead, DocumentIndexed
from schemas.envelope import Micros
from schemas.queries import QueryAsked, QuestionStanding
from streams.standing_settings import StandingQuestions
from streams.standing_views import AnsweredView, StandingView

__all__ = ["Owned", "StandingWatch"]

WATCHED: Final = Gauge("headwater_standing_questions", "Standing questions that this worker watches.")
REFUSED: Final = Gauge("headwater_standing_refused", "Standing questions beyond the bound of their tenant.")
PROVEN: Final = Counter("headwater_standing_proofs", "Looks at standing questions, by what they found.", ("result",))
LATE: Final = Counter("headwater_standing_late", "Standing questions asked and not answered in time, or only in part.")

_MICROS: Final = 1_000_000
_TURN_S: Final = 0.05
_AWAY_S: Final = 1.0
_DOUBLINGS_MOST: Final = 20


@dataclass(frozen=True)
class Owned:
    """The partitions of the questions that are this worker's, of so many."""

    partitions: frozenset[int]
    count: int

    def has(self, key: str) -> bool:
        """Whether a question of this key is."""
        return int(murmur2(key.encode(), self.count)) in self.partitions


NOTHING: Final = Owned(frozenset(), 1)


@dataclass
class _Watched:
    """What this worker knows of a question: forgotten when it goes."""

    question: QuestionStanding
    is_due: bool = True
    is_hit: bool = False
    looked_at: float = 0.0
    not_before: float = 0.0
    asked: int = 0
    until: float = 0.0
    fruitless: int = 0


class StandingWatch:
    """Looks after the standing questions of one worker. `changed` may be told from any thread, `turn` from one."""

    def __init__(
        self,
        views: tuple[StandingView, AnsweredView],
        serving: Serving,
        retrieval: RetrievalLimits,
        clock: Clock,
        settings: StandingQuestions,
    ) -> None:
        self._questions, self._answered = views
        self._serving = serving
        self._retrieval = retrieval
        self._clock = clock
        self._settings = settings
        self._watched: dict[str, _Watched] = {}
        self._seen: tuple[int, Owned] = (-1, NOTHING)
        self._generations: dict[str, str] = {}
        self._swapped: defaultdict[str, set[str]] = defaultdict(set)
        self._lock = threading.Lock()
        self._free_at = self._swept_at = clock.monotonic()
        self._chosen_anew = True

    @property
    def is_wanted(self) -> bool:
        """Whether there is anything to look after: questions, or answers to such as stand no more."""
        return bool(len(self._questions) or self._answered.keys())

    def changed(self, documents: Iterable[DocumentHead | DocumentIndexed]) -> None:
        """Documents were swapped. Say it twice: once the view has the heads, and once the index is done with them."""
        if not len(self._questions):
            return
        with self._lock:
            for one in documents:
                self._swapped[one.tenant].add(one.document)

    def promoted(self) -> None:
        """Which index generation serves whom may have changed. From the thread of `turn`."""
        self._chosen_anew = True

    def orphans(self, owned: Owned) -> list[str]:
        """Keys of answers to questions that stand no more."""
        return sorted(key for key in self._answered.keys() - self._questions.all().keys() if owned.has(key))

    def turn(self, owned: Owned) -> list[QueryAsked]:
        """What to ask now."""
        now = self._clock.monotonic()
        self._take_over(owned)
        self._land(now)
        self._mark(now)
        if now < self._free_at:
            return []
        asked = list(self._looked(now))
        spent = self._clock.monotonic() - now
        self._free_at = max(self._free_at, now + spent / self._settings.share)
        return asked

    def _take_over(self, owned: Owned) -> None:
        """Questions that came, changed or went; all of what was not here before is due."""
        # Counted before they are read: what comes in between is taken over by the next turn.
        seen = (self._questions.changes, owned)
        if seen == self._seen:
            return
        self._seen = seen
        watched = self._questions.watched()
        ours = {key: question for key, question in watched.items() if owned.has(key)}
        self._watched = {key: self._same(key, question) for key, question in ours.items()}
        WATCHED.set(len(ours))
        REFUSED.set(len(self._questions) - len(watched))

    def _same(self, key: str, question: QuestionStanding) -> _Watched:
        known = self._watched.get(key)
        return known if known and known.question == question else _Watched(question)

    def _land(self, now: float) -> None:
        """Answers that came are looked at once more, since something may have changed meanwhile; late ones are asked
        again, later each time."""
        for one in self._flying():
            last = self._answered.get(one.question.tenant, one.question.question_id)
            if round_of(last) >= one.asked:
                one.asked, one.is_due = 0, True
            elif now >= one.until:
                LATE.inc()
                one.asked, one.is_due = 0, True
                self._put_off(one, now)

    def _mark(self, now: float) -> None:
        with self._lock:
            swapped, self._swapped = self._swapped, defaultdict(set)
        promoted = self._served_by_another()
        swept = now - self._swept_at >= self._settings.sweep_s
        self._swept_at = now if swept else self._swept_at
        if not (swapped or promoted or swept):
            return
        for one in self._watched.values():
            tenant = one.question.tenant
            if tenant in swapped or tenant in promoted:
                one.fruitless, one.is_due = 0, True
                one.is_hit = one.is_hit or self._is_drawn_from(one, swapped[tenant])
            one.is_due = one.is_due or swept

    def _is_drawn_from(self, one: _Watched, documents: set[str]) -> bool:
        last = self._answered.get(one.question.tenant, one.question.question_id)
        return last is not None and any(read.document in documents for read in last.answer.read)

    def _served_by_another(self) -> set[str]:
        """Tenants that another index generation serves than when this was last asked."""
        if not self._chosen_anew:
            return set()
        self._chosen_anew = False
        promoted = set()
        for tenant in {one.question.tenant for one in self._watched.values()}:
            try:
                with self._serving.lease(tenant) as served:
                    generation = served.generation
            except AdapterError:
                self._chosen_anew = True
                continue
            if self._generations.get(tenant, generation) != generation:
                promoted.add(tenant)
            self._generations[tenant] = generation
        return promoted

    def _looked(self, now: float) -> Iterator[QueryAsked]:
        room = self._settings.in_flight - len(self._flying())
        for one in self._next(now):
            if room <= 0 or self._clock.monotonic() - now > _TURN_S:
                return
            try:
                asked = self._look(one, now)
            except AdapterError:
                # The view is being rebuilt, or the index is away: nobody can say, so it stays due, behind the others.
                one.not_before = now + _AWAY_S
                return
            if asked is not None:
                room -= 1
                yield asked

    def _next(self, now: float) -> Sequence[_Watched]:
        due = (one for one in self._watched.values() if one.is_due and not one.asked and one.not_before <= now)
        return sorted(due, key=lambda one: (not one.is_hit, one.looked_at))

    def _look(self, one: _Watched, now: float) -> QueryAsked | None:
        """The query to ask; None where the last answer stands, or where there is nothing yet to be asked."""
        question = one.question
        last = self._answered.get(question.tenant, question.question_id)
        with self._serving.lease(question.tenant) as served:
            if last is None:
                result = "first" if served.heads.knows(question.tenant) else "nothing"
            else:
                result = "stands" if holds(question, last, served, self._retrieval) else "changed"
        PROVEN.labels(result).inc()
        one.looked_at, one.is_due, one.is_hit = now, False, False
        if result in ("stands", "nothing"):
            one.fruitless = 0
            return None
        self._put_off(one, now)
        one.asked, one.until = round_of(last) + 1, now + self._settings.deadline_s
        return round_query(question, last, Micros(self._clock.now() + int(self._settings.deadline_s * _MICROS)))

    def _put_off(self, one: _Watched, now: float) -> None:
        """Not again before its interval is over; longer where asking again and again led nowhere."""
        wait_s = self._settings.interval_s * 2 ** min(one.fruitless, _DOUBLINGS_MOST)
        one.not_before = now + min(wait_s, self._settings.longest_s)
        one.fruitless += 1

    def _flying(self) -> list[_Watched]:
        return [one for one in self._watched.values() if one.asked]
