"""The words of a text that support a claim best, and how far they do, by a judge that needs no server."""

from __future__ import annotations

from processors.answer.sentences import Span, locate, sentences
from processors.answer.words import coverage, stems
from processors.ports import Judge

__all__ = ["evidence_in"]


def evidence_in(claim: str, text: str, judge: Judge) -> tuple[Span | None, float]:
    """The claim itself where it stands in the text; else the sentence that shares most with it, as far as that and the
    text support the claim."""
    exact = locate(claim, text)
    if exact:
        return exact, 1.0
    wanted = stems(claim)
    quote = max(sentences(text), key=lambda span: coverage(wanted, stems(span.text)), default=None)
    # One call for both: what a claim draws from two neighbouring sentences is supported by the passage only.
    return quote, judge.support(claim, [quote.text, text]) if quote else 0.0
