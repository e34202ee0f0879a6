"""Extracting: which sentences of the sources answer a question, and how sure that is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp
from typing import Final

from processors.answer.cues import Asked, asked, fits
from processors.answer.sentences import Span, sentences
from processors.answer.spans import exact_span
from processors.answer.words import coverage, rarity, stems, word_list, words
from processors.ports import Ranker
from schemas.queries import Sentence, Source

MOST_SENTENCES: Final = 3
# The ranker reads this many of the sentences that look best by their words; reading more found next to nothing more.
RANKED: Final = 6
# A sentence this far below the best (in units of the score below) is not quoted beside it.
MARGIN: Final = 0.8
# Further below than this it does not complete the best either.
COMPLETES: Final = 4.0
# Weights of a sentence's score, fitted on labelled questions (softmax regression; docs/adr/0005): the words of the
# question that it holds, the kind of thing asked for, its passage's rank, and what the ranker makes of it.
COVERED: Final = 5.7
FITTING: Final = 2.4
PASSAGE: Final = 2.1
RELEVANT: Final = 13.5
# What is said around a sentence decides only whether the ranker reads it: the ranker then sees that for itself.
COVERED_AROUND: Final = 3.8
# Confidence: logistic regression on the same questions, with unanswerable ones of both kinds (near the topic, off it).
SURE_BY_RELEVANCE: Final = 9.3
SURE_BY_PARTICULARS: Final = 1.1
UNSURE: Final = 7.2
# Below this the writer says nothing at all: no bar of any deployment should let it pass.
LEAST_CONFIDENCE: Final = 0.05
HEADING_WORDS: Final = 8
_ENDS: Final = re.compile(r"[.!?:;…。！？][\"'”’»)\]*_`]*$")
_ITEM: Final = re.compile(r"[-*+•|`~]|\d{1,3}[.)]\s")
# A sentence that opens with one of these speaks of something named before it.
_POINTS_BACK: Final = word_list("he she it they this these those his her its their such")


@dataclass(frozen=True)
class Evidence:
    """The sentences to quote, in reading order, and the confidence that they answer the question (0 to 1)."""

    sentences: tuple[Sentence, ...]
    confidence: float


@dataclass(frozen=True)
class _Candidate:
    """A sentence in its place: which source, how-manieth sentence there, and what speaks for it.

    `shown` is what the ranker reads: the sentence, behind its heading or the sentence before where those add words of
    the question, since what is named there is often only `it` here. `promise` decides what is read, `score` what is
    quoted.
    """

    source: Source
    position: int
    span: Span
    shown: str
    promise: float
    score: float
    fit: float
    before: Span | None
    after: Span | None = None
    relevance: float = 0.0


def extract(question: str, sources: Sequence[Source], ranker: Ranker) -> Evidence:
    """The one to three sentences that answer a question best; none where the sources hold nothing near it.

    1. Every sentence is scored by its words: those of the question, weighted by rarity, and the kind asked for.
    2. The ranker scores the most promising, each with as much of what stands before it as it needs to be understood.
    3. The best is quoted, with those close to it; with its neighbour where only that holds the kind of thing asked for,
       and with the sentence before where a quote points back to it.
    """
    wanted = asked(question)
    found = sorted(_by_words(wanted, sources), key=lambda each: -each.promise)[:RANKED]
    best = _by_meaning(question, found, ranker)
    if not best:
        return Evidence((), 0.0)
    confidence = _confidence(wanted, best)
    if confidence < LEAST_CONFIDENCE:
        return Evidence((), confidence)
    return Evidence(tuple(_quoted(wanted, best)), confidence)


def _by_words(wanted: Asked, sources: Sequence[Source]) -> list[_Candidate]:
    """Step 1."""
    found = [(source, sentences(source.passage.text)) for source in sources]
    weight = rarity(span.text for _, spans in found for span in spans)
    order = sorted(sources, key=lambda source: -source.passage.score)
    place = {source.number: position for position, source in enumerate(order)}
    return [
        candidate
        for source, spans in found
        for candidate in _of_source(wanted, source, spans, _Weights(weight, PASSAGE / (1 + place[source.number])))
    ]


@dataclass(frozen=True)
class _Weights:
    """What a stem tells among these sources, and what a passage's rank is worth."""

    stems: Mapping[str, float]
    passage: float


def _of_source(wanted: Asked, source: Source, spans: Sequence[Span], weights: _Weights) -> Iterator[_Candidate]:
    """The sentences of a source but not its headings, which are context for what follows them."""
    headings = [source.passage.title, *source.passage.heading_path]
    before: Span | None = None
    for position, span in enumerate(spans):
        if _is_heading(span.text):
            headings.append(span.text)
            before = None
            continue
        held, earlier = set(stems(span.text)), set(stems(before.text)) if before else set()
        around = {word for heading in headings for word in stems(heading)}
        fit = fits(wanted, span.text)
        score = COVERED * coverage(wanted.stems, held, weights.stems) + FITTING * fit + weights.passage
        promise = score + COVERED_AROUND * coverage(wanted.stems, held | earlier | around, weights.stems)
        shown = _shown(wanted, headings, before, span)
        after = next((each for each in spans[position + 1 : position + 2] if not _is_heading(each.text)), None)
        yield _Candidate(source, position, span, shown, promise, score, fit, before, after)
        before = span


def _shown(wanted: Asked, headings: Sequence[str], before: Span | None, span: Span) -> str:
    """A sentence behind what adds words of the question to it."""
    held = set(stems(span.text))
    shown = [span.text]
    for context in (before.text if before else "", headings[-1]):
        if (wanted.stems & set(stems(context))) - held:
            shown.insert(0, context)
            held.update(stems(context))
    return " ".join(shown)


def _by_meaning(question: str, candidates: Sequence[_Candidate], ranker: Ranker) -> list[_Candidate]:
    """Step 2, best first. The question's own score is the measure, so that scores mean the same in every call."""
    if not candidates:
        return []
    own, *scores = ranker.score(question, [question, *(each.shown for each in candidates)])
    relevance = [max(0.0, min(1.0, score / own)) if own > 0 else 0.0 for score in scores]
    ranked = [
        replace(each, score=each.score + RELEVANT * found, relevance=found)
        for each, found in zip(candidates, relevance, strict=True)
    ]
    return sorted(ranked, key=lambda each: -each.score)


def _confidence(wanted: Asked, best: Sequence[_Candidate]) -> float:
    first = best[0].source.passage
    held = {word for text in (first.text, first.title, *first.heading_path) for word in stems(text)}
    share = coverage(wanted.particulars, held) if wanted.particulars else 1.0
    relevance = max(each.relevance for each in best)
    return 1 / (1 + exp(UNSURE - SURE_BY_RELEVANCE * relevance - SURE_BY_PARTICULARS * share))


def _quoted(wanted: Asked, best: Sequence[_Candidate]) -> list[Sentence]:
    """Step 3, in reading order."""
    close = [each for each in best[:MOST_SENTENCES] if each.score >= best[0].score - MARGIN]
    chosen = {(each.source.number, each.position): each for each in close}
    extra = [
        _completed(wanted, best),
        *(
            replace(each, position=each.position - 1, span=each.before)
            for each in close
            if each.before and _points_back(each.span.text)
        ),
    ]
    for each in extra:
        if each and len(chosen) < MOST_SENTENCES:
            chosen.setdefault((each.source.number, each.position), each)
    said = {place: " ".join(each.span.text.split()) for place, each in chosen.items()}
    spans = {place: span for place, text in said.items() if (span := exact_span(wanted, text))}
    best_held = max(spans, key=lambda place: chosen[place].score, default=None)
    return [
        Sentence(
            text=said[place],
            cites=(place[0],),
            support=each.relevance,
            span=spans[place] if place == best_held else "",
        )
        for place, each in sorted(chosen.items())
    ]


def _completed(wanted: Asked, best: Sequence[_Candidate]) -> _Candidate | None:
    """The sentence that holds what is asked for, where the best one only names what it is about.

    That is the next best of the same passage, or else a neighbour, however little of the question it repeats.
    """
    first, *others = best
    if wanted.kind == "open" or first.fit >= 1.0:
        return None
    for other in others:
        if other.source is first.source and other.fit > first.fit and other.score >= first.score - COMPLETES:
            return other
    for step, neighbour in ((1, first.after), (-1, first.before)):
        if neighbour and fits(wanted, neighbour.text) > first.fit:
            return replace(first, position=first.position + step, span=neighbour)
    return None


def _is_heading(text: str) -> bool:
    """A few words without an end: it names what follows and says nothing itself. An item of a list or table may."""
    if not words(text):
        return True
    return not _ENDS.search(text) and not _ITEM.match(text) and len(text.split()) <= HEADING_WORDS


def _points_back(sentence: str) -> bool:
    return next(iter(words(sentence)), "") in _POINTS_BACK
