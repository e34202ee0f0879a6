"""Evaluate: scores of one answer by measures that need nobody's labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Final

from processors.answer.writing import cited_sentences
from processors.ports import Judge
from schemas.measures import AnswerEvaluated, Score
from schemas.queries import AnswerGiven, AnswerWithheld, Sentence

# From here on a quote counts as supporting its sentence.
SUPPORTED: Final = 0.5


def evaluate(answer: AnswerGiven | AnswerWithheld, judge: Judge) -> Iterator[AnswerEvaluated]:
    """One evaluation per answer; all scores are 0 to 1 and higher is better, except `abstained`.

    `faithfulness`: mean support of the sentences by the quotes they cite. `answer_relevance`: how far the answer
    speaks of what was asked. `citation_correctness`: share of citations whose quote supports the sentence citing it.
    `citation_coverage`: share of sentences that cite something. `confidence`: what the answer says of itself.
    """
    scores = _given(answer, judge) if isinstance(answer, AnswerGiven) else (_abstained(1.0),)
    yield AnswerEvaluated(tenant=answer.tenant, answer_id=answer.answer_id, scores=scores)


def _given(answer: AnswerGiven, judge: Judge) -> tuple[Score, ...]:
    method = type(judge).__name__
    said = list(cited_sentences(answer.text))
    quotes: dict[int, list[str]] = {}
    for citation in answer.citations:
        quotes.setdefault(citation.number, []).append(citation.quote)
    text = " ".join(sentence.text for sentence in said)
    return (
        Score(metric="faithfulness", value=_mean([_support(each, quotes, judge) for each in said]), method=method),
        Score(metric="answer_relevance", value=judge.support(answer.question, [text]), method=method),
        Score(metric="citation_correctness", value=_mean(_correct(said, quotes, judge)), method=method),
        Score(metric="citation_coverage", value=_mean([float(bool(each.cites)) for each in said]), method="markers"),
        Score(metric="confidence", value=answer.confidence, method=answer.model),
        _abstained(0.0),
    )


def _abstained(value: float) -> Score:
    return Score(metric="abstained", value=value, method="outcome")


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else 0.0


def _support(sentence: Sentence, quotes: Mapping[int, Sequence[str]], judge: Judge) -> float:
    texts = [quote for number in sentence.cites for quote in quotes.get(number, ())]
    return judge.support(sentence.text, texts) if texts else 0.0


def _correct(said: Sequence[Sentence], quotes: Mapping[int, Sequence[str]], judge: Judge) -> list[float]:
    """1 or 0 for every marker in the text: whether its quote supports the sentence."""
    return [
        float(bool(quotes.get(number)) and judge.support(sentence.text, quotes[number]) >= SUPPORTED)
        for sentence in said
        for number in sentence.cites
    ]
