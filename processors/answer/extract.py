"""Extracting: which sentences of the sources answer a question, and how sure that is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, log
from typing import Final

from processors.answer.cues import Asked, asked, fits
from processors.answer.reader import Reading, SpanReader, Window
from processors.answer.sentences import Span, sentences
from processors.answer.words import coverage, rarity, stems, word_list, words
from processors.ports import Ranker
from schemas.queries import Sentence, Source

MOST_SENTENCES: Final = 3
# The ranker reads this many of the sentences that look best by their words; reading more found next to nothing more.
RANKED: Final = 6
# The reader reads the best of these: of labelled questions it finds no more by reading three, four or six.
READ: Final = 2
# A reader sees so many tokens only; beyond this many characters it would miss the end of the sentence.
WINDOW_CHARS: Final = 500
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
# ... and how likely the reader finds its words, whose margins are spread so far.
READABLE: Final = 4.0
MARGIN_SPREAD: Final = 2.0
# What is said around a sentence decides only whether the ranker reads it: the ranker then sees that for itself.
COVERED_AROUND: Final = 3.8
# Confidence: logistic regression on the same questions, with unanswerable ones of both kinds (near the topic, off it).
SURE_BY_RELEVANCE: Final = 9.3
SURE_BY_PARTICULARS: Final = 1.1
UNSURE: Final = 7.2
# The same where the reader can say how likely its words are (docs/adr/0021). Of two questions as near to a
# passage, the one that repeats more of its words is answered less often: those words made it near, and another is
# not met. What a question denies, neither ranker nor reader sees well. A long question is as near with less relevance.
READ_BY_RELEVANCE: Final = 8.3
READ_BY_PARTICULARS: Final = 1.3
READ_BY_MARGIN: Final = 0.11
READ_BY_REPEATED: Final = -3.6
READ_BY_DENIAL: Final = -1.9
READ_BY_LENGTH: Final = 0.8
UNREAD: Final = 7.2
# Only the share beyond this counts as repeated: below it, a question is about something else.
REPEATED: Final = 0.5
# Of how many words a question is short or long; beyond these, the logarithm of its length says nothing more.
SHORT: Final = 4
LONG: Final = 16
# Below this the writer says nothing at all: no bar of any deployment should let it pass.
LEAST_CONFIDENCE: Final = 0.05
# Odds beyond this are as good as none, and too large for a float.
FARTHEST: Final = 50.0
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
    reading: Reading | None = None

    @property
    def window(self) -> Window:
        """What a reader sees: the sentence, behind the one before where both are short enough."""
        text = self.source.passage.text
        begin = self.before.start if self.before else self.span.start
        if self.span.end - begin > WINDOW_CHARS:
            begin = self.span.start
        return Window(text[begin : self.span.end], self.span.start - begin)

    @property
    def margin(self) -> float | None:
        """How much likelier its words are than no answer; None where it was not read, or the reader can't say."""
        return self.reading.margin if self.reading else None

    @property
    def words(self) -> str:
        """The words that answer by themselves, as the reader found them."""
        if self.reading is None:
            return ""
        return " ".join(self.window.text[self.reading.start : self.reading.end].split())


def extract(question: str, sources: Sequence[Source], ranker: Ranker, reader: SpanReader) -> Evidence:
    """The one to three sentences that answer a question best; none where the sources hold nothing near it.

    1. Every sentence is scored by its words: those of the question, weighted by rarity, and the kind asked for.
    2. The ranker scores the most promising, each with as much of what stands before it as it needs to be understood.
    3. The reader looks in the best of these for the words that answer, and says how likely they do.
    4. The best is quoted, with those close to it; with its neighbour where only that holds the kind of thing asked for,
       and with the sentence before where a quote points back to it.
    """
    wanted = asked(question)
    found = sorted(_by_words(wanted, sources), key=lambda each: -each.promise)[:RANKED]
    best = _by_reading(question, _by_meaning(question, found, ranker), reader)
    if not best:
        return Evidence((), 0.0)
    confidence = _confidence(wanted, best)
    if confidence < LEAST_CONFIDENCE:
        return Evidence((), confidence)
    return Evidence(tuple(_said(question, _quoted(wanted, best), reader)), confidence)


def windows(question: str, source: Source) -> list[Window]:
    """The sentences of a source as a reader sees them, the most promising first. Use it to make cases for a reader."""
    found = sorted(_by_words(asked(question), [source]), key=lambda each: -each.promise)
    return [each.window for each in found]


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


def _by_reading(question: str, ranked: Sequence[_Candidate], reader: SpanReader) -> list[_Candidate]:
    """Step 3, best first: what was not read stands behind what was, unless the reader can't say how likely it is."""
    first = _read(question, ranked[:READ], reader)
    weighed = [replace(each, score=each.score + READABLE * _likelihood(each)) for each in first]
    return sorted([*weighed, *ranked[READ:]], key=lambda each: -each.score)


def _read(question: str, candidates: Sequence[_Candidate], reader: SpanReader) -> list[_Candidate]:
    readings = reader.read(question, [each.window for each in candidates])
    return [replace(each, reading=reading) for each, reading in zip(candidates, readings, strict=True)]


def _likelihood(each: _Candidate) -> float:
    """That the sentence holds the answer, as the reader sees it; 0 where it can't say."""
    return 0.0 if each.margin is None else _logistic(each.margin / MARGIN_SPREAD)


def _confidence(wanted: Asked, best: Sequence[_Candidate]) -> float:
    first = best[0].source.passage
    held = {word for text in (first.text, first.title, *first.heading_path) for word in stems(text)}
    share = coverage(wanted.particulars, held) if wanted.particulars else 1.0
    relevance = max(each.relevance for each in best)
    margins = [each.margin for each in best if each.margin is not None]
    if not margins:
        return _logistic(SURE_BY_RELEVANCE * relevance + SURE_BY_PARTICULARS * share - UNSURE)
    return _logistic(
        READ_BY_RELEVANCE * relevance
        + READ_BY_PARTICULARS * share
        + READ_BY_MARGIN * max(margins)
        + READ_BY_REPEATED * max(0.0, coverage(wanted.stems, held) - REPEATED)
        + READ_BY_DENIAL * wanted.denies
        + READ_BY_LENGTH * log(max(SHORT, min(LONG, wanted.length)))
        - UNREAD
    )


def _logistic(odds: float) -> float:
    return 1 / (1 + exp(-max(-FARTHEST, min(FARTHEST, odds))))


def _quoted(wanted: Asked, best: Sequence[_Candidate]) -> list[_Candidate]:
    """Step 4, in reading order."""
    close = [each for each in best[:MOST_SENTENCES] if each.score >= best[0].score - MARGIN]
    chosen = {(each.source.number, each.position): each for each in close}
    extra = [
        _completed(wanted, best),
        *(_beside(each, -1, each.before) for each in close if each.before and _points_back(each.span.text)),
    ]
    for each in extra:
        if each and len(chosen) < MOST_SENTENCES:
            chosen.setdefault((each.source.number, each.position), each)
    return [chosen[place] for place in sorted(chosen)]


def _beside(each: _Candidate, step: int, neighbour: Span) -> _Candidate:
    """The sentence next to a candidate, which was not read itself."""
    return replace(each, position=each.position + step, span=neighbour, before=None, reading=None)


def _said(question: str, quoted: Sequence[_Candidate], reader: SpanReader) -> list[Sentence]:
    """The quotes as sentences, of which the likeliest has the words that answer by themselves."""
    unread = iter(_read(question, [each for each in quoted if each.reading is None], reader))
    read = [each if each.reading else next(unread) for each in quoted]
    holding = [each for each in read if each.words]
    best = max(holding, key=lambda each: (each.margin or 0.0, each.score), default=None)
    return [
        Sentence(
            text=" ".join(each.span.text.split()),
            cites=(each.source.number,),
            support=each.relevance,
            span=each.words if each is best else "",
        )
        for each in read
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
            return _beside(first, step, neighbour)
    return None


def _is_heading(text: str) -> bool:
    """A few words without an end: it names what follows and says nothing itself. An item of a list or table may."""
    if not words(text):
        return True
    return not _ENDS.search(text) and not _ITEM.match(text) and len(text.split()) <= HEADING_WORDS


def _points_back(sentence: str) -> bool:
    return next(iter(words(sentence)), "") in _POINTS_BACK
