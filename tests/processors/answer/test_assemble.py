"""Assemble: the passages that fit, numbered, in an order that does not depend on the question."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from adapters.answer_cache import MemoryAnswers
from adapters.memory import HashingEmbedder, ManualClock
from adapters.prompts import FilePrompts, shipped_prompts
from processors.answer.assemble import assemble
from processors.answer.caching import Answers, CacheLimits
from processors.answer.ladder import FEWER, NO_LADDER, Ladder
from schemas.documents import Parent
from schemas.envelope import Micros
from schemas.queries import (
    AnswerDrafted,
    AnswerGiven,
    AnswerWithheld,
    CacheTicket,
    Passage,
    PassagesRanked,
    PromptAssembled,
)
from tests.processors.answer.questions import TENANT, passage, query

SMALL = {"answer": shipped_prompts()["answer"].replace("source_tokens: 1600", "source_tokens: 10")}


def assembled(
    *passages: Passage, question: str = "Why?", prompts: FilePrompts | None = None, degraded: tuple[str, ...] = ()
) -> PromptAssembled:
    ranked = PassagesRanked(tenant=TENANT, query=query(question), passages=passages, degraded=degraded)
    (prompt,) = assemble(ranked, HashingEmbedder(), prompts or FilePrompts(), Answers(), NO_LADDER, ManualClock())
    assert isinstance(prompt, PromptAssembled)
    return prompt


FIRST = passage("The first part.", document="a.md", number=1, start=0)
SECOND = passage("The second part.", document="a.md", number=2, start=20)
OTHER = passage("Something else.", document="b.md", number=3, start=0)


def test_when_assembled_then_sources_are_numbered_by_document_and_place() -> None:
    prompt = assembled(OTHER, SECOND, FIRST)
    assert [(source.number, source.passage.text) for source in prompt.sources] == [
        (1, "The first part."),
        (2, "The second part."),
        (3, "Something else."),
    ]
    assert prompt.prompt.index("The first part.") < prompt.prompt.index("The second part.")
    assert prompt.tokens > 0


def test_when_the_ranks_change_then_the_prompt_is_the_same_bytes() -> None:
    assert assembled(OTHER, SECOND, FIRST).prompt == assembled(FIRST, OTHER, SECOND).prompt


def test_when_another_question_has_the_same_sources_then_all_before_it_is_the_same_bytes() -> None:
    one, two = (assembled(FIRST, OTHER, question=question) for question in ("Why?", "When was it?"))
    assert one.system == two.system
    assert one.prompt.split("Question:")[0] == two.prompt.split("Question:")[0]


def test_when_a_prompt_has_examples_then_they_lead_whatever_is_asked_of_which_sources() -> None:
    example = "{question: 'Who?', sources: [It is Ann.], answer: 'It is Ann. [1]'}"
    taught = f"example_tokens: 200\nexamples: [{example}]\nsource_"
    files = {"answer": shipped_prompts()["answer"].replace("source_", taught, 1)}
    prompts = FilePrompts(files, HashingEmbedder().count)
    one = assembled(FIRST, question="Why?", prompts=prompts)
    other = assembled(OTHER, question="How?", prompts=prompts)
    assert one.system == other.system and one.system.endswith("Question: Who?\nAnswer: It is Ann. [1]")
    plain = assembled(FIRST, question="Why?")
    assert (one.prompt, one.sources) == (plain.prompt, plain.sources)
    assert one.tokens > plain.tokens and one.prompt_version != plain.prompt_version


def test_when_a_text_comes_twice_then_the_better_ranked_copy_is_kept() -> None:
    copy = passage("the FIRST part", document="z.md", number=9)
    assert [source.passage.document for source in assembled(copy, OTHER, FIRST).sources] == ["b.md", "z.md"]


def test_when_a_passage_has_no_words_then_it_is_left_out() -> None:
    assert [source.passage for source in assembled(passage("--- ***", document="c.md"), FIRST).sources] == [FIRST]


def test_when_not_all_fit_then_the_best_ranked_stay_and_a_smaller_one_may_follow() -> None:
    long = passage("many words " * 8, document="long.md", number=4)
    prompt = assembled(SECOND, long, OTHER, prompts=FilePrompts(SMALL))
    assert [source.passage.text for source in prompt.sources] == ["The second part.", "Something else."]


def test_when_even_the_best_does_not_fit_then_it_is_read_all_the_same() -> None:
    long = passage("many words " * 8, document="long.md", number=4)
    assert [source.passage for source in assembled(long, OTHER, prompts=FilePrompts(SMALL)).sources] == [long]


def test_when_nothing_was_found_then_the_prompt_has_no_sources_and_keeps_what_was_degraded() -> None:
    prompt = assembled(degraded=("rerank",))
    assert prompt.sources == ()
    assert prompt.degraded == ("rerank",)
    assert prompt.prompt_version.startswith("answer@")


def test_when_children_of_one_parent_were_found_then_it_is_read_once_in_their_place() -> None:
    around = Parent(text="The first part. The second part.", start=0, end=32)
    first, second = (replace(child, parent=around) for child in (FIRST, SECOND))
    (source,) = assembled(second, first).sources
    assert (source.passage.text, source.passage.start, source.passage.end) == (around.text, 0, 32)
    assert (source.passage.object_id, source.passage.parent) == (second.object_id, None)


EAST, NEARLY_EAST, NORTH = (np.array(pair, "<f4").tobytes() for pair in ((1.0, 0.0), (0.98, 0.199), (0.0, 1.0)))
ASKED = CacheTicket(key="k", generation="", scope="s", found="before", vectors=(EAST,), ranked="before")


def again(
    *passages: Passage, degraded: tuple[str, ...] = (), ticket: CacheTicket = ASKED, nearness: float = 0.0
) -> PromptAssembled | AnswerGiven | AnswerWithheld:
    """What comes of passages where an answer was written from FIRST and OTHER, in that order."""
    answers = Answers(MemoryAnswers(ManualClock()), "p1", CacheLimits(nearness=nearness))
    asked = replace(query(), ticket=ASKED)
    ranked = PassagesRanked(tenant=TENANT, query=asked, passages=(FIRST, OTHER))
    (prompt,) = assemble(ranked, HashingEmbedder(), FilePrompts(), answers, NO_LADDER, ManualClock())
    assert isinstance(prompt, PromptAssembled)
    written = AnswerDrafted(
        tenant=TENANT, query=asked, sentences=(), sources=prompt.sources, model="m", prompt_version="1"
    )
    given = AnswerGiven(
        tenant=TENANT, answer_id="q-0", question="?", text="So.", citations=(), model="m", prompt_version="1"
    )
    answers.keep(written, given)
    now = replace(asked, query_id="q-2", ticket=replace(ticket, found="now"))
    ranked = PassagesRanked(tenant=TENANT, query=now, passages=passages, degraded=degraded)
    (outcome,) = assemble(ranked, HashingEmbedder(), FilePrompts(), answers, NO_LADDER, ManualClock())
    return outcome


def test_when_an_answer_was_written_from_the_same_passages_then_it_is_given_again() -> None:
    outcome = again(replace(FIRST, score=0.9), replace(OTHER, score=0.2))
    assert isinstance(outcome, AnswerGiven)
    assert (outcome.answer_id, outcome.cached_from, outcome.text) == ("q-2", "q-0", "So.")


@pytest.mark.parametrize(
    "passages",
    [
        (FIRST,),
        (FIRST, OTHER, SECOND),
        (replace(FIRST, text="The first part!"), OTHER),
        (OTHER, replace(FIRST, score=0.1)),
    ],
    ids=["fewer", "more", "another text", "another order"],
)
def test_when_anything_else_is_read_then_it_is_written_anew(passages: tuple[Passage, ...]) -> None:
    assert isinstance(again(*passages), PromptAssembled)


def test_when_the_ranking_was_cut_short_then_it_is_written_anew() -> None:
    assert isinstance(again(FIRST, OTHER, degraded=("rerank",)), PromptAssembled)


@pytest.mark.parametrize(
    ("change", "nearness", "passages", "is_given"),
    [
        ({"vectors": (NEARLY_EAST,)}, 0.97, (FIRST, OTHER), True),
        ({"vectors": (NEARLY_EAST,)}, 0.0, (FIRST, OTHER), False),
        ({"vectors": (NEARLY_EAST,)}, 0.99, (FIRST, OTHER), False),
        ({"vectors": (NORTH,)}, 0.97, (FIRST, OTHER), False),
        ({"vectors": (NEARLY_EAST, NEARLY_EAST)}, 0.97, (FIRST, OTHER), False),
        ({"vectors": (NEARLY_EAST,)}, 0.97, (FIRST,), False),
        ({"vectors": (NEARLY_EAST,), "scope": "of others"}, 0.97, (FIRST, OTHER), False),
    ],
    ids=["near enough", "not allowed", "not near enough", "far", "more variants", "fewer passages", "another asker"],
)
def test_when_it_is_asked_in_other_words_then_nearness_the_passages_and_the_asker_decide(
    change: dict[str, Any], nearness: float, passages: tuple[Passage, ...], is_given: bool
) -> None:
    outcome = again(*passages, ticket=replace(ASKED, key="other words", **change), nearness=nearness)
    assert isinstance(outcome, AnswerGiven) is is_given


@pytest.mark.parametrize(
    ("left_s", "sources", "degraded"),
    [(None, 3, ()), (6.0, 3, ()), (4.0, 2, (FEWER,)), (-1.0, 2, (FEWER,))],
    ids=["no deadline", "time enough", "little time", "none"],
)
def test_when_little_time_is_left_then_the_better_half_is_read_and_it_is_said(
    left_s: float | None, sources: int, degraded: tuple[str, ...]
) -> None:
    clock = ManualClock()
    deadline = Micros(0 if left_s is None else clock.now() + int(left_s * 1e6))
    asked = replace(query("Why?"), deadline_at=deadline)
    best = replace(OTHER, score=3.0)
    ranked = PassagesRanked(tenant=TENANT, query=asked, passages=(best, SECOND, FIRST))
    (found,) = assemble(ranked, HashingEmbedder(), FilePrompts(), Answers(), Ladder(fewer_s=5.0), clock)
    assert isinstance(found, PromptAssembled)
    assert (len(found.sources), found.degraded) == (sources, degraded)
    assert {source.passage.document for source in found.sources} == {"a.md", "b.md"}


def test_when_there_is_one_passage_then_it_is_read_however_late_it_is() -> None:
    clock = ManualClock()
    asked = replace(query("Why?"), deadline_at=Micros(clock.now() + 1))
    ranked = PassagesRanked(tenant=TENANT, query=asked, passages=(FIRST,))
    (found,) = assemble(ranked, HashingEmbedder(), FilePrompts(), Answers(), Ladder(fewer_s=5.0), clock)
    assert isinstance(found, PromptAssembled)
    assert (len(found.sources), found.degraded) == (1, ())
