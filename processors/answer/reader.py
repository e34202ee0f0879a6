"""Readers: who finds the words of a sentence that answer a question by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from processors.answer.cues import asked
from processors.answer.sentences import locate
from processors.answer.spans import exact_span

__all__ = ["Reading", "RuleReader", "SpanReader", "Window"]


class Window(NamedTuple):
    """What a reader sees of a text: from `start` on a sentence, which may hold the answer; what goes before explains
    it."""

    text: str
    start: int = 0


class Reading(NamedTuple):
    """The words that answer, `text[start:end]` of the window, and how much likelier they are than no answer.

    `margin` is the logarithm of the odds, None where a reader can't say. Without words `start` and `end` are equal.
    """

    start: int
    end: int
    margin: float | None = None


class SpanReader(Protocol):
    """Reads windows for a question, one Reading each, in the order given. Safe for threads."""

    def read(self, question: str, windows: Sequence[Window]) -> list[Reading]: ...


class RuleReader:
    """Reads by rules: times, numbers and names where a question asks for one. Use it where no model is at hand.

    >>> RuleReader().read("When did the valve leak?", [Window("It was new. It leaked in May 1998.", 12)])
    [Reading(start=25, end=33, margin=None)]
    """

    def read(self, question: str, windows: Sequence[Window]) -> list[Reading]:
        """No words where the question asks for nothing that the rules know, or the sentence holds none."""
        wanted = asked(question)
        return [_placed(exact_span(wanted, window.text[window.start :]), window) for window in windows]


def _placed(words: str, window: Window) -> Reading:
    found = locate(words, window.text[window.start :]) if words else None
    if found is None:
        return Reading(window.start, window.start)
    return Reading(window.start + found.start, window.start + found.end)
