"""Generate: a draft for the prompt, as text while it is written and then as sentences with citations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from processors.answer.expiry import BUSY, withheld
from processors.answer.outlet import Gate, Outlet
from processors.answer.verifying import Verified, Verifier
from processors.answer.whole_sentences import WholeSentences
from processors.answer.writing import Draft, Writer, Written, cited
from schemas.queries import AnswerDelta, AnswerDrafted, AnswerWithheld, PromptAssembled, Sentence


async def generate(
    prompt: PromptAssembled, writer: Writer, outlet: Outlet, verifier: Verifier
) -> AsyncIterator[AnswerDelta | AnswerDrafted | AnswerWithheld]:
    """Streams deltas while the writer writes, then the draft. What may not be said is in neither of them.

    A writer that is unavailable raises before its first text: the hop pauses and the question is tried again until its
    deadline. After the first text nothing is tried again, since the asker has read it: what came is drafted, marked
    `truncated`, and the check decides. A question for which there is no room is answered
    so at once. Repeats have the same delta ids, so a reader drops what it has seen. What was said is verified, where
    that is wanted, before it is drafted.
    """
    speech = _Speech(outlet.gate(prompt.tenant))
    index = 0
    draft: Draft | None = None
    # Closed whatever happens: behind it may be a model that goes on writing.
    async with aclosing(writer.write(prompt)) as items:
        async for item in items:
            for text in speech.shown(item):
                yield AnswerDelta(tenant=prompt.tenant, query_id=prompt.query.query_id, index=index, text=text)
                index += 1
            if isinstance(item, Draft):
                draft = replace(item, model=item.model or writer.model)
                break
    if draft is None:
        return
    if draft.refused:
        yield withheld(prompt.tenant, prompt.query, draft.refused, BUSY)
        return
    # Only now: while the writer is open it holds its tenant's place at the model.
    verified = await verifier.verify(prompt, speech.sentences)
    yield _drafted(prompt, verified, speech.withheld_kinds, draft)


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


def _drafted(prompt: PromptAssembled, verified: Verified, kinds: tuple[str, ...], draft: Draft) -> AnswerDrafted:
    return AnswerDrafted(
        tenant=prompt.tenant,
        query=prompt.query,
        sentences=verified.sentences,
        sources=prompt.sources,
        model=draft.model,
        prompt_version=prompt.prompt_version,
        confidence=draft.confidence,
        degraded=(*prompt.degraded, *draft.degraded, *verified.degraded),
        usage=(*draft.usage, *verified.usage),
        withheld_kinds=kinds,
    )
