"""Generate: deltas while it is written, then a draft; whatever the model server does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from adapters.errors import GeneratorUnavailableError
from adapters.openai_compatible import OpenAICompatible, ServerOptions
from adapters.overlap_ranker import OverlapRanker
from processors.answer.generate import generate
from processors.answer.outlet import Outlet
from processors.answer.prompting import NO_ANSWER
from processors.answer.reader import RuleReader
from processors.answer.verifying import Unverified
from processors.answer.writing import (
    Draft,
    ExtractiveWriter,
    ModelWriter,
    Writer,
    Written,
    cited,
    cited_sentences,
    finished_sentences,
)
from processors.contract import Reject
from schemas.queries import AnswerDelta, AnswerDrafted, AnswerWithheld, PromptAssembled, Usage
from tests.processors.answer.questions import prompt
from tests.stub_model_server import Mode, StubModelServer

KEPT = "Deltas are small. A delta is kept for one hour."
PROMPT = prompt("How long is a delta kept?", KEPT, "Kafka is a log.")


OPEN = Outlet(on={"": False})
"""Text is shown as it comes."""


def generated(
    prompt: PromptAssembled, writer: Writer, outlet: Outlet = OPEN, model: OpenAICompatible | None = None
) -> tuple[list[AnswerDelta], AnswerDrafted]:
    async def run() -> list[AnswerDelta | AnswerDrafted | AnswerWithheld]:
        try:
            return [event async for event in generate(prompt, writer, outlet, Unverified())]
        finally:
            if model:
                await model.aclose()

    *deltas, drafted = asyncio.run(run())
    assert isinstance(drafted, AnswerDrafted)
    assert all(isinstance(delta, AnswerDelta) for delta in deltas)
    return [delta for delta in deltas if isinstance(delta, AnswerDelta)], drafted


def by_model(
    reply: str, mode: Mode = "ok", outlet: Outlet = OPEN
) -> tuple[list[AnswerDelta], AnswerDrafted, StubModelServer]:
    with StubModelServer(reply, mode) as server:
        model = OpenAICompatible(server.url, "stub", ServerOptions(timeout_s=3))
        deltas, drafted = generated(PROMPT, ModelWriter(model, max_tokens=50), outlet, model)
        return deltas, drafted, server


def test_when_extracted_then_each_quote_is_a_delta_and_the_draft_holds_the_same() -> None:
    deltas, drafted = generated(PROMPT, ExtractiveWriter(OverlapRanker(), RuleReader()))
    assert [(delta.index, delta.text, delta.query_id) for delta in deltas] == [
        (0, "A delta is kept for one hour. [1]", "q-1")
    ]
    assert [(sentence.text, sentence.cites) for sentence in drafted.sentences] == [
        ("A delta is kept for one hour.", (1,))
    ]
    assert (drafted.model, drafted.usage, drafted.degraded) == ("extractive", (), ())
    assert (drafted.sources, drafted.query) == (PROMPT.sources, PROMPT.query)
    assert 0.3 < drafted.confidence <= 1.0


def test_when_no_source_is_near_the_question_then_the_draft_is_empty() -> None:
    far = prompt("Which bait do anglers use in Sweden?", KEPT, "Kafka is a log.")
    deltas, drafted = generated(far, ExtractiveWriter(OverlapRanker(), RuleReader()))
    assert (deltas, drafted.sentences) == ([], ())


def test_when_a_model_answers_then_its_text_streams_and_its_citations_are_read() -> None:
    deltas, drafted, server = by_model("It is kept for one hour [1]. Kafka is a log. [2][1]")
    assert "".join(delta.text for delta in deltas) == "It is kept for one hour [1]. Kafka is a log. [2][1]"
    assert [delta.index for delta in deltas] == list(range(len(deltas)))
    assert [(sentence.text, sentence.cites) for sentence in drafted.sentences] == [
        ("It is kept for one hour.", (1,)),
        ("Kafka is a log.", (2, 1)),
    ]
    assert (drafted.model, drafted.confidence, drafted.degraded) == ("stub", 1.0, ())
    counts = server.counts
    assert drafted.usage == (
        Usage(step="generate", model="stub", unit="tokens_in", quantity=float(counts.tokens_in)),
        Usage(step="generate", model="stub", unit="tokens_out", quantity=float(counts.tokens_out)),
    )
    assert counts.bodies[0]["messages"][1]["content"] == PROMPT.prompt


def test_when_there_is_an_outlet_then_a_models_text_is_shown_sentence_by_sentence() -> None:
    deltas, drafted, _ = by_model("It is kept for one hour [1].  Kafka\nis a log. [2][1] So", outlet=Outlet())
    assert [delta.text for delta in deltas] == ["It is kept for one hour. [1]", " Kafka is a log. [2][1]", " So"]
    assert [delta.index for delta in deltas] == [0, 1, 2]
    assert [cited(sentence) for sentence in drafted.sentences] == [delta.text.lstrip() for delta in deltas]


def test_when_a_model_makes_up_a_number_then_neither_deltas_nor_draft_hold_it() -> None:
    reply = "It is so [1]. Her card is 4111 1111 [1] 1111 1111. Pay by 4111-1111-1111-1111 now. [1]"
    deltas, drafted, _ = by_model(reply, outlet=Outlet())
    assert "1111" not in "".join(delta.text for delta in deltas) + str(drafted.sentences)
    assert len(deltas) == 3 and drafted.withheld_kinds == ("card",)


def test_when_quotes_hold_what_may_not_be_said_then_they_are_shown_without_it() -> None:
    asked = prompt("How long is card 4111111111111111 kept?", "Card 4111111111111111 is kept for one hour.")
    deltas, drafted = generated(asked, ExtractiveWriter(OverlapRanker(), RuleReader()), Outlet())
    hidden = "\u2588" * 16
    assert [delta.text for delta in deltas] == [f"Card {hidden} is kept for one hour. [1]"]
    assert drafted.sentences[0].text == f"Card {hidden} is kept for one hour."


def test_when_a_whole_answer_may_not_be_said_then_nothing_is_shown_and_the_draft_says_so() -> None:
    deltas, drafted, _ = by_model("It is so [1].", outlet=Outlet(phrases={"": ("it is so",)}))
    assert (deltas, drafted.sentences, drafted.withheld_kinds) == ([], (), ("phrase",))


@pytest.mark.parametrize("reply", [NO_ANSWER, f"{NO_ANSWER}.", "Not in the documents."])
def test_when_a_model_says_that_it_is_not_there_then_the_draft_is_empty(reply: str) -> None:
    _, drafted, _ = by_model(reply)
    assert (drafted.sentences, drafted.confidence) == ((), 0.0)


def test_when_there_is_no_source_then_the_model_is_not_asked() -> None:
    with StubModelServer() as server:
        writer = ModelWriter(OpenAICompatible(server.url, "stub"), max_tokens=50)
        deltas, drafted = generated(prompt("Why?"), writer)
        assert (deltas, drafted.sentences, server.counts.requests) == ([], (), 0)


@pytest.mark.parametrize("mode", ["429", "500", "garbage"])
def test_when_the_server_fails_before_the_first_word_then_the_question_waits(mode: Mode) -> None:
    with pytest.raises(GeneratorUnavailableError):
        by_model("It is so [1].", mode)


def test_when_the_server_refuses_the_request_then_it_is_rejected() -> None:
    with pytest.raises(Reject):
        by_model("It is so [1].", "refuse")


def test_when_there_is_no_room_for_a_question_then_it_is_answered_overloaded() -> None:
    class Busy:
        model = "busy"

        async def write(self, prompt: PromptAssembled) -> AsyncGenerator[Written, None]:
            yield Draft((), 0.0, ("overloaded",), refused="overloaded")

    async def run() -> list[Any]:
        return [event async for event in generate(PROMPT, Busy(), Outlet(), Unverified())]

    (answer,) = asyncio.run(run())
    assert isinstance(answer, AnswerWithheld)
    assert (answer.answer_id, answer.reason) == (PROMPT.query.query_id, "overloaded")


@pytest.mark.parametrize("mode", ["dies", "error_event"])
def test_when_the_server_dies_after_the_first_word_then_the_draft_is_truncated(mode: Mode) -> None:
    deltas, drafted, _ = by_model("It is kept for one hour [1].", mode)
    assert [delta.text for delta in deltas] == ["It"]
    assert (drafted.sentences, drafted.degraded, drafted.confidence) == ((), ("truncated",), 0.0)


def test_when_an_answer_breaks_off_then_what_it_cost_so_far_is_drafted() -> None:
    with StubModelServer("It is kept for one hour [1].", "dies") as server:
        server.counting = True
        model = OpenAICompatible(server.url, "stub", ServerOptions(timeout_s=3))
        _, drafted = generated(PROMPT, ModelWriter(model, max_tokens=50), model=model)
    assert {usage.unit: usage.quantity for usage in drafted.usage} == {
        "tokens_in": float(len(PROMPT.prompt.split())),
        "tokens_out": 1.0,
    }


def test_when_the_length_cuts_an_answer_then_its_whole_sentences_stay() -> None:
    _, drafted, _ = by_model("It is kept [1]. The rest of it", "cut")
    assert [sentence.text for sentence in drafted.sentences] == ["It is kept."]
    assert drafted.degraded == ("truncated",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("One [1].", [("One.", (1,))]),
        ("One. [1]", [("One.", (1,))]),
        ("One.[1][2] Two [3].", [("One.", (1, 2)), ("Two.", (3,))]),
        ("One [1, 2].", [("One.", (1, 2))]),
        ("One [1][1].", [("One.", (1,))]),
        ("A [1] and b [2].", [("A and b.", (1, 2))]),
        ("No citation.", [("No citation.", ())]),
        ("[1]", []),
        ("See array[0] of [docs].", [("See array of [docs].", (0,))]),
    ],
)
def test_when_a_models_text_is_read_then_sentences_and_numbers_come_apart(
    text: str, expected: list[tuple[str, tuple[int, ...]]]
) -> None:
    assert [(sentence.text, sentence.cites) for sentence in cited_sentences(text)] == expected


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("", []),
        ("One", []),
        ("One.", ["One."]),
        ("One [1]. Two", ["One. [1]"]),
        ("One. [1] Two", ["One. [1]"]),
        ("- One. [1]\n- Two. [2]\n- Th", ["- One. [1]", "- Two. [2]"]),
        ("One. [1]\n2. ", ["One. [1]"]),
        (f"{NO_ANSWER}. Bu", []),
    ],
)
def test_when_a_text_was_cut_off_then_the_sentence_it_was_cut_in_goes(text: str, left: list[str]) -> None:
    assert [cited(sentence) for sentence in finished_sentences(text)] == left
