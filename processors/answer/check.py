"""Check: each sentence against the sources it cites. What they do not say is taken out; nothing left is no answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from processors.answer.caching import Answers
from processors.answer.edition import Edition
from processors.answer.evidence import evidence_in
from processors.answer.expiry import UNAVAILABLE, withheld
from processors.answer.outlet import Outlet, Screened
from processors.answer.sentences import Span, locate
from processors.answer.sessions import session_of
from processors.answer.standing import renewed
from processors.answer.writing import TRUNCATED, cited
from processors.ingest.memories import memory_in
from processors.ports import Judge
from schemas.queries import (
    AnswerDrafted,
    AnswerGiven,
    AnswerRenewed,
    AnswerWithheld,
    Citation,
    ExactSpan,
    Passage,
    Sentence,
)

NOT_IN_DOCUMENTS: Final = "The documents do not answer this question."
NOT_SAID: Final = "What was found on this question may not be shown."


@dataclass(frozen=True)
class AnswerBar:
    """How good an answer must be, 0 to 1: each sentence's support by its sources, and the confidence of the whole.

    At the default, of labelled questions 95 in 100 with an answer are answered, and 93 in 100 about something else are
    declined (docs/adr/0005).
    """

    support: float = 0.6
    confidence: float = 0.3


@dataclass(frozen=True)
class _Checked:
    """A sentence that stands: with the sources that support it, and where in each."""

    sentence: Sentence
    citations: tuple[Citation, ...]
    span: ExactSpan | None = None
    hidden: frozenset[str] = frozenset()


def check(
    draft: AnswerDrafted, judge: Judge, bar: AnswerBar, edition: Edition, answers: Answers, outlet: Outlet
) -> Iterator[AnswerGiven | AnswerWithheld | AnswerRenewed]:
    """The final answer with exact citations, or why there is none; kept for whoever asks the same again.

    Where a standing question was asked, besides the answer with what it rests on.

    A sentence that stands word for word in a source it cites is supported entirely; any other is judged against the
    sentences of those sources. Citations that do not support their sentence are dropped, then sentences without any.
    What a verifier said of a sentence counts, its quote only where it stands in the source.
    What may not be said is masked in quotes as well, so that their places hold.
    """
    for final in _final(_screened(draft, outlet), _Bench(judge, bar, outlet), edition):
        answers.keep(draft, final)
        yield final
        if (anew := renewed(draft, final)) is not None:
            yield anew


@dataclass(frozen=True)
class _Bench:
    """Who says what stands."""

    judge: Judge
    bar: AnswerBar
    outlet: Outlet


def _screened(draft: AnswerDrafted, outlet: Outlet) -> AnswerDrafted:
    """The draft as it may be said, also where another release drafted it."""
    gate = outlet.gate(draft.tenant)
    if gate is None:
        return draft
    passed = [one for sentence in draft.sentences for one in gate.take(sentence)] + gate.rest()
    kinds = tuple(sorted({*draft.withheld_kinds, *gate.kinds}))
    return replace(draft, sentences=tuple(passed), withheld_kinds=kinds)


def _final(draft: AnswerDrafted, bench: _Bench, edition: Edition) -> Iterator[AnswerGiven | AnswerWithheld]:
    cites = {number for sentence in draft.sentences for number in sentence.cites}
    screened = {
        source.number: bench.outlet.passage(draft.tenant, source.passage)
        for source in draft.sources
        if source.number in cites
    }
    standing = [checked for sentence in draft.sentences if (checked := _checked(sentence, screened, bench))]
    support = sum(each.sentence.support for each in standing) / len(standing) if standing else 0.0
    confidence = draft.confidence * support
    if not standing and TRUNCATED in draft.degraded:
        yield withheld(draft.tenant, draft.query, "unavailable", UNAVAILABLE)
        return
    if not standing or confidence < bench.bar.confidence:
        yield _no_answer(draft)
        return
    generation = next((source.passage.generation for source in draft.sources), "") or edition.generation
    yield AnswerGiven(
        tenant=draft.tenant,
        answer_id=draft.query.query_id,
        question=draft.query.question,
        text=" ".join(cited(each.sentence) for each in standing),
        citations=tuple(citation for each in standing for citation in each.citations),
        model=draft.model,
        prompt_version=draft.prompt_version,
        generation=generation,
        confidence=confidence,
        passages=tuple(source.passage.object_id for source in draft.sources),
        degraded=draft.degraded,
        span=next((each.span for each in standing if each.span), None),
        session=session_of(draft.tenant, draft.query),
        withheld_kinds=tuple(sorted({*draft.withheld_kinds, *(kind for each in standing for kind in each.hidden)})),
        pipeline=edition.pipeline,
        embedding=edition.embedding(generation),
        drawn=draft.query.drawn,
    )


def _no_answer(draft: AnswerDrafted) -> AnswerWithheld:
    """That the documents do not say it, or that what they say may not be said."""
    if draft.withheld_kinds and not draft.sentences:
        no = withheld(draft.tenant, draft.query, "refused", NOT_SAID)
    else:
        no = withheld(draft.tenant, draft.query, "not_in_documents", NOT_IN_DOCUMENTS)
    return replace(no, degraded=draft.degraded, withheld_kinds=draft.withheld_kinds, drawn=draft.query.drawn)


def _checked(sentence: Sentence, screened: Mapping[int, Screened], bench: _Bench) -> _Checked | None:
    if sentence.refuted:
        return None
    found, span, hidden = [], None, frozenset[str]()
    for number in sentence.cites:
        source = screened.get(number)
        quote, support = _evidence(sentence, source, bench.judge) if source else (None, 0.0)
        if source and quote and support >= bench.bar.support:
            found.append((support, _citation(number, source.passage, quote)))
            span = span or _span(number, source.passage, quote, sentence.span)
            hidden |= source.kinds(quote.start, quote.end)
    if not found:
        return None
    best = max(support for support, _ in found)
    kept = tuple(citation for _, citation in found)
    cites = tuple(citation.number for citation in kept)
    return _Checked(Sentence(text=sentence.text, cites=cites, support=best), kept, span, hidden)


def _span(number: int, passage: Passage, quote: Span, wanted: str) -> ExactSpan | None:
    """Where the short answer stands in the document; None where the quote does not hold it word for word."""
    found = locate(wanted, quote.text) if wanted else None
    if found is None:
        return None
    start = _placed(passage, quote.start + found.start)
    return ExactSpan(text=found.text, number=number, start=start, end=_placed(passage, quote.start + found.end))


def _evidence(sentence: Sentence, source: Screened, judge: Judge) -> tuple[Span | None, float]:
    """The words of a passage that support a sentence best, as they may be quoted, and how far they do."""
    shown = source.passage.text
    if exact := locate(sentence.text, shown):
        return exact, 1.0
    if verified := locate(sentence.evidence, source.text):
        return _quoted(verified, shown), sentence.support
    quote, support = evidence_in(sentence.text, source.text, judge)
    return (_quoted(quote, shown), support) if quote else (None, 0.0)


def _quoted(span: Span, shown: str) -> Span:
    """The same place in the text as it may be quoted; a mask is as long as what it hides."""
    return Span(span.start, span.end, shown[span.start : span.end])


def _citation(number: int, passage: Passage, quote: Span) -> Citation:
    return Citation(
        number=number,
        document=passage.document,
        version=passage.version,
        object_id=passage.object_id,
        chunk=passage.chunk,
        title=passage.title,
        source_uri=passage.source_uri,
        quote=quote.text,
        start=_placed(passage, quote.start),
        end=_placed(passage, quote.end),
        page=passage.page,
        memory=memory_in(passage.document),
    )


def _placed(passage: Passage, position: int) -> int:
    """A position in a passage's text as one in its document: what leads the text stands further up."""
    return passage.start + max(0, position - passage.lead)
