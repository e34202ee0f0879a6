"""Follow-ups: whether a question leans on what was asked before, and what it then asks. English; without a model."""

from __future__ import annotations

import re
from typing import Final, Literal

from processors.answer.cues import names
from processors.answer.sessions import Session, Turn
from processors.answer.words import STOP_WORDS, stems, words

__all__ = ["Leaning", "leaning", "resolved"]

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
# Fewer words than these that mean something ask for something only beside another question.
_ENOUGH: Final = 2
# Questions looked back on; and of what they and the answer say, so many words are taken.
_BACK: Final = 3
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


def resolved(question: str, session: Session) -> str:
    """What a question asks that leans on its session: itself, and the words of what it leans on; empty where it stands
    by itself or nothing was said before.

    >>> from schemas.envelope import Micros
    >>> said = Session((Turn("a", Micros(1), "When was Nikola Tesla born?"),))
    >>> resolved("Where did he die?", said)
    'Where did he die? Nikola Tesla born'

    Words are added rather than put in: measured, that finds and reads better (docs/adr/0019).
    """
    turns = (*session.earlier, *session.turns)[-_BACK:]
    lean = leaning(question)
    if not (lean and turns):
        return ""
    known = set(words(question))
    added = [word for text in _leant_on(lean, turns) for word in _telling(text) if not known.issuperset(words(word))]
    return " ".join((question, *list(dict.fromkeys(added))[:_MOST_WORDS]))


def _leant_on(lean: Leaning, turns: tuple[Turn, ...]) -> list[str]:
    """Back to the question that stands by itself; what only varies another leans on those between as well."""
    said = list[str]()
    for turn in reversed(turns):
        own = leaning(turn.question)
        if not own or lean == "ellipsis":
            said.insert(0, turn.question)
        if not own:
            break
    return said


def _telling(text: str) -> list[str]:
    """The words of a text that mean something, as they are written."""
    return [bare for word in text.split() if set(words(word)) - STOP_WORDS and (bare := word.strip('?!.,;:"“”()[]'))]
