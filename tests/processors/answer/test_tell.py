"""Tell: what is told of two answers to the same question, and why; and what is not."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from adapters.heads_view import MemoryHeads
from adapters.memory import HashingEmbedder, MemoryIndex
from adapters.one_serving import OneGeneration, OneServing
from processors.answer.tell import note_told, tell
from schemas.documents import DocumentHead, HeadChunk
from schemas.envelope import Version
from schemas.queries import (
    AnswerChanged,
    AnswerRenewed,
    Citation,
    Query,
    QuestionAnswered,
    QuestionStanding,
    ReadPassage,
    StandingAnswer,
    StandingRound,
)
from streams.standing_views import AnsweredView, StandingView


def at(offset: int) -> Version:
    return Version(source=0, offset=offset)


def answer(text: str, *cited: tuple[str, int], read: tuple[tuple[str, int], ...] = (), **more: Any) -> StandingAnswer:
    """Drawn from these versions of documents; `read` are those that were read besides."""
    citations = tuple(
        Citation(
            number=n, document=d, version=at(v), object_id=f"{d}-{v}", chunk="c", title=d, source_uri="", quote=text,
            start=0, end=1,
        )
        for n, (d, v) in enumerate(cited, 1)
    )  # fmt: skip
    passages = tuple(ReadPassage(document=d, version=at(v), object_id=f"{d}-{v}") for d, v in (*cited, *read))
    return StandingAnswer(answer_id=f"answer-{text}", text=text, citations=citations, read=passages, **more)


def renewed(number: int, given: StandingAnswer, subscription: str = "s1") -> AnswerRenewed:
    standing = StandingRound(question_id="q", round=number, subscription=subscription)
    query = Query(query_id=f"q-{number}", question="How long?", groups=("group:ops",), standing=standing)
    return AnswerRenewed(tenant="acme", event_id=f"r-{number}", question_id="q", query=query, answer=given)


class Telling:
    """The step with its views; heads are what the documents are now."""

    def __init__(self, **documents: tuple[int, tuple[str, ...]]) -> None:
        self.questions, self.answered, heads = StandingView(10), AnsweredView(), MemoryHeads("g1")
        heads.open()
        for name, (version, access) in documents.items():
            heads.fold(_head(f"{name}.md", version, access))
        served = OneGeneration("g1", HashingEmbedder(), MemoryIndex(), heads)
        self.serving = OneServing(served)
        query = Query(query_id="", question="How long?", groups=("group:ops",))
        self.questions.fold(QuestionStanding(tenant="acme", event_id="s1", question_id="q", query=query))

    def __call__(self, *events: AnswerRenewed) -> list[AnswerChanged]:
        outs = [out for outs in tell(events, self.questions, self.answered, self.serving) for out in outs]  # type: ignore[union-attr]
        note_told(outs, self.answered)
        return [out for out in outs if isinstance(out, AnswerChanged)]


def _head(document: str, version: int, access: tuple[str, ...]) -> DocumentHead:
    chunk = HeadChunk(name="c", object_id=f"{document}-{version}")
    return DocumentHead(
        tenant="acme", document=document, version=at(version), access_version=at(version), generation="g1",
        chunks=(chunk,), access=access,
    )  # fmt: skip


ALL = ("*",)


def test_when_it_is_the_first_answer_then_it_is_told_as_that() -> None:
    (told,) = Telling(a=(1, ALL))(renewed(1, answer("twelve", ("a.md", 1))))
    assert (told.reason, told.before, told.after, told.document, told.causes) == ("first", "", "twelve", "", ())


def test_when_the_answer_is_the_same_from_another_version_then_nothing_is_told_and_it_is_remembered() -> None:
    telling = Telling(a=(2, ALL))
    telling(renewed(1, answer("twelve", ("a.md", 1))))
    assert not telling(renewed(2, answer("twelve", ("a.md", 2))))
    assert telling.answered.get("acme", "q") == _answered(renewed(2, answer("twelve", ("a.md", 2))))


@pytest.mark.parametrize(
    ("documents", "now", "causes"),
    [
        ({"a": (2, ALL)}, answer("six", ("a.md", 2)), [("edited", "a.md", 2)]),
        ({"a": (2, ALL), "b": (5, ALL)}, answer("six", ("b.md", 5)), [("edited", "a.md", 2), ("found", "b.md", 5)]),
        ({"a": (1, ALL), "b": (5, ALL)}, answer("six", ("b.md", 5)), [("found", "b.md", 5)]),
        ({"a": (9, ("group:board",))}, answer("none", withheld="not_in_documents"), [("gone", "a.md", 1)]),
        ({}, answer("none", withheld="not_in_documents"), [("gone", "a.md", 1)]),
        ({"a": (1, ALL), "b": (3, ALL)}, answer("none", read=(("b.md", 3),)), [("found", "b.md", 3)]),
        ({"a": (1, ALL)}, answer("six", ("a.md", 1)), []),
    ],
    ids=["edited", "edited away, found", "found", "forbidden", "deleted", "read besides", "nothing that is known"],
)
def test_when_the_answer_is_another_then_its_causes_are_told(
    documents: dict[str, Any], now: StandingAnswer, causes: list[tuple[str, str, int]]
) -> None:
    telling = Telling(**documents)
    telling(renewed(1, answer("twelve", ("a.md", 1))))
    (told,) = telling(renewed(2, now))
    assert [(cause.reason, cause.document, cause.version.offset) for cause in told.causes] == causes
    assert told.reason == (causes[0][0] if causes else "other")
    assert told.before == ("" if causes and causes[0][0] == "gone" else "twelve")
    assert (told.after, told.withheld) == (now.text, now.withheld)


def test_when_a_number_was_told_already_then_it_is_not_told_again_in_one_batch_or_two() -> None:
    telling = Telling(a=(1, ALL))
    first = renewed(1, answer("twelve", ("a.md", 1)))
    assert len(telling(first, first)) == 1
    assert not telling(first) and not telling(replace(first, answer=answer("other", ("a.md", 1))))


def test_when_nobody_subscribed_so_then_nothing_is_told() -> None:
    telling = Telling(a=(1, ALL))
    assert not telling(renewed(1, answer("twelve", ("a.md", 1)), subscription="of yesterday"))
    telling.questions.drop("acme|q")
    assert not telling(renewed(1, answer("twelve", ("a.md", 1))))


def test_when_the_follower_comes_later_than_the_hop_then_it_takes_nothing_back() -> None:
    view = AnsweredView()
    older, newer = (_answered(renewed(n, answer(str(n)))) for n in (1, 2))
    view.fold(newer)
    view.fold(older)
    assert view.get("acme", "q") == newer
    view.drop("acme|q")
    view.fold(older)
    assert view.get("acme", "q") == older


def _answered(event: AnswerRenewed) -> QuestionAnswered:
    return QuestionAnswered(tenant="acme", question_id="q", query=event.query, answer=event.answer)
