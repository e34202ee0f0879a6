"""Sessions: what an asker asked before and was answered, and the port that remembers it for a while."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Protocol

from processors.answer.cues import names
from processors.ingest.memories import OWNER_DIGITS, owner_of
from schemas.envelope import Micros, Version
from schemas.queries import AnswerGiven, AnswerWithheld, Query

__all__ = ["NOTHING_SAID", "SESSION_AWAY", "Cited", "Session", "SessionLimits", "Sessions", "Turn", "session_of"]

SESSION_AWAY: Final = "session"
"""In `degraded`: what was asked before could not be read, so the question was taken by itself."""

# What is kept of a turn in full, and of one that is summarised: enough to know again what it was about.
_QUESTION_CHARS: Final = 500
_QUOTE_CHARS: Final = 300
_QUOTES: Final = 3
_NOTE_CHARS: Final = 160


class Cited(NamedTuple):
    """A document that an answer quoted, of which version."""

    document: str
    version: Version


@dataclass(frozen=True)
class Turn:
    """A question of a session and what it was answered with, cut to a bounded size: sentences quoted, titles cited.

    `at` is when it was answered, `answer` the name that is the short answer, if one is. A question that the documents
    did not answer has no quotes.
    """

    answer_id: str
    at: Micros
    question: str
    quotes: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    answer: str = ""
    cites: tuple[Cited, ...] = ()

    @property
    def note(self) -> Turn:
        """The turn as it is summarised: its question and the first sentence quoted, both short.

        >>> Turn("a", Micros(1), "Why? " * 99, ("So. " * 99, "And so.")).note.quotes[0][-5:]
        ' So.…'
        """
        return replace(
            self,
            answer_id="",
            question=_cut(self.question, _NOTE_CHARS),
            quotes=tuple(_cut(quote, _NOTE_CHARS) for quote in self.quotes[:1]),
            titles=self.titles[:1],
            cites=(),
        )


@dataclass(frozen=True)
class Session:
    """The turns of a session, oldest first: the last in full, those before them summarised."""

    turns: tuple[Turn, ...] = ()
    earlier: tuple[Turn, ...] = ()


NOTHING_SAID: Final = Session()


@dataclass(frozen=True)
class SessionLimits:
    """How much a store keeps: `most` sessions, each for `ttl_s` after its last turn; of each the last `turns` in at
    most `turn_bytes`, and older ones summarised in at most `note_bytes`."""

    ttl_s: float = 7_200.0
    turns: int = 8
    turn_bytes: int = 16_384
    note_bytes: int = 4_096
    most: int = 10_000


class Sessions(Protocol):
    """Remembers sessions, each under its key (`session_of`); what a document said can be taken out of all of them.

    `read` is None where nobody can say; a session never heard of has no turns. `record` adds a turn once, however
    often it comes and in whatever order, and is False for one whose time is over; it raises SessionsUnavailableError
    (adapters/errors.py). `citing` names the turns that quote a document, by the version it was, `of` those in all
    sessions of an owner (`session_of`); `forget` empties turns by those names, for good: one that comes again stays
    empty. All raise as `record` does.
    """

    def read(self, session: str) -> Session | None: ...

    def record(self, tenant: str, session: str, turn: Turn) -> bool: ...

    def citing(self, tenant: str, document: str) -> Mapping[str, Version]: ...

    def of(self, owner: str) -> frozenset[str]: ...

    def forget(self, names: Iterable[str]) -> None: ...


def session_of(tenant: str, query: Query) -> str:
    """The key of a question's session, empty where it has none: nobody else's session of that name has the same.

    >>> ada = Query(query_id="q", question="?", session="s", user="ada")
    >>> session_of("acme", ada) == session_of("globex", ada)
    False

    It is a digest, so that an answer on the log does not say who asked. Who gives no user is told apart by groups.
    """
    if not query.session:
        return ""
    who = [query.user] if query.user else sorted(set(query.groups))
    told = json.dumps([tenant, "user" if query.user else "groups", who, query.session])
    named = hashlib.sha256(told.encode()).hexdigest()
    # Its first half is whose session it is: all of a user's are found by it, to be erased together.
    return owner_of(tenant, query.user, query.groups) + named[OWNER_DIGITS:]


def turn_of(answer: AnswerGiven | AnswerWithheld) -> Turn | None:
    """What a session remembers of an answer; None where there is nothing to come back to."""
    question = _cut(answer.question, _QUESTION_CHARS)
    if isinstance(answer, AnswerWithheld):
        if answer.reason != "not_in_documents":
            return None
        return Turn(answer.answer_id, answer.occurred_at, question)
    return Turn(
        answer.answer_id,
        answer.occurred_at,
        question,
        quotes=tuple(_cut(one.quote, _QUOTE_CHARS) for one in answer.citations[:_QUOTES]),
        answer=_named(answer.span.text) if answer.span else "",
        titles=tuple(dict.fromkeys(_cut(one.title, _NOTE_CHARS) for one in answer.citations[:_QUOTES] if one.title)),
        cites=tuple(dict.fromkeys(Cited(one.document, one.version) for one in answer.citations[:_QUOTES])),
    )


def _named(span: str) -> str:
    """A short answer that can be asked about on: a name, and not a time or a number."""
    named = names(span, opening=True) and not any(char.isdigit() for char in span)
    return _cut(span, _NOTE_CHARS) if named else ""


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else f"{text[: chars - 1]}…"
