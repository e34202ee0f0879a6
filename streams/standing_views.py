"""Standing questions and their last answers as the log has them: folded in every process that asks or tells."""

from __future__ import annotations

import threading
from collections import defaultdict

import msgspec
from msgspec.structs import replace

from processors.answer.standing import round_of
from schemas.envelope import Event, named_id
from schemas.queries import QuestionAnswered, QuestionStanding
from topics.answer import QUESTION_STANDING

__all__ = ["AnsweredView", "StandingView"]


class StandingView:
    """The questions that stand, by key. Fold `rag.question.standing.v1` into it, from any thread.

    >>> from schemas.queries import Query
    >>> view = StandingView(per_tenant=1)
    >>> view.fold(QuestionStanding(tenant="acme", question_id="q", query=Query(query_id="", question="Why?")))
    >>> list(view.watched()), view.get("acme", "other")
    (['acme|q'], None)

    `watched` leaves out what a tenant has beyond its bound: the newest. `changes` counts what was folded.
    """

    def __init__(self, per_tenant: int) -> None:
        self._per_tenant = per_tenant
        self._held: dict[str, QuestionStanding] = {}
        self._lock = threading.Lock()
        self.changes = 0

    def fold(self, event: Event) -> None:
        """Takes up what the topic says: the newest of a question counts."""
        if not isinstance(event, QuestionStanding):
            return
        key = QUESTION_STANDING.key(event)
        with self._lock:
            self.changes += 1
            self._held.pop(key, None)
            if event.active:
                self._held[key] = _named(event)

    def drop(self, key: str) -> None:
        """A tombstone."""
        with self._lock:
            self.changes += 1
            self._held.pop(key, None)

    def get(self, tenant: str, question_id: str) -> QuestionStanding | None:
        return self._held.get(f"{tenant}|{question_id}")

    def watched(self) -> dict[str, QuestionStanding]:
        """Those within the bound of their tenant."""
        by_tenant: defaultdict[str, list[tuple[str, QuestionStanding]]] = defaultdict(list)
        for key, question in self.all().items():
            by_tenant[question.tenant].append((key, question))
        for own in by_tenant.values():
            own.sort(key=lambda one: (one[1].occurred_at, one[0]))
        return {key: question for own in by_tenant.values() for key, question in own[: self._per_tenant]}

    def all(self) -> dict[str, QuestionStanding]:
        """All that stand, within the bound or not."""
        with self._lock:
            return dict(self._held)

    def __len__(self) -> int:
        return len(self._held)


class AnsweredView:
    """The last answer to each standing question. Fold `rag.question.answered.v1` into it, from any thread.

    Whoever wrote one folds it at once; the follower of the topic, which comes later, takes nothing back.
    """

    def __init__(self) -> None:
        self._held: dict[str, QuestionAnswered] = {}
        self._lock = threading.Lock()

    def fold(self, event: Event) -> None:
        """Takes a later answer; an earlier one is known already."""
        if not isinstance(event, QuestionAnswered):
            return
        key = f"{event.tenant}|{event.question_id}"
        with self._lock:
            if round_of(event) >= round_of(self._held.get(key)):
                self._held[key] = event

    def drop(self, key: str) -> None:
        """A tombstone: whoever wrote it had no such question any more."""
        with self._lock:
            self._held.pop(key, None)

    def get(self, tenant: str, question_id: str) -> QuestionAnswered | None:
        return self._held.get(f"{tenant}|{question_id}")

    def keys(self) -> frozenset[str]:
        """Of which questions there are answers."""
        with self._lock:
            return frozenset(self._held)


def _named(event: QuestionStanding) -> QuestionStanding:
    """With an id where a stranger gave none: by it a subscription that was changed is told from what it was."""
    if event.event_id:
        return event
    return replace(event, event_id=named_id(msgspec.json.encode(event.query).decode()))
