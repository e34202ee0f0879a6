"""Builders for the tests of answering: a query, passages, a prompt, a draft."""

from __future__ import annotations

from schemas.envelope import Micros, Version
from schemas.queries import AnswerDrafted, Passage, PromptAssembled, Query, Sentence, Source

TENANT = "acme"


def query(question: str = "How long is a delta kept?", *, deadline_at: int = 0) -> Query:
    return Query(query_id="q-1", question=question, deadline_at=Micros(deadline_at))


def passage(text: str, *, document: str = "handbook.md", number: int = 1, start: int = 100) -> Passage:
    return Passage(
        object_id=f"object-{document}-{number}",
        document=document,
        version=Version(source=0, offset=number),
        chunk=f"chunk-{number}",
        ordinal=number,
        text=text,
        title="Handbook",
        source_uri=f"file:{document}",
        start=start,
        end=start + len(text),
        score=1.0 / number,
        page=number,
    )


def sources(*texts: str) -> tuple[Source, ...]:
    """Each text as a passage of a document of its own, numbered from 1."""
    return tuple(
        Source(number=number, passage=passage(text, document=f"doc-{number}.md", number=number))
        for number, text in enumerate(texts, start=1)
    )


def prompt(question: str, *texts: str) -> PromptAssembled:
    return PromptAssembled(
        tenant=TENANT,
        event_id="event-1",
        query=query(question),
        system="Be brief.",
        prompt=question,
        prompt_version="answer@1",
        sources=sources(*texts),
    )


def draft(
    said: tuple[Sentence, ...], *texts: str, confidence: float = 1.0, degraded: tuple[str, ...] = ()
) -> AnswerDrafted:
    return AnswerDrafted(
        tenant=TENANT,
        event_id="event-2",
        query=query(),
        sentences=said,
        sources=sources(*texts),
        model="extractive",
        prompt_version="answer@1",
        confidence=confidence,
        degraded=degraded,
    )
