"""A writer that stands in for another: where a model can't be asked, the sources are quoted instead of nothing said."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from adapters.errors import GeneratorUnavailableError
from processors.answer.ladder import NO_LADDER, Ladder
from processors.answer.writing import Draft, Writer, Written
from processors.contract import Reject
from processors.ports import Clock
from schemas.queries import PromptAssembled

__all__ = ["QUOTED", "FallbackWriter"]

QUOTED: Final = "fallback:extractive"
"""In `degraded`: no model could be asked, or there was no time to, so the answer is quoted from the sources."""


class FallbackWriter:
    """Writes as `first` does; where that says nothing and can't, as `last` does.

    >>> FallbackWriter(ModelWriter(gateway, 400), ExtractiveWriter(ranker, reader), clock)  # doctest: +SKIP

    From the first text on it is `first` alone: two beginnings would make no answer. Where the ladder says quotes,
    `first` is not asked at all.
    """

    def __init__(self, first: Writer, last: Writer, clock: Clock, ladder: Ladder = NO_LADDER) -> None:
        self._first = first
        self._last = last
        self._clock = clock
        self._ladder = ladder

    @property
    def model(self) -> str:
        """Of the first; a draft names the other where it wrote."""
        return self._first.model

    async def write(self, prompt: PromptAssembled) -> AsyncGenerator[Written, None]:
        """Streams text, then the draft, with what was done without."""
        refused: Draft | None = None
        async with aclosing(self._tried(prompt)) as items:
            async for item in items:
                if isinstance(item, Draft) and item.refused:
                    refused = item
                    break
                yield item
        if refused is None:
            return
        async with aclosing(self._last.write(prompt)) as items:
            async for item in items:
                yield self._marked(item, refused.degraded) if isinstance(item, Draft) else item

    async def _tried(self, prompt: PromptAssembled) -> AsyncGenerator[Written, None]:
        """As the first writes it; a draft that is refused where it can't, or has no time to."""
        if self._ladder.quotes(prompt.query, self._clock):
            yield Draft((), 0.0, refused="unavailable")
            return
        try:
            async with aclosing(self._first.write(prompt)) as items:
                async for item in items:
                    yield item
        except (Reject, GeneratorUnavailableError):
            yield Draft((), 0.0, refused="unavailable")

    def _marked(self, draft: Draft, without: tuple[str, ...]) -> Draft:
        return replace(draft, degraded=(*without, QUOTED, *draft.degraded), model=self._last.model)

    async def aclose(self) -> None:
        """Lets go what either holds, in the loop that asked."""
        for writer in (self._first, self._last):
            if close := getattr(writer, "aclose", None):
                await close()
