"""Where no model can be asked, the sources are quoted; from the first word on the model is alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from msgspec.structs import replace

from adapters.errors import GeneratorUnavailableError
from adapters.fallback_writer import QUOTED, FallbackWriter
from adapters.memory import ManualClock
from adapters.overlap_ranker import OverlapRanker
from processors.answer.ladder import Ladder
from processors.answer.reader import RuleReader
from processors.answer.writing import Draft, ExtractiveWriter, Written, cited
from processors.contract import Reject
from schemas.envelope import Micros
from schemas.queries import PromptAssembled, Sentence
from tests.processors.answer.questions import prompt

PROMPT = prompt("How long is a delta kept?", "Deltas are small. A delta is kept for one hour.")


class Told:
    """A writer that does what it was told."""

    model = "told"

    def __init__(self, *items: Written | Exception) -> None:
        self._items = items
        self.closed = False

    async def write(self, prompt: PromptAssembled) -> AsyncGenerator[Written, None]:
        for item in self._items:
            if isinstance(item, Exception):
                raise item
            yield item

    async def aclose(self) -> None:
        self.closed = True


def written(first: Told, left_s: float | None = None) -> list[Written]:
    """What is written where less than five seconds are too little for the first."""
    clock = ManualClock()
    deadline = Micros(0 if left_s is None else clock.now() + int(left_s * 1e6))
    asked = replace(PROMPT, query=replace(PROMPT.query, deadline_at=deadline))

    async def run() -> list[Written]:
        writer = FallbackWriter(first, ExtractiveWriter(OverlapRanker(), RuleReader()), clock, Ladder(quotes_s=5.0))
        found = [item async for item in writer.write(asked)]
        await writer.aclose()
        return found

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("item", "without"),
    [
        (GeneratorUnavailableError("away"), ()),
        (Reject("too long"), ()),
        (Draft((), 0.0, ("overloaded",), refused="overloaded"), ("overloaded",)),
    ],
)
def test_when_the_first_can_not_begin_then_the_sources_are_quoted_and_it_is_said(
    item: Draft | Exception, without: tuple[str, ...]
) -> None:
    text, draft = written(Told(item))
    assert isinstance(text, Sentence)
    assert cited(text) == "A delta is kept for one hour. [1]"
    assert isinstance(draft, Draft)
    assert (draft.model, draft.degraded) == ("extractive", (*without, QUOTED))


def test_when_the_first_writes_then_the_other_is_not_asked() -> None:
    draft = Draft((Sentence(text="So.", cites=(1,)),), 1.0)
    assert written(Told("So [1].", draft)) == ["So [1].", draft]


@pytest.mark.parametrize(("left_s", "quoted"), [(6.0, False), (4.0, True)])
def test_when_too_little_time_is_left_for_the_first_then_the_sources_are_quoted_and_it_is_said(
    left_s: float, quoted: bool
) -> None:
    said = Draft((Sentence(text="So.", cites=(1,)),), 1.0)
    *_, draft = written(Told("So [1].", said), left_s)
    assert isinstance(draft, Draft)
    assert (draft.degraded, draft.model) == (((QUOTED,), "extractive") if quoted else ((), ""))


def test_when_the_first_says_that_it_is_not_there_then_that_stands() -> None:
    assert written(Told(Draft((), 0.0))) == [Draft((), 0.0)]


def test_when_it_is_closed_then_so_is_what_it_holds() -> None:
    first = Told(Draft((), 0.0))
    written(first)
    assert first.closed
