"""Cues: what kind of thing a question asks for, and whether a sentence holds one."""

from __future__ import annotations

import re
from typing import Final, Literal

from processors.answer.words import STOP_WORDS, stem, word_list, words

Kind = Literal["time", "number", "person", "place", "reason", "open"]

# Tried in this order, on the question's words with a space on either side: the first that fits is the kind.
_ASKS: Final[tuple[tuple[Kind, re.Pattern[str]], ...]] = (
    ("time", re.compile(r" (?:when|(?:what|which) (?:year|date|day|month|century|decade|time)) ")),
    (
        "number",
        re.compile(
            r" (?:how (?:many|much|long|old|far|often|tall|high|large|big|deep|wide|fast|heavy|hot|cold|late|soon)"
            r"|(?:what|which) (?:percent|percentage|per cent|number|amount|proportion|share|age|size|fraction|rate)) "
        ),
    ),
    ("person", re.compile(r" (?:who|whom|whose) ")),
    (
        "place",
        re.compile(
            r" (?:where|(?:what|which) (?:city|country|state|place|region|continent|town|location|area|river|street"
            r"|nation|county|province)) "
        ),
    ),
    ("reason", re.compile(r" why | (?:what|which) (?:caused|causes|cause|reason|reasons) | reason (?:for|why) ")),
)
_TIME: Final = re.compile(
    r"\d|\b(?:january|february|march|april|may|june|july|august|september|october|november|december|centur(?:y|ies)"
    r"|decades?|(?:mon|tues|wednes|thurs|fri|satur|sun)day|today|ago|spring|summer|autumn|winter)\b"
)
_REASON: Final = re.compile(
    r"\b(?:because|due to|since|so that|in order to|as a result|thus|therefore|caused?|reasons?|led to"
    r"|to (?:avoid|prevent|keep|protect|make))\b"
)
_NUMBER_WORDS: Final = word_list(
    """one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion half third
    quarter dozen once twice"""
)
_LETTERS: Final = re.compile(r"\b[^\W\d_][\w'’-]*")
_OPENS_SENTENCE: Final = re.compile(r"(?:^|[.!?:;\"“])\s*$")


def kind_of(question: str) -> Kind:
    """What a question asks for.

    >>> [kind_of(question) for question in ("In what year was it?", "How many are there?", "What is it?")]
    ['time', 'number', 'open']
    """
    text = f" {' '.join(words(question))} "
    return next((kind for kind, asks in _ASKS if asks.search(text)), "open")


def fits(kind: Kind, sentence: str, asked: frozenset[str]) -> float:
    """How well a sentence could answer a question of a kind, 0 to 1; 0.5 where the kind says nothing.

    `asked` are the stems of the question: what it says itself is not what it asks for.
    """
    if kind == "open":
        return 0.5
    if kind == "time":
        return float(bool(_TIME.search(sentence.lower())))
    if kind == "reason":
        return float(bool(_REASON.search(sentence.lower())))
    if kind == "number":
        return float(any(_is_number(word) and stem(word) not in asked for word in words(sentence)))
    if names(sentence) - asked:
        return 1.0
    opening = names(sentence, opening=True) - asked
    return (0.7 if kind == "person" else 0.5) if opening else 0.0


def names(text: str, *, opening: bool = False) -> frozenset[str]:
    """Stems of capitalised words, which are mostly names. The word that opens a sentence counts with `opening` only.

    >>> sorted(names("The engineer Leroy Sherman met him in Ohio."))
    ['leroy', 'ohio', 'sherman']
    """
    return frozenset(
        stem(word)
        for found in _LETTERS.finditer(text)
        if found.group()[0].isupper()
        and (word := found.group().lower().strip("'’-")) not in STOP_WORDS
        and (opening or not _OPENS_SENTENCE.search(text, 0, found.start()))
    )


def particulars(question: str) -> frozenset[str]:
    """Stems of what a question is about in particular: its names and numbers. Sources without them are beside it."""
    return names(question) | {stem(word) for word in words(question) if word[0].isdigit()}


def _is_number(word: str) -> bool:
    return word[0].isdigit() or word in _NUMBER_WORDS
