"""Writers: who turns a prompt into a draft. One quotes the sources, one asks a model."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Protocol

from processors.answer.extract import Evidence, extract
from processors.answer.prompting import NO_ANSWER
from processors.answer.reader import SpanReader
from processors.answer.sentences import Span, sentences
from processors.answer.words import words
from processors.ports import OVERLOADED, Generator, Occasion, Piece, Ranker
from schemas.queries import PromptAssembled, Sentence, Usage, WithheldReason

TRUNCATED: Final = "truncated"
"""In `degraded`: the model fell silent or was cut off; what is there ends with its last whole sentence."""

# [3], [1][2] and [1, 2]; a model also writes (1) or ^1, which are left as text and then count as no citation.
_MARKERS: Final = re.compile(r"\s*\[\s*(\d{1,3}(?:\s*,\s*\d{1,3})*)\s*\]")
# A marker after the full stop belongs to the sentence before it.
_STOP_THEN_MARKERS: Final = re.compile(r"([.!?…。！？]+[\"'”’]?)((?:\s*\[\s*\d{1,3}(?:\s*,\s*\d{1,3})*\s*\])+)")
_NUMBER: Final = re.compile(r"\d{1,3}[.)]")
_WHOLE: Final = re.compile(r"[.!?…。！？][\"'”’)\]]*\s*$")


@dataclass(frozen=True)
class Draft:
    """What a writer ends with: whole sentences with their citations, and how sure it is (0 to 1).

    `model` names who wrote it where that is not the writer's own. `refused` says why nothing was even begun.
    """

    sentences: tuple[Sentence, ...]
    confidence: float
    degraded: tuple[str, ...] = ()
    usage: tuple[Usage, ...] = ()
    model: str = ""
    refused: WithheldReason | None = None


Written = str | Sentence | Draft
"""What a writer says: text as it comes, or whole sentences where it knows them, and its draft at the end."""


class Writer(Protocol):
    """Writes a draft for a prompt: text or sentences as they come, then one Draft, whose sentences are the same.

    Raises an unavailable error, if at all, before the first text: from then on a failure ends as a truncated draft.
    """

    @property
    def model(self) -> str: ...

    def write(self, prompt: PromptAssembled) -> AsyncGenerator[Written, None]: ...


class ExtractiveWriter:
    """Quotes whole sentences of the sources, word for word. Use it where no model is at hand; it can't invent.

    It says nothing where the evidence is too thin: the draft then has no sentences.
    """

    model = "extractive"

    def __init__(self, ranker: Ranker, reader: SpanReader) -> None:
        self._ranker = ranker
        self._reader = reader

    async def write(self, prompt: PromptAssembled) -> AsyncGenerator[Written, None]:
        """Reads in a thread, since the models behind ranker and reader would hold up every other question."""
        question, sources = prompt.query.meant, prompt.sources
        evidence: Evidence = await asyncio.to_thread(extract, question, sources, self._ranker, self._reader)
        for sentence in evidence.sentences:
            yield sentence
        yield Draft(evidence.sentences, evidence.confidence)


class ModelWriter:
    """Asks a model and streams what it says. Use it with any OpenAI-compatible server behind the Generator port."""

    def __init__(self, generator: Generator, max_tokens: int) -> None:
        self._generator = generator
        self._max_tokens = max_tokens

    @property
    def model(self) -> str:
        return self._generator.model

    async def write(self, prompt: PromptAssembled) -> AsyncGenerator[Written, None]:
        """Streams the model's text; the Draft holds its sentences with the citations taken out of them."""
        if not prompt.sources:
            yield Draft((), 0.0)
            return
        text, last = "", Piece()
        pieces = self._generator.generate(
            prompt.system, prompt.prompt, tenant=prompt.tenant, max_tokens=self._max_tokens, occasion=_occasion(prompt)
        )
        async with aclosing(pieces):
            async for piece in pieces:
                last = piece
                text += piece.text
                if piece.text:
                    yield piece.text
        if OVERLOADED in last.degraded:
            yield Draft((), 0.0, last.degraded, refused="overloaded")
            return
        found = tuple(cited_sentences(text) if last.finished else finished_sentences(text))
        degraded = last.degraded if last.finished else (*last.degraded, TRUNCATED)
        yield Draft(found, 1.0 if found else 0.0, degraded, self._usage(last), last.model)

    async def aclose(self) -> None:
        """Lets the model server go, in the loop that asked it."""
        await self._generator.aclose()

    def _usage(self, last: Piece) -> tuple[Usage, ...]:
        counts = (("tokens_in", last.tokens_in), ("tokens_out", last.tokens_out))
        return tuple(
            Usage(step="generate", model=last.model or self.model, unit=unit, quantity=float(count))
            for unit, count in counts
            if count
        )


def _occasion(prompt: PromptAssembled) -> Occasion:
    query = prompt.query
    return Occasion(query.meant, len(prompt.sources), query.lane, query.deadline_at)


def cited(sentence: Sentence) -> str:
    """A sentence as it is shown: its text, then its citations.

    >>> cited(Sentence(text="It is so.", cites=(1, 3)))
    'It is so. [1][3]'
    """
    return f"{sentence.text} {''.join(f'[{number}]' for number in sentence.cites)}".rstrip()


def cited_sentences(text: str) -> Iterator[Sentence]:
    """The sentences of a model's answer, citation markers taken out and kept as numbers.

    >>> [(each.text, each.cites) for each in cited_sentences("Kafka keeps a log [1]. It is fast. [2][3]")]
    [('Kafka keeps a log.', (1,)), ('It is fast.', (2, 3))]
    """
    if says_no_answer(text):
        return
    yield from cited_in(marked_spans(text)[0])


def says_no_answer(text: str) -> bool:
    """Whether this is what a model says, and nothing else, where the sources hold no answer."""
    return " ".join(words(text)) == NO_ANSWER.lower()


def cited_in(spans: Iterable[Span]) -> Iterator[Sentence]:
    """Sentences with their markers as sentences that cite; what is nothing but markers is none."""
    for span in spans:
        numbers = [number for group in _MARKERS.findall(span.text) for number in _numbers(group)]
        bare = " ".join(_MARKERS.sub("", span.text).split())
        if words(bare):
            yield Sentence(text=bare, cites=tuple(dict.fromkeys(numbers)))


def marked_spans(text: str) -> tuple[list[Span], str]:
    """The sentences of a model's text with their markers, and the text that they are parts of.

    The markers move in front of the stop, so that the splitter keeps them with their sentence.
    """
    joined = _STOP_THEN_MARKERS.sub(r"\2\1", text)
    return sentences(joined), joined


def cited_parts(text: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """What an answer says before each citation marker, as it is written, and the numbers in it.

    >>> list(cited_parts("(It is so. [1] And so.) [2][3]"))
    [('(It is so.', (1,)), ('And so.)', (2,)), ('And so.)', (3,))]
    """
    said = ""
    pieces = _MARKERS.split(text)
    for piece, group in zip(pieces[::2], pieces[1::2], strict=False):
        said = " ".join(piece.split()) or said
        yield said, _numbers(group)


def _numbers(group: str) -> tuple[int, ...]:
    return tuple(int(number) for number in group.split(","))


def _item_begun(span: Span, text: str) -> bool:
    """Whether it is the number of a list's item, and nothing of the item yet."""
    return bool(_NUMBER.fullmatch(span.text)) and text[: span.start].rstrip(" \t").endswith("\n")


def finished_sentences(text: str) -> Iterator[Sentence]:
    """The sentences of a model's answer that was cut off, without the one it was cut in.

    >>> [one.text for one in finished_sentences("It is so [1]. But the")]
    ['It is so.']
    """
    spans, joined = marked_spans(text)
    if spans and (_item_begun(spans[-1], joined) or not _WHOLE.search(spans[-1].text)):
        spans = spans[:-1]
    if len(spans) == 1 and says_no_answer(spans[0].text):
        return
    yield from cited_in(spans)
