"""Generate: a draft for the prompt, as text while it is written and then as sentences with citations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from processors.answer.expiry import BUSY, withheld
from processors.answer.writing import Draft, Writer
from schemas.queries import AnswerDelta, AnswerDrafted, AnswerWithheld, PromptAssembled


async def generate(
    prompt: PromptAssembled, writer: Writer
) -> AsyncIterator[AnswerDelta | AnswerDrafted | AnswerWithheld]:
    """Streams deltas while the writer writes, then the draft.

    A writer that is unavailable raises before its first text: the hop pauses and the question is tried again until its
    deadline. After the first text nothing is tried again, since the asker has read it: what came is drafted, marked
    `truncated`, and the check decides. A question for which there is no room is answered
    so at once. Repeats have the same delta ids, so a reader drops what it has seen.
    """
    index = 0
    # Closed whatever happens: behind it may be a model that goes on writing.
    async with aclosing(writer.write(prompt)) as items:
        async for item in items:
            if isinstance(item, Draft):
                yield _ending(prompt, item, writer.model)
                return
            yield AnswerDelta(tenant=prompt.tenant, query_id=prompt.query.query_id, index=index, text=item)
            index += 1


def _ending(prompt: PromptAssembled, draft: Draft, model: str) -> AnswerDrafted | AnswerWithheld:
    if draft.refused:
        return withheld(prompt.tenant, prompt.query, draft.refused, BUSY)
    return _drafted(prompt, draft, draft.model or model)


def _drafted(prompt: PromptAssembled, draft: Draft, model: str) -> AnswerDrafted:
    return AnswerDrafted(
        tenant=prompt.tenant,
        query=prompt.query,
        sentences=draft.sentences,
        sources=prompt.sources,
        model=model,
        prompt_version=prompt.prompt_version,
        confidence=draft.confidence,
        degraded=(*prompt.degraded, *draft.degraded),
        usage=draft.usage,
    )
