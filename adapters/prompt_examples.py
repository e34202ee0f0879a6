"""Examples in a prompt's front matter: a question, its sources, and the answer that is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from processors.answer.prompting import NO_ANSWER
from processors.answer.writing import cited_sentences
from schemas.envelope import Version
from schemas.queries import Passage, Source

__all__ = ["MOST_EXAMPLES", "Example", "examples_of"]

MOST_EXAMPLES: Final = 16
"""More are paid for with every question, and a model learns nothing from them."""
_MOST_SOURCES: Final = 9
_KEYS: Final = {"question", "sources", "answer"}


@dataclass(frozen=True)
class Example:
    """What was asked of which sources, and how it is to be answered."""

    question: str
    sources: tuple[Source, ...]
    answer: str


def examples_of(told: Any) -> tuple[Example, ...]:
    """Examples as front matter says them. Raises ValueError for what would teach a model to answer wrongly.

    >>> (one,) = examples_of([{"question": "How long?", "sources": ["For a year."], "answer": "A year. [1]"}])
    >>> one.sources[0].passage.text
    'For a year.'
    """
    if not isinstance(told, list) or not 1 <= len(told) <= MOST_EXAMPLES:
        raise ValueError(f"wanted a list of 1 to {MOST_EXAMPLES} `examples`")
    return tuple(_example(number, one) for number, one in enumerate(told, start=1))


def _example(number: int, told: Any) -> Example:
    whose = f"example {number}"
    if not isinstance(told, dict) or told.keys() != _KEYS:
        raise ValueError(f"{whose}: wanted question, sources and answer, and nothing else")
    sources = told["sources"]
    if not isinstance(sources, list) or not 1 <= len(sources) <= _MOST_SOURCES:
        raise ValueError(f"{whose}: wanted a list of 1 to {_MOST_SOURCES} sources")
    given = tuple(Source(number=place, passage=_passage(whose, one)) for place, one in enumerate(sources, start=1))
    answer = _text(whose, "answer", told["answer"])
    _check(whose, answer, len(given))
    return Example(_text(whose, "question", told["question"]), given, answer)


def _check(whose: str, answer: str, sources: int) -> None:
    """An answer is what the prompt asks for: each sentence cites sources that are there, or none holds it."""
    if answer == NO_ANSWER:
        return
    for sentence in cited_sentences(answer):
        if not sentence.cites or not all(1 <= number <= sources for number in sentence.cites):
            raise ValueError(
                f"{whose}: wanted sentences that cite sources 1 to {sources}, like [1], or exactly {NO_ANSWER}, "
                f"got {sentence.text!r} with {list(sentence.cites)}"
            )
    if not [*cited_sentences(answer)]:
        raise ValueError(f"{whose}: wanted an answer with words, or exactly {NO_ANSWER}, got {answer!r}")


def _passage(whose: str, told: Any) -> Passage:
    source = {"title": "", "text": told} if isinstance(told, str) else told
    if not isinstance(source, dict) or source.keys() != {"title", "text"}:
        raise ValueError(f"{whose}: wanted each source as a text, or with title and text, and nothing else")
    title, text = source["title"], _text(whose, "source", source["text"])
    if not isinstance(title, str):
        raise ValueError(f"{whose}: wanted a title as text, got {title!r}")
    return Passage(
        object_id="",
        document="",
        version=Version(source=0, offset=0),
        chunk="",
        ordinal=0,
        text=text,
        title=title or "Example",
        source_uri="",
        start=0,
        end=len(text),
        score=0.0,
    )


def _text(whose: str, what: str, told: Any) -> str:
    if not isinstance(told, str) or not told.strip():
        raise ValueError(f"{whose}: wanted its {what} as text, got {told!r}")
    return told.strip()
