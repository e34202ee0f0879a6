"""Cues: what kind of thing a question asks for, and whether a sentence holds one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from processors.answer.words import STOP_WORDS, stem, stems, word_list, words

Kind = Literal["time", "count", "measure", "person", "place", "reason", "open"]

# Sought in the question's words with a space on either side; what comes first in the question is its kind: in "how many
# died when it broke" the `when` asks for nothing.
_ASKS: Final[tuple[tuple[Kind, re.Pattern[str]], ...]] = (
    ("time", re.compile(r" (?:when|(?:what|which) (?:year|date|day|month|century|decade|time)) ")),
    (
        "count",
        re.compile(r" (?:how (?:many|much|often)|(?:what|which) (?:percent|percentage|number|amount|share|fraction)) "),
    ),
    (
        "measure",
        re.compile(
            r" (?:how (?:long|old|far|tall|high|large|big|deep|wide|thick|fast|heavy|hot|cold|late|soon|steep|strong)"
            r"|(?:what|which) (?:age|size|rate|length|height|depth|width|weight|speed|temperature|price|distance)) "
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
_DENIES: Final = re.compile(
    r"\b(?:not|never|no|none|nor|neither|nobody|nothing|without|cannot|non)\b|n['’]t\b", re.IGNORECASE
)
_COUNTED: Final = re.compile(r" how (?:many|much) (?:more |of the |of )?(\w+)")
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
_YEAR: Final = re.compile(r"(?:1\d|20)\d\d")
# How far behind its number a counted thing may stand: "431 of the people", "sixty very small boats".
REACH: Final = 4
_LETTERS: Final = re.compile(r"\b[^\W\d_][\w'’-]*")
# After a word of three letters a full stop ends a sentence; after fewer ("St. Francis") it rather does not.
_OPENS_SENTENCE: Final = re.compile(r"(?:^|\w{3}[.!?]|[:;\"“])\s*$")


@dataclass(frozen=True)
class Asked:
    """What a question asks for, its own stems, its names and numbers, what is to be counted.

    `denies` where it asks by a denial; `length` in words.
    """

    kind: Kind
    stems: frozenset[str]
    particulars: frozenset[str]
    counted: str = ""
    denies: bool = False
    length: int = 0


def asked(question: str) -> Asked:
    """Reads a question for its cues.

    >>> found = asked("How many people died in Ohio?")
    >>> found.kind, found.counted, sorted(found.particulars)
    ('count', 'person', ['ohio'])
    """
    text = f" {' '.join(words(question))} "
    asks = [(match.start(), kind) for kind, pattern in _ASKS if (match := pattern.search(text))]
    kind: Kind = min(asks, key=lambda each: each[0])[1] if asks else "open"
    counted = _COUNTED.search(text)
    numbers = {stem(word) for word in words(question) if word[0].isdigit()}
    return Asked(
        kind=kind,
        stems=frozenset(stems(question)),
        particulars=names(question) | numbers,
        counted=stem(counted.group(1)) if counted and counted.group(1) not in STOP_WORDS else "",
        denies=bool(_DENIES.search(question)),
        length=len(words(question)),
    )


def fits(asked: Asked, sentence: str) -> float:
    """How well a sentence could answer, by the kind of thing it holds, 0 to 1; 0.5 where the kind says nothing.

    What the question says itself is not what it asks for.
    """
    if asked.kind == "open":
        return 0.5
    if asked.kind == "time":
        return float(bool(_TIME.search(sentence.lower())))
    if asked.kind == "reason":
        return float(bool(_REASON.search(sentence.lower())))
    if asked.kind in ("count", "measure"):
        return _numbers(asked, sentence)
    if names(sentence) - asked.stems:
        return 1.0
    opening = names(sentence, opening=True) - asked.stems
    return (0.7 if asked.kind == "person" else 0.5) if opening else 0.0


def _numbers(asked: Asked, sentence: str) -> float:
    """1 for a number of what is counted, or a number that is no year; 0.5 for any other number."""
    said = words(sentence)
    best = 0.0
    for position, word in enumerate(said):
        if not (word[0].isdigit() or word in _NUMBER_WORDS) or stem(word) in asked.stems:
            continue
        following = {stem(each) for each in said[position + 1 : position + 1 + REACH]}
        right = asked.counted in following if asked.counted else not _YEAR.fullmatch(word)
        best = max(best, 1.0 if right else 0.5)
    return best


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
