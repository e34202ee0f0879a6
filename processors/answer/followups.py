"""Follow-ups: whether a question leans on what was asked before, and what it then asks. English; without a model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal

from processors.answer.cues import names
from processors.answer.sessions import Session, Turn
from processors.answer.words import STOP_WORDS, stems, words

__all__ = ["Leaning", "leaning", "meanings"]

Leaning = Literal["", "pronoun", "ellipsis"]
"""How a question leans: a word of it stands for something named before, or it says only what is to be different."""

# Who or what is meant stands elsewhere, unless a name stands before them.
_PRONOUN: Final = re.compile(
    r"\b(?:he|him|his|himself|she|hers?|herself|it|its|itself|they|them|theirs?|themselves)\b", re.I
)
# `This` and its like point back behind a verb or a preposition; elsewhere they bind or count ("the one that").
_POINTER: Final = re.compile(
    r"\b(?:of|for|in|on|at|by|with|from|to|after|before|about|during|did|do|does|was|were|is|are|has|have|why|how) "
    r"(?:this|that|these|those)\b(?! (?:it|he|she|they|the|an?|there)\b)",
    re.I,
)
_CARRIES_ON: Final = re.compile(r"(?:and|but|or|so)\b|(?:what|how) about\b|(?:who|what|where|when|which) else\b", re.I)
# A name as it is written: words in capitals, small words amid them.
_NAME: Final = re.compile(
    r"(?<![\w'’])[^\W\d_a-z][\w'’.&-]*(?: (?:(?:of|the|de|von|van|and|for) )*(?:[^\W_a-z][\w'’.&-]*))*"
)
# Fewer words than these that mean something ask for something only beside another question.
_ENOUGH: Final = 2
# Of what is leant on, so many are added.
_MOST_WORDS: Final = 40


def leaning(question: str) -> Leaning:
    """How a question leans on another. Use it for questions of a session: another has nothing to lean on.

    >>> leaning("Where did he die?"), leaning("And in 1998?"), leaning("Where did Tesla live when he was young?")
    ('pronoun', 'ellipsis', '')
    """
    told = stems(question)
    found = _PRONOUN.search(question) or _POINTER.search(question)
    if found and told and not names(question[: found.start()]):
        return "pronoun"
    carries_on = _CARRIES_ON.match(question) or (len(told) < _ENOUGH and not names(question))
    return "ellipsis" if carries_on else ""


def meanings(question: str, session: Session) -> tuple[str, ...]:
    """What a question asks that leans on its session, the likeliest first; nothing where it stands by itself.

    >>> from schemas.envelope import Micros
    >>> said = Turn("a", Micros(1), "When was Nikola Tesla born?", titles=("Inventors",))
    >>> meanings("Where did he die?", Session((said,)))
    ('Where did he die? Inventors', 'Where did he die? Nikola Tesla')

    It is the question with the title of what was cited last, or else with the names that were asked about. These are
    added rather than put in the place of a word: measured, that finds and reads better (docs/adr/0019-sessions.md).
    """
    turns = _leant_on(question, (*session.earlier, *session.turns))
    title = next((turn.titles[0] for turn in reversed(turns) if turn.titles), "")
    about = (title, _named(turns) or _told(turns))
    return tuple(dict.fromkeys(said for each in about if (said := _with(question, each)) != question))


def _leant_on(question: str, turns: Sequence[Turn]) -> Sequence[Turn]:
    """The turns that a question leans on, oldest first: back to one whose question stands by itself."""
    if not leaning(question):
        return ()
    start = next((n for n in reversed(range(len(turns))) if not leaning(turns[n].question)), 0)
    return turns[start:]


def _named(turns: Sequence[Turn]) -> str:
    """The names that were asked about."""
    found = [name for turn in turns for match in _NAME.finditer(turn.question) if (name := _bare(match[0]))]
    return " ".join(dict.fromkeys(found))


def _bare(name: str) -> str:
    """A name without small words that only open the sentence: When Tesla, In the Ohio."""
    told = name.split()
    while told and told[0].lower() in STOP_WORDS:
        told.pop(0)
    return " ".join(told)


def _told(turns: Sequence[Turn]) -> str:
    """The words of the questions that mean something."""
    return " ".join(word for turn in turns for word in words(turn.question) if word not in STOP_WORDS)


def _with(question: str, about: str) -> str:
    """The question with those words of a text that it does not say itself."""
    said = set(words(question))
    added = [word for word in about.split() if not said.issuperset(words(word))]
    return " ".join((question, *list(dict.fromkeys(added))[:_MOST_WORDS]))
