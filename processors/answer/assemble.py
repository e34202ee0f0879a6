"""Assemble: exactly what the model will be asked, from the passages that fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from processors.answer.caching import Answers
from processors.answer.ladder import FEWER, Ladder
from processors.answer.prompting import ANSWER_PROMPT, Prompts
from processors.answer.words import words
from processors.ingest.memories import owner_in
from processors.ports import Clock, Embedder
from schemas.queries import AnswerGiven, AnswerWithheld, Passage, PassagesRanked, PromptAssembled, Source


def assemble(
    ranked: PassagesRanked, embedder: Embedder, prompts: Prompts, answers: Answers, ladder: Ladder, clock: Clock
) -> Iterator[PromptAssembled | AnswerGiven | AnswerWithheld]:
    """Numbers the best passages that fit the prompt's token budget and renders it; or, where an answer was written from
    the very same before, gives that.

    Passages are chosen by rank and then ordered by document and place: the same passages give the same bytes whatever
    was asked, so a prefix cache hits, and neighbours of one document stand side by side. Each keeps a number of its
    own, so that a citation names one chunk. Where little time is left, the better half of them is read.
    """
    prompt = prompts.get(ANSWER_PROMPT)
    distinct = _distinct(list(map(_read, ranked.passages)))
    notes = [passage for passage in distinct if owner_in(passage.document)]
    documents = [passage for passage in distinct if not owner_in(passage.document)]
    # Notes are few and short: they take no room from what the documents say.
    chosen = [*_fitting(documents, embedder, prompt.source_tokens), *notes]
    sources, degraded = _numbered(chosen), ranked.degraded
    if not degraded and (known := answers.read_again(ranked.tenant, ranked.query, sources)):
        yield known
        return
    if len(chosen) > 1 and ladder.fewer(ranked.query, clock):
        sources, degraded = _numbered(chosen[: (len(chosen) + 1) // 2]), (*degraded, FEWER)
    rendered = prompt.render(ranked.query.meant, sources)
    yield PromptAssembled(
        tenant=ranked.tenant,
        query=ranked.query,
        system=rendered.system,
        prompt=rendered.prompt,
        prompt_version=prompt.version,
        sources=sources,
        tokens=embedder.count(rendered.system) + embedder.count(rendered.prompt),
        degraded=degraded,
    )


def _numbered(chosen: Sequence[Passage]) -> tuple[Source, ...]:
    ordered = sorted(chosen, key=lambda passage: (passage.document, passage.start, passage.ordinal))
    return tuple(Source(number=number, passage=passage) for number, passage in enumerate(ordered, start=1))


def _read(passage: Passage) -> Passage:
    """The passage as it is read: a small chunk gives way to the parent it was cut from."""
    around = passage.parent
    if around is None:
        return passage
    return replace(passage, text=around.text, start=around.start, end=around.end, lead=0, parent=None)


def _distinct(passages: Sequence[Passage]) -> list[Passage]:
    """Each text once, the best-ranked of its copies; a passage that holds nothing to quote is left out."""
    kept: dict[tuple[str, ...], Passage] = {}
    for passage in passages:
        kept.setdefault(tuple(words(passage.text)), passage)
    return [passage for text, passage in kept.items() if text]


def _fitting(passages: Sequence[Passage], embedder: Embedder, budget: int) -> list[Passage]:
    """The best passages within the budget; the first is always in, since an answer needs something to stand on."""
    chosen: list[Passage] = []
    for passage in passages:
        size = embedder.count(passage.text)
        if size <= budget or not chosen:
            chosen.append(passage)
            budget -= size
    return chosen
