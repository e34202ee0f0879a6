"""Sentences of a text with their places, so that a quote can be pointed at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from processors.answer.words import word_list


class Span(NamedTuple):
    """A sentence and where it stands: `text == whole[start:end]`."""

    start: int
    end: int
    text: str


_FENCE: Final = re.compile(r"^[ \t]*(```|~~~)")
_BLANK: Final = re.compile(r"^\s*$")
# A list item begins a unit, a table row or a heading is one.
_ITEM: Final = re.compile(r"^[ \t]*(?:[-*+•][ \t]|\d{1,3}[.)][ \t])")
_ROW: Final = re.compile(r"^[ \t]*(?:\||#{1,6}[ \t])")
_STOP: Final = re.compile(r"[.!?…]+[\"'”’»)\]*_`]*(?=\s|$)|[。！？]+[」』”]?")
_LAST_WORD: Final = re.compile(r"([^\s\"'“‘(\[]\S*)$")
_NEXT_WORD: Final = re.compile(r"\s*[\"'“‘«(\[*_`]*(\w+)?")
_INITIALS: Final = re.compile(r"^(?:[^\W\d_]\.)+$|^[^\W\d_]\.$")

# After these a sentence goes on, whatever follows.
_GOES_ON: Final = word_list(
    "mr mrs ms dr prof st sr jr gen col lt sgt capt rev hon gov sen rep pres fig figs no nos vol vols pp ed eds cf al "
    "e.g i.e eg ie vs viz approx ca c resp incl"
)
# After these it ends where the next word is one that begins sentences.
_MAY_END: Final = word_list("etc inc ltd co corp u.s u.k u.n d.c a.m p.m a.d b.c ph.d dept univ est jan feb")
_STARTERS: Final = word_list(
    "the a an in on at it its this that these those he she they we you i there when while after before although "
    "however for from as by with if but and according during since both most many some"
)


def sentences(text: str) -> list[Span]:
    """The sentences of a passage. List items, table rows and fenced code are kept whole, each as one.

    >>> [span.text for span in sentences("It has 3.5 GB. See e.g. Dr. Who. Done!")]
    ['It has 3.5 GB.', 'See e.g. Dr. Who.', 'Done!']
    """
    found = []
    for start, end, whole in _units(text):
        pieces = [(start, end)] if whole else _pieces(text, start, end)
        found += [span for piece in pieces if (span := _trimmed(text, *piece)).text]
    return found


def _units(text: str) -> Iterator[tuple[int, int, bool]]:
    """Runs of lines that belong together, as (start, end, is kept whole)."""
    start, fenced, position = 0, False, 0
    for line in text.splitlines(keepends=True):
        here, position = position, position + len(line)
        if _FENCE.match(line):
            if fenced:
                yield start, position, True
                start = position
            else:
                yield start, here, False
                start = here
            fenced = not fenced
        elif not fenced and (_BLANK.match(line) or _ITEM.match(line)):
            yield start, here, False
            start = here
        elif not fenced and _ROW.match(line):
            yield start, here, False
            yield here, position, True
            start = position
    yield start, len(text), fenced


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    begun = start
    for stop in _STOP.finditer(text, start, end):
        if _ends(text, begun, stop):
            yield begun, stop.end()
            begun = stop.end()
    yield begun, end


def _ends(text: str, begun: int, stop: re.Match[str]) -> bool:
    """Whether a full stop ends its sentence, by the words on either side."""
    following = _NEXT_WORD.match(text, stop.end())
    upcoming = following.group(1) if following and following.group(1) else ""
    if upcoming[:1].islower():
        return False
    if stop.group()[0] != ".":
        return True
    last = _LAST_WORD.search(text, begun, stop.start())
    word = (last.group(1) if last else "").lower()
    if word in _GOES_ON or (_INITIALS.match(f"{word}.") and word not in _MAY_END):
        return upcoming.lower() in _STARTERS and len(word) > 1 and word not in _GOES_ON
    if word in _MAY_END:
        return upcoming.lower() in _STARTERS or not upcoming
    return not (word.isdigit() and text[begun : stop.start()].strip() == word)


def _trimmed(text: str, start: int, end: int) -> Span:
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return Span(start, start + len(piece.strip()), piece.strip())


def locate(quote: str, text: str) -> Span | None:
    """Where a quote stands in a text, whatever white space lies between its words; None where it does not.

    >>> locate("two words", "just two\\n  words here").text
    'two\\n  words'
    """
    position = text.find(quote)
    if position >= 0 and quote:
        return Span(position, position + len(quote), quote)
    parts = quote.split()
    if not parts:
        return None
    found = re.search(r"\s+".join(map(re.escape, parts)), text)
    return Span(found.start(), found.end(), found.group()) if found else None
