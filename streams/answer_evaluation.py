"""Measures answers on labelled questions: are they right, do citations hold, does confidence tell right from wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypedDict

from processors.answer.sentences import locate
from processors.answer.writing import cited_parts, cited_sentences
from processors.measure.answering import auc, exact_match, holds_answer, risk_coverage, token_f1
from schemas.queries import AnswerDrafted, AnswerGiven, AnswerWithheld, Citation
from streams.settings import Settings
from streams.trial import Line, Trial
from topics.answer import ANSWER_DRAFTED, ANSWER_GIVEN

__all__ = ["AnswerReport", "Point", "evaluate_answers"]


class Point(TypedDict):
    """A place of the risk-coverage curve: the most confident share of the questions, and how many of it are wrong."""

    coverage: float
    risk: float


class _Shares(TypedDict):
    """What the judged questions come to."""

    questions: int
    answerable: int
    unanswerable: int
    answered: float
    declined: float | None
    holds_answer: float
    span_f1: float
    span_exact: float
    right_of_answered: float
    auc: float | None
    risk_coverage: list[Point]


class AnswerReport(_Shares):
    """What the answers to labelled questions are worth; shares are 0 to 1.

    `answered`: answerable questions that got an answer; `declined`: unanswerable ones that got none.
    `holds_answer`: answerable questions whose answer holds a golden one. `span_f1`, `span_exact`: of the exact span
    against the golden answers, 0 for a question without a span. `right_of_answered`: of everything that was answered.
    `citations_hold`: citations whose words stand at their place in the document and hold the sentence that cites them.
    `auc`: of confidence, answerable against unanswerable questions; None where the labels hold one kind only.
    """

    passages: int
    citations: int
    citations_hold: float
    seconds: float
    ms_per_question: float


@dataclass(frozen=True)
class _Judged:
    """One question: what was said, how sure, and what of it is right."""

    golden: tuple[str, ...]
    confidence: float
    text: str
    span: str

    @property
    def is_right(self) -> bool:
        return bool(self.text) and holds_answer(self.text, self.golden)


def evaluate_answers(
    settings: Settings, passages: Sequence[Line], questions: Sequence[Line], say: Callable[[str], None]
) -> AnswerReport:
    """Ingests the passages, asks every question through the whole journey, judges what comes out.

    A line of `questions` has `answers`: the golden ones, none where the passages hold no answer.
    """
    with Trial(settings, say, until="check") as trial:
        started = trial.now()
        trial.ingest(passages)
        asked = trial.now()
        found = trial.ask(questions, [ANSWER_DRAFTED, ANSWER_GIVEN])
        ended = trial.now()
    drafted = {event.query.query_id: event for event in found if isinstance(event, AnswerDrafted)}
    given = {e.answer_id: e for e in found if isinstance(e, AnswerGiven | AnswerWithheld)}
    judged = [_judged(line, drafted.get(str(line["id"])), given.get(str(line["id"]))) for line in questions]
    answers = [event for event in given.values() if isinstance(event, AnswerGiven)]
    held = _citations(answers, {str(line["id"]): str(line["text"]) for line in passages})
    return {
        **_shares(judged),
        "passages": len(passages),
        "citations": len(held),
        "citations_hold": _share(held),
        "seconds": round(ended - started, 1),
        "ms_per_question": round(1000 * (ended - asked) / max(1, len(questions)), 2),
    }


def _judged(line: Line, draft: AnswerDrafted | None, final: AnswerGiven | AnswerWithheld | None) -> _Judged:
    text = final.text if isinstance(final, AnswerGiven) else ""
    span = final.span.text if isinstance(final, AnswerGiven) and final.span else ""
    return _Judged(tuple(map(str, line["answers"])), draft.confidence if draft else 0.0, _bare(text), span)


def _bare(text: str) -> str:
    """What is said, without the numbers of its citations, which might be taken for an answer."""
    return " ".join(sentence.text for sentence in cited_sentences(text))


def _shares(judged: Sequence[_Judged]) -> _Shares:
    answerable = [one for one in judged if one.golden]
    others = [one for one in judged if not one.golden]
    both = bool(answerable and others)
    curve = risk_coverage([(one.confidence, one.is_right) for one in judged])
    return {
        "questions": len(judged),
        "answerable": len(answerable),
        "unanswerable": len(others),
        "answered": _share([bool(one.text) for one in answerable]),
        "declined": _share([not one.text for one in others]) if others else None,
        "holds_answer": _share([one.is_right for one in answerable]),
        "span_f1": _share([token_f1(one.span, one.golden) if one.span else 0.0 for one in answerable]),
        "span_exact": _share([exact_match(one.span, one.golden) if one.span else 0.0 for one in answerable]),
        "right_of_answered": _share([one.is_right for one in judged if one.text]),
        "auc": round(auc([o.confidence for o in answerable], [o.confidence for o in others]), 4) if both else None,
        "risk_coverage": [Point(coverage=round(share, 2), risk=round(risk, 4)) for share, risk in curve],
    }


def _citations(answers: Sequence[AnswerGiven], documents: Mapping[str, str]) -> list[bool]:
    """For each citation whether its words stand where it says, and hold the sentence that cites them."""
    return [
        _stands(citation, documents) and _is_what_is_said(citation, list(cited_parts(answer.text)))
        for answer in answers
        for citation in answer.citations
    ]


def _stands(citation: Citation, documents: Mapping[str, str]) -> bool:
    there = documents.get(citation.document, "")[citation.start : citation.end]
    return there.split() == citation.quote.split()


def _is_what_is_said(citation: Citation, parts: Sequence[tuple[str, tuple[int, ...]]]) -> bool:
    """Whether the quote holds what is said before its number, or stands in it, word for word."""
    return any(
        citation.number in cites and bool(locate(said, citation.quote) or locate(citation.quote, said))
        for said, cites in parts
    )


def _share(values: Sequence[float]) -> float:
    return round(fmean(values), 4) if values else 0.0
