"""Spans: the words of a sentence that answer a question by themselves, where it asks for a time, a number or a name."""

from __future__ import annotations

import re
from typing import Final

from processors.answer.cues import Asked
from processors.answer.words import STOP_WORDS, stem, stems, words

__all__ = ["exact_span"]

_MONTH: Final = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December|Jan\.|Feb\.|Aug\.|Sept\."
    r"|Oct\.|Nov\.|Dec\.)"
)
_YEAR: Final = r"\b(?:1\d{3}|20\d{2})\b(?!,\d|%| (?:million|billion|percent))"
# From the most particular to the least: what matches first is the answer to `when`.
_TIMES: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? {_YEAR}|\b\d{{1,2}} {_MONTH},? {_YEAR}",
        rf"{_MONTH},? {_YEAR}",
        rf"\b\d{{1,2}} {_MONTH}\b|{_MONTH} \d{{1,2}}\b",
        rf"{_YEAR}(?:[-–—]\d{{2,4}}\b| (?:and|to|until) {_YEAR})?",
        r"\b(?:early |late |mid-)?(?:\d{1,2}(?:st|nd|rd|th)|[a-z]+(?:teenth|tieth|first)) centur(?:y|ies)\b",
        r"\b(?:early |late |mid-)?(?:the )?1\d{2}0s\b",
        rf"\b(?:{_MONTH}|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|spring|summer|autumn|winter)\b",
    )
)
_SMALL: Final = (
    r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen"
    r"|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|dozens?|half|hundreds?|thousands?)"
)
_LARGE: Final = r"(?:hundred|thousand|million|billion|trillion|percent|per cent)"
_NUMBER: Final = re.compile(
    rf"(?:US)?[$€£¥]?\d+(?:,\d{{3}})*(?:\.\d+)?(?:[-–]\d+)?(?:st|nd|rd|th)?%?(?: {_LARGE}\b)?"
    rf"|\b{_SMALL}(?:[- ](?:and )?{_SMALL})*(?: {_LARGE})?\b",
    re.IGNORECASE,
)
_UNIT: Final = re.compile(r" (?:[a-z]+ )?[A-Za-z²³°/]+")
_FULL_YEAR: Final = re.compile(r"(?:1\d|20)\d\d")
# A name: capitalised words, with the small ones that stand within names.
_NAME: Final = re.compile(
    r"[A-ZÀ-Þ][\w'’.-]*(?:(?: (?:of|the|de|la|le|van|von|der|and|du|al|bin|ibn|da|di|den))*[ -][A-ZÀ-Þ0-9][\w'’.-]*)*"
)
_BY: Final = re.compile(r"\b(?:by|named|called|was|is|were|are|in|at|from|to|near)\s+(?:the )?$")


def exact_span(asked: Asked, sentence: str) -> str:
    """The span, word for word as it stands in the sentence; empty where there is none, or nothing exact is asked for.

    >>> from processors.answer.cues import asked
    >>> exact_span(asked("When was the valve made?"), "Leroy Sherman made the valve in May 1931.")
    'May 1931'
    >>> exact_span(asked("Who made the valve?"), "In May 1931 the valve was made by Leroy Sherman.")
    'Leroy Sherman'

    By rules for English: a time from the most particular form to the least, a number that is no year and stands before
    what is counted, a name that the question does not say. Where several fit, the one nearest to words of the question.
    """
    if asked.kind == "time":
        return _time(asked, sentence)
    if asked.kind in ("count", "measure"):
        return _number(asked, sentence)
    if asked.kind in ("person", "place"):
        return _name(asked, sentence)
    return ""


def _time(asked: Asked, sentence: str) -> str:
    for pattern in _TIMES:
        found = [match for match in pattern.finditer(sentence) if not _said(asked, match.group())]
        if found:
            return _nearest(asked, sentence, found).group()
    return ""


def _number(asked: Asked, sentence: str) -> str:
    numbers = (match for match in _NUMBER.finditer(sentence) if not _FULL_YEAR.fullmatch(match.group()))
    found = [match for match in numbers if not _said(asked, match.group())]
    if asked.counted:
        counting = [m for m in found if asked.counted in stems(" ".join(sentence[m.end() :].split()[:4]))]
        found = counting or found
    if not found:
        return ""
    chosen = _nearest(asked, sentence, found)
    unit = _UNIT.match(sentence, chosen.end()) if asked.kind == "measure" else None
    return chosen.group() + (_first_word(unit.group()) if unit else "")


def _first_word(unit: str) -> str:
    """The unit that follows a number: one word, none where that carries no meaning."""
    word = unit.split()[0]
    return "" if word.lower() in STOP_WORDS else f" {word}"


def _name(asked: Asked, sentence: str) -> str:
    found = [match for match in _NAME.finditer(sentence) if _is_name(asked, match)]
    if not found:
        return ""
    told = [match for match in found if _BY.search(sentence[: match.start()])]
    return _nearest(asked, sentence, told or found).group().rstrip(".,'’")


def _is_name(asked: Asked, match: re.Match[str]) -> bool:
    own = [word for word in words(match.group()) if word not in STOP_WORDS]
    if not own or all(stem(word) in asked.stems for word in own):
        return False
    # The word that opens a sentence is written large whatever it is: one alone is no name.
    return match.start() > 0 or len(own) > 1


def _said(asked: Asked, text: str) -> bool:
    """Whether the question says it itself."""
    return all(stem(word) in asked.stems for word in words(text))


def _nearest(asked: Asked, sentence: str, found: list[re.Match[str]]) -> re.Match[str]:
    places = [match.start() for match in re.finditer(r"\w+", sentence) if stem(match.group().lower()) in asked.stems]

    def distance(match: re.Match[str]) -> float:
        near = sorted(min(abs(place - match.start()), abs(place - match.end())) for place in places)[:2]
        return sum(near) / len(near) if near else match.start()

    return min(found, key=distance)
