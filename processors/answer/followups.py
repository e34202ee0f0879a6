"""Follow-ups: whether a question leans on what was asked before, and what it then asks. English; without a model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from processors.answer.cues import names
from processors.answer.sessions import Session, Turn
from processors.answer.words import STOP_WORDS, stems, words

__all__ = ["leans", "meanings"]

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
# Of what is leant on, so many are added.
_MOST_WORDS: Final = 40


def leans(question: str) -> bool:
    """Whether a question leans on another. Use it for questions of a session: others have nothing to lean on.

    >>> leans("Where did he die?"), leans("And in 1998?"), leans("Where did Tesla live when he was young?")
    (True, True, False)
    """
    found = _PRONOUN.search(question) or _POINTER.search(question)
    if found and not names(question[: found.start()]):
        return True
    return bool(_CARRIES_ON.match(question)) or (len(stems(question)) < _ENOUGH and not names(question))


def meanings(question: str, session: Session) -> tuple[str, ...]:
    """What a question asks that leans on its session, the likeliest first; nothing where it stands by itself.

    >>> from schemas.envelope import Micros
    >>> said = Turn("a", Micros(1), "When was Nikola Tesla born?", titles=("Inventors",))
    >>> meanings("Where did he die?", Session((said,)))
    ('Where did he die? Inventors', 'Where did he die? Nikola Tesla born')

    It is the question with the title of what was cited last, or else with the words of the question before and the name
    that was the answer. They are added rather than put in the place of a word: measured, that finds and reads better
    (docs/adr/0019-sessions.md).
    """
    turns = _leant_on(question, (*session.earlier, *session.turns))
    title = next((turn.titles[0] for turn in reversed(turns) if turn.titles), "")
    about = (title, " ".join(text for turn in turns for text in (turn.question, turn.answer)))
    return tuple(dict.fromkeys(said for each in about if (said := _with(question, each)) != question))


def _leant_on(question: str, turns: Sequence[Turn]) -> Sequence[Turn]:
    """The turns that a question leans on, oldest first: back to one whose question stands by itself."""
    if not leans(question):
        return ()
    start = next((n for n in reversed(range(len(turns))) if not leans(turns[n].question)), 0)
    return turns[start:]


def _with(question: str, about: str) -> str:
    """The question with those words of a text that mean something and that it does not say itself, as they are written.

    Of many it takes the last: what was said last is leant on first.
    """
    said = set(words(question)) | STOP_WORDS
    added = [bare for word in about.split() if set(words(word)) - said and (bare := word.strip('?!.,;:"“”()[]'))]
    return " ".join((question, *list(dict.fromkeys(added))[-_MOST_WORDS:]))
