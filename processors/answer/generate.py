"""Generate: a draft for the prompt, as text while it is written and then as sentences with citations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing

from processors.answer.expiry import BUSY, withheld
from processors.answer.outlet import Gate, Outlet
from processors.answer.whole_sentences import WholeSentences
from processors.answer.writing import Draft, Writer, Written, cited
from schemas.queries import AnswerDelta, AnswerDrafted, AnswerWithheld, PromptAssembled, Sentence


async def generate(
    prompt: PromptAssembled, writer: Writer, outlet: Outlet
) -> AsyncIterator[AnswerDelta | AnswerDrafted | AnswerWithheld]:
    """Streams deltas while the writer writes, then the draft. What may not be said is in neither of them.

    A writer that is unavailable raises before its first text: the hop pauses and the question is tried again until its
    deadline. After the first text nothing is tried again, since the asker has read it: what came is drafted, marked
    `truncated`, and the check decides. A question for which there is no room is answered
    so at once. Repeats have the same delta ids, so a reader drops what it has seen.
    """
    speech = _Speech(outlet.gate(prompt.tenant))
    index = 0
    # Closed whatever happens: behind it may be a model that goes on writing.
    async with aclosing(writer.write(prompt)) as items:
        async for item in items:
            for text in speech.shown(item):
                yield AnswerDelta(tenant=prompt.tenant, query_id=prompt.query.query_id, index=index, text=text)
                index += 1
            if isinstance(item, Draft):
                yield _ending(prompt, speech, item, writer.model)
                return


class _Speech:
    """What is shown of an answer while it is written: sentences that passed the gate, or text as it comes without one.

    `sentences` are those of the draft; with a gate, what was shown is how they begin.
    """

    def __init__(self, gate: Gate | None) -> None:
        self._gate = gate
        self._whole = WholeSentences()
        self._heard = 0
        self.sentences: list[Sentence] = []

    @property
    def withheld_kinds(self) -> tuple[str, ...]:
        return self._gate.kinds if self._gate else ()

    def shown(self, item: Written) -> Iterator[str]:
        """The text that this makes ready to be shown."""
        if self._gate is None:
            yield from self._as_it_comes(item)
            return
        for sentence in self._sentences(item):
            self._heard += 1
            yield from self._said(self._gate.take(sentence))
        if isinstance(item, Draft):
            yield from self._said(self._gate.rest())

    def _sentences(self, item: Written) -> Sequence[Sentence]:
        if isinstance(item, Draft):
            return item.sentences[self._heard :]
        return self._whole.hear(item) if isinstance(item, str) else (item,)

    def _said(self, sentences: Iterable[Sentence]) -> Iterator[str]:
        for sentence in sentences:
            yield f"{' ' if self.sentences else ''}{cited(sentence)}"
            self.sentences.append(sentence)

    def _as_it_comes(self, item: Written) -> Iterator[str]:
        if isinstance(item, Draft):
            self.sentences = list(item.sentences)
        elif isinstance(item, Sentence):
            yield from self._said((item,))
        else:
            yield item


def _ending(prompt: PromptAssembled, speech: _Speech, draft: Draft, model: str) -> AnswerDrafted | AnswerWithheld:
    if draft.refused:
        return withheld(prompt.tenant, prompt.query, draft.refused, BUSY)
    return AnswerDrafted(
        tenant=prompt.tenant,
        query=prompt.query,
        sentences=tuple(speech.sentences),
        sources=prompt.sources,
        model=draft.model or model,
        prompt_version=prompt.prompt_version,
        confidence=draft.confidence,
        degraded=(*prompt.degraded, *draft.degraded),
        usage=draft.usage,
        withheld_kinds=speech.withheld_kinds,
    )
