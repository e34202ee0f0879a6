"""Overlap: a chunk begins with the last sentences of the prose before it, so that both sides of a cut can be found."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from msgspec.structs import replace

from processors.ingest.sentences import Span, sentence_spans
from schemas.documents import Chunk

__all__ = ["overlapping"]

_WORD: Final = re.compile(r"\S+")
# A word of one letter and a gap is the least that a token takes; further back no overlap can begin.
_MOST_CHARS_PER_TOKEN: Final = 8


def overlapping(chunk: Chunk, before: Span, text: str, count: Callable[[str], int], room: tuple[int, int]) -> Chunk:
    """The chunk with as much of the end of `before` as fits; `room` is that of the overlap, then of the whole chunk.

    Only the last unit before is looked at, and whole sentences are taken where one fits: an edit further up changes
    nothing here. `start` moves to where the overlap begins, so the text stays verbatim.
    """
    most, whole = room
    for start in _starts(text, before, most):
        own = text[start : chunk.end]
        if count(text[start : before[1]]) <= most and (tokens := count(own)) <= whole:
            return replace(chunk, text=own, start=start, tokens=tokens)
    return chunk


def _starts(text: str, before: Span, most: int) -> Iterator[int]:
    """Where the overlap could begin, the furthest back first: sentences, then words of the last one."""
    first = max(before[0], before[1] - most * _MOST_CHARS_PER_TOKEN)
    sentences = [before[0] + start for start, _ in sentence_spans(text[before[0] : before[1]])]
    yield from (start for start in sentences if start >= first)
    last = max(first, sentences[-1] if sentences else before[0])
    words = (last + match.start() for match in _WORD.finditer(text[last : before[1]]))
    # A word that is cut off at the front says nothing.
    yield from (start for start in words if start == before[0] or text[start - 1].isspace())
