"""Drawing: the filters that a question states in the words of a declared phrase. Conservative; without a model.

A phrase of settings, `in the {value} handbook`, is looked for word by word. Nothing is drawn where a question names two
values of a field, says which one it does not mean, or was given a filter of that field by its asker.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

from processors.answer.filters import FieldKind, FilterField, dates, spelled

__all__ = ["VALUE", "drawn", "problem_of_phrase"]

VALUE: Final = "{value}"
"""Where in a phrase the value stands."""

# More words are no name any more, but a sentence that goes on.
_MOST_WORDS: Final = 8
_MONTHS: Final = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_MONTH: Final = f"(?:{'|'.join(_MONTHS)})"
# A number ends where no unit and no further digits follow.
_END: Final = r"(?![\w%°€$])(?![.,/:-]\d)"
_PATTERNS: Final[Mapping[FieldKind, str]] = {
    "word": r"[\"“][^\"“”]{1,80}[\"”]|[^\s,;:?!\"“”](?:[^,;:?!\"“”]{0,78}[^\s,;:?!\"“”])?",
    "number": rf"\d{{1,15}}(?:\.\d{{1,6}})?{_END}",
    "date": (
        rf"\d{{4}}-\d{{2}}(?:-\d{{2}})?{_END}|\d{{1,2}} {_MONTH} \d{{4}}{_END}"
        rf"|{_MONTH} \d{{1,2}}, \d{{4}}{_END}|{_MONTH} \d{{4}}{_END}|\d{{4}}{_END}"
    ),
}
# Before a phrase: which one is not meant.
_NOT: Final = re.compile(
    r"\b(?:not|never|nor|except|excluding|without|outside|besides|beside|unlike|(?:other|rather) than)"
    r"(?:\W+\w+)?\W*$",
    re.I,
)
_DAY_FIRST: Final = re.compile(rf"(\d{{1,2}}) ({_MONTH}) (\d{{4}})", re.I)
_MONTH_FIRST: Final = re.compile(rf"({_MONTH}) (?:(\d{{1,2}}), )?(\d{{4}})", re.I)


def drawn(question: str, fields: Mapping[str, FilterField], given: Mapping[str, str]) -> dict[str, str]:
    """The filters that a question states, as an asker would give them; those of `given` are not drawn.

    >>> fields = {"edition": FilterField("number", phrases=("in the {value} handbook",), since=("since {value}",))}
    >>> drawn("What does it say on leave in the 2019 handbook?", fields, {})
    {'edition': '2019'}
    >>> drawn("What changed since 2020, and what not since 2021?", fields, {})
    {}
    """
    found = {name: _drawn(question, one) for name, one in fields.items() if name not in given}
    return {name: value for name, value in found.items() if value}


def problem_of_phrase(phrase: str, kind: FieldKind) -> str:
    """Why a phrase can't be looked for; empty where it can.

    >>> problem_of_phrase("{value}", "word")
    'wanted words beside {value} in a phrase of kind word, got none: every question would hold it'
    """
    if phrase.count(VALUE) != 1:
        return f"wanted {VALUE} once in the phrase {phrase!r}, found it {phrase.count(VALUE)} times"
    if kind != "choice" and not re.search(r"\w", phrase.replace(VALUE, "")):
        return f"wanted words beside {VALUE} in a phrase of kind {kind}, got none: every question would hold it"
    return ""


def _drawn(question: str, one: FilterField) -> str:
    exact, first, last = (
        {value for phrase in phrases for value in _said(question, phrase, one)}
        for phrases in (one.phrases, one.since, one.until)
    )
    if max(map(len, (exact, first, last))) > 1 or (exact and (first or last)):
        return ""
    if exact:
        return exact.pop()
    if first and last:
        both = f"{first.pop()}..{last.pop()}"
        return both if one.test(both) else ""
    return f">={first.pop()}" if first else f"<={last.pop()}" if last else ""


def _said(question: str, phrase: str, one: FilterField) -> Iterator[str]:
    """Each value that stands in a phrase; an empty one, which is none, where the phrase says what is not meant."""
    for match in _pattern(phrase, one).finditer(question):
        value = _value(match["value"], one)
        if _NOT.search(question[: match.start()]):
            yield from ("", value)
        elif value:
            yield value


@lru_cache(maxsize=1_024)
def _pattern(phrase: str, one: FilterField) -> re.Pattern[str]:
    before, after = (r"\s+".join(map(re.escape, part.split())) for part in phrase.split(VALUE))
    value = _PATTERNS[one.kind] if one.kind != "choice" else _any_of(one.words)
    # A word goes as far as the words behind it, or to the end of its part of the sentence.
    ends = (r"(?=\s*[,;:?!]|\.?\s*$)" if one.kind == "word" else r"(?!\w)") if not after else rf"\s*{after}(?!\w)"
    lazily = value.replace("{0,78}", "{0,78}?")
    return re.compile(rf"(?<!\w){before}{chr(92)}s*(?P<value>{lazily}){ends}", re.I)


def _any_of(words: Mapping[str, str]) -> str:
    longest_first = sorted(words, key=len, reverse=True)
    return "(?:" + "|".join(r"\s+".join(map(re.escape, word.split())) for word in longest_first) + r")(?![\w+#-])"


def _value(text: str, one: FilterField) -> str:
    """What was said, as a filter says it; empty where it is no value of the field."""
    bare = " ".join(text.strip("\"“”' ").split())
    if one.kind == "choice":
        return one.words.get(spelled(bare), "")
    if one.kind == "number":
        return bare if one.least <= float(bare) <= one.most else ""
    if one.kind == "date":
        day = _iso(bare)
        return day if dates(day) else ""
    return bare if len(bare.split()) <= _MOST_WORDS else ""


def _iso(text: str) -> str:
    if found := _DAY_FIRST.fullmatch(text):
        day, month, year = found.groups()
        return f"{year}-{_number(month)}-{int(day):02d}"
    if found := _MONTH_FIRST.fullmatch(text):
        month, day, year = found.groups()
        return f"{year}-{_number(month)}" + (f"-{int(day):02d}" if day else "")
    return text


def _number(month: str) -> str:
    return f"{_MONTHS.index(month.lower()) + 1:02d}"
