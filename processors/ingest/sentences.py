"""Where a text may be cut when it is too long: sentences first, then lines, clauses, words, and at last anywhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

__all__ = ["Span", "fitting_spans", "line_spans", "sentence_spans"]

Span = tuple[int, int]
"""Start and end in a text."""

Fits = Callable[[str], bool]

_END: Final = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s)|[。！？]+[」』”’）]*")
_ABBREVIATION: Final = re.compile(
    r"(?:^|[\s(\[])(?:[A-Za-z]|(?:e\.g|i\.e|a\.k\.a|etc|vs|cf|al|approx|ca|no|nos|fig|figs|eq|sec|ch|vol|pp?|ed|eds|"
    r"mr|mrs|ms|dr|prof|st|jr|sr|inc|ltd|co|corp|gen|col|sgt|rev|hon|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec))\.$",
    re.IGNORECASE,
)
_OPENS: Final = re.compile(r"\s+[\"'“‘«(\[]*(?:[^\Wa-z_]|[^\x00-\x7f])")
_CLAUSE: Final = re.compile(r"[;:,–—]+\s+|[，；：、]")
_WORD: Final = re.compile(r"\S+\s*")


def sentence_spans(text: str) -> list[Span]:
    """The sentences of a text, without the white space between them.

    >>> sentence_spans("Dr. Who came. He left at 3 p.m. yesterday.")
    [(0, 13), (14, 42)]
    """
    cuts = [match.end() for match in _END.finditer(text) if _ends_sentence(text, match)]
    return _between(text, cuts)


def line_spans(text: str) -> list[Span]:
    """The lines of a text, blank ones left out."""
    return _between(text, [match.end() for match in re.finditer(r"\n", text)])


def fitting_spans(text: str, span: Span, fits: Fits) -> Iterator[Span]:
    """Cuts a span that is too long at the first of lines, clauses, words and characters that makes its parts fit."""
    start, end = span
    if fits(text[start:end]):
        yield span
        return
    for finer in (line_spans, _clause_spans, _word_spans):
        parts = finer(text[start:end])
        if len(parts) > 1:
            for a, b in parts:
                yield from fitting_spans(text, (start + a, start + b), fits)
            return
    yield from _hard_cut(text, span, fits)


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    if match.group()[0] in "。！？":
        return True
    if _ABBREVIATION.search(text[max(0, match.start() - 12) : match.start() + 1]):
        return False
    return _OPENS.match(text, match.end()) is not None


def _clause_spans(text: str) -> list[Span]:
    return _between(text, [match.end() for match in _CLAUSE.finditer(text)])


def _word_spans(text: str) -> list[Span]:
    return _between(text, [match.end() for match in _WORD.finditer(text)])


def _between(text: str, cuts: list[int]) -> list[Span]:
    spans = []
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        part = text[start:end]
        if bare := part.strip():
            at = start + part.index(bare)
            spans.append((at, at + len(bare)))
    return spans


def _hard_cut(text: str, span: Span, fits: Fits) -> Iterator[Span]:
    start, end = span
    while start < end:
        size = end - start
        while size > 1 and not fits(text[start : start + size]):
            size = (size + 1) // 2
        yield start, start + size
        start += size
