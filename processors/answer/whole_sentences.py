"""Whole sentences of a text that is still being written: each as soon as nothing that follows can change it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from processors.answer.writing import cited_in, marked_spans, says_no_answer
from schemas.queries import Sentence

__all__ = ["WholeSentences"]

# Where the last sentence is no longer than an opened marker, that marker may yet belong to the sentence before.
_MARKER_OPENED: Final = re.compile(r"\s*\[[\d\s,]*\]?\s*$")
# The first word behind a full stop decides whether it ended a sentence, so it has to be there as a whole.
_WORD_AND_MORE: Final = re.compile(r"\W*\w+\W")
_MAY_END: Final = re.compile(r"[.!?…。！？\n]")


class WholeSentences:
    """Hears a text piece by piece and tells its sentences, citations taken out, however it was cut into pieces.

    >>> heard = WholeSentences()
    >>> [one.text for piece in ("It is so [1", "]. And", " more") for one in heard.hear(piece)]
    ['It is so.']

    What it told is how `cited_sentences` of the whole text begins.
    """

    def __init__(self) -> None:
        self._text = ""
        self._told = 0
        self._may_have_ended = False

    def hear(self, piece: str) -> Sequence[Sentence]:
        """The sentences that are whole now and were not before."""
        self._text += piece
        self._may_have_ended |= _MAY_END.search(piece) is not None
        # Only the end of a word can settle anything.
        if not self._may_have_ended or (piece and piece.isalnum()):
            return ()
        spans, joined = marked_spans(self._text)
        if len(spans) < 2:
            return ()
        last = joined[spans[-1].start :]
        sure = _WORD_AND_MORE.match(last) and not _MARKER_OPENED.match(last)
        whole = list(cited_in(spans[:-1] if sure else spans[:-2]))
        if len(whole) == 1 and says_no_answer(whole[0].text):
            return ()
        # What is sure stays so: there is nothing to look for until another sentence may have ended.
        self._may_have_ended = not sure or _MAY_END.search(last) is not None
        new, self._told = whole[self._told :], max(self._told, len(whole))
        return new
