"""Scope: what an assistant is declared not to be for is told so; whatever its documents are nearer to is looked for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from adapters.answer_cache import MemoryAnswers
from adapters.host import SystemClock
from adapters.memory import HashingEmbedder
from adapters.question_vectors import KeptVectors
from processors.answer.caching import Answers, CacheLimits
from processors.answer.limits import RetrievalLimits
from processors.answer.retrieve import retrieve
from processors.answer.rewrite import rewrite
from processors.answer.scope import Scope, out_of_scope
from processors.ports import Vectors
from schemas.queries import AnswerGiven, AnswerWithheld, QueryAdmitted, QueryPlanned, StandingRound
from tests.conformance.objects import EMBEDDER
from tests.processors.answer.corpus import Corpus
from tests.processors.answer.questions import TENANT, query

ADVICE = "Which medicine helps against a cough"


class Telling(HashingEmbedder):
    """The hashing embedder, telling what it embeds."""

    def __init__(self, told: list[str]) -> None:
        super().__init__(EMBEDDER.dimension)
        self._told = told

    def embed(self, texts: Sequence[str]) -> Vectors:
        self._told.extend(texts)
        return super().embed(texts)


TOPICS = {"medical advice": (ADVICE, "What dose of ibuprofen may I take")}
VALVE = "The red valve of the pump leaks when it is cold"


def corpus(scope: Scope) -> Corpus:
    made = Corpus(limits=RetrievalLimits(scope=scope))
    made.add("pump.md", VALVE)
    return made


def asked(question: str, scope: Scope, over: Corpus | None = None, **more: object) -> object:
    over = over or corpus(scope)
    admitted = QueryAdmitted(tenant=TENANT, query=replace(query(question), **more))

    async def run() -> list[QueryPlanned | AnswerGiven | AnswerWithheld]:
        return [one async for one in rewrite(admitted, Answers(), over.serving, over.limits, SystemClock(), None)]

    (outcome,) = asyncio.run(run())
    return outcome


def test_when_a_question_asks_for_what_is_out_of_scope_then_it_is_told_so_and_nothing_is_planned() -> None:
    outcome = asked("Which medicine helps against a bad cough?", Scope(TOPICS))
    assert isinstance(outcome, AnswerWithheld) and outcome.reason == "out_of_scope"
    assert outcome.message == "This assistant is not for medical advice. Ask about what its documents are about."


@pytest.mark.parametrize("question", ["Why does the red valve leak?", "Snow falls when?"])
def test_when_it_asks_for_anything_else_then_it_is_planned(question: str) -> None:
    assert isinstance(asked(question, Scope(TOPICS)), QueryPlanned)


def test_when_the_documents_are_as_near_then_it_is_planned() -> None:
    over = corpus(Scope(TOPICS))
    over.add("cough.md", "Which medicine helps against a bad cough")
    assert isinstance(asked("Which medicine helps against a bad cough?", Scope(TOPICS), over), QueryPlanned)


def test_when_the_document_that_is_near_is_not_for_the_asker_then_it_does_not_count() -> None:
    over = corpus(Scope(TOPICS))
    over.add("cough.md", "Which medicine helps against a bad cough", access=("group:doctors",))
    question = "Which medicine helps against a bad cough?"
    assert isinstance(asked(question, Scope(TOPICS), over), AnswerWithheld)
    assert isinstance(asked(question, Scope(TOPICS), over, groups=("group:doctors",)), QueryPlanned)


def test_when_only_another_tenant_declared_it_then_it_is_planned() -> None:
    assert isinstance(asked(ADVICE, Scope(tenants={"other": TOPICS})), QueryPlanned)
    assert isinstance(asked(ADVICE, Scope(tenants={TENANT: TOPICS})), AnswerWithheld)


def test_when_tenants_share_one_scope_then_each_is_told_by_its_own_topics() -> None:
    scope = Scope(TOPICS, tenants={"other": {"valves": ("Why does the red valve leak",)}})
    question = "Why does the red valve leak?"
    over = Corpus(limits=RetrievalLimits(scope=scope))
    assert isinstance(asked(question, scope, over), QueryPlanned)
    admitted = QueryAdmitted(tenant="other", query=query(question))
    planned = QueryPlanned(tenant="other", query=admitted.query, kind="retrieval", variants=(question,))
    told = out_of_scope(planned, over.serving, scope)
    assert told is not None and "not for valves" in told.message


def test_when_a_tenant_takes_a_topic_out_then_it_is_planned_for_it() -> None:
    assert isinstance(asked(ADVICE, Scope(TOPICS, tenants={TENANT: {"medical advice": ()}})), QueryPlanned)


@pytest.mark.parametrize(("nearness", "margin", "told"), [(0.25, 0.15, True), (1.1, 0.15, False), (0.25, 1.5, False)])
def test_when_a_bar_is_higher_then_less_is_out_of_scope(nearness: float, margin: float, told: bool) -> None:
    outcome = asked(ADVICE, Scope(TOPICS, nearness=nearness, margin=margin))
    assert isinstance(outcome, AnswerWithheld) is told


def test_when_somebody_subscribed_to_it_then_it_is_asked() -> None:
    standing = StandingRound(question_id="s", round=1)
    assert isinstance(asked(ADVICE, Scope(TOPICS), standing=standing), QueryPlanned)


def test_when_nothing_was_published_then_examples_are_enough() -> None:
    over = Corpus(limits=RetrievalLimits(scope=Scope(TOPICS)))
    assert isinstance(asked(ADVICE, Scope(TOPICS), over), AnswerWithheld)


def test_when_it_is_out_of_scope_then_nobody_waits_for_an_answer_to_keep() -> None:
    over, clock = corpus(Scope(TOPICS)), SystemClock()
    answers = Answers(MemoryAnswers(clock), "p1", CacheLimits(wait_s=20.0))

    async def run() -> list[str]:
        told: list[str] = []
        for number in range(3):
            admitted = QueryAdmitted(tenant=TENANT, query=replace(query(ADVICE), query_id=f"q-{number}"))
            steps = rewrite(admitted, answers, over.serving, over.limits, clock, None)
            told += [one.reason async for one in steps if isinstance(one, AnswerWithheld)]
        return told

    assert asyncio.run(asyncio.wait_for(run(), 10.0)) == ["out_of_scope"] * 3


def test_when_scope_looked_at_a_question_then_the_search_does_not_embed_it_again_and_is_charged_for_it() -> None:
    kept = KeptVectors(10)
    over = Corpus(limits=RetrievalLimits(scope=Scope(TOPICS), asked=kept))
    over.add("pump.md", VALVE)
    outcome = asked("Why does the red valve leak?", Scope(TOPICS), over)
    assert isinstance(outcome, QueryPlanned)
    told: list[str] = []
    over.embedder = Telling(told)
    (found,) = retrieve(outcome, over.serving, over.limits, SystemClock())
    assert told == [] and {line.unit: line.quantity for line in found.usage}["tokens_in"] > 0
