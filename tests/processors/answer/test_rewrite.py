"""Rewrite: without a model, a question is searched for as it was asked; the same one at the same time only once."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace as replaced

import pytest
from msgspec.structs import replace

from adapters.answer_cache import MemoryAnswers
from adapters.errors import HeadsClosedError
from adapters.host import SystemClock
from adapters.memory import ManualClock
from adapters.overlap_ranker import OverlapRanker
from processors.answer.caching import Answers, CacheLimits, Result, same_question, ticket_of
from processors.answer.expiry import unwanted
from processors.answer.filters import FilterField, FilterFields
from processors.answer.kinds import NAMES_NOTHING, TALK
from processors.answer.rerank import rerank
from processors.answer.retrieve import retrieve
from processors.answer.rewrite import plan as plan_of
from processors.answer.rewrite import rewrite
from processors.answer.sessions import NOTHING_SAID, Session, Turn
from schemas.envelope import Micros
from schemas.queries import (
    AnswerDrafted,
    AnswerGiven,
    AnswerWithheld,
    CacheTicket,
    QueryAdmitted,
    QueryCancelled,
    QueryPlanned,
    Source,
    WithheldReason,
)
from streams.cancellations import Cancelled
from tests.processors.answer.corpus import Corpus
from tests.processors.answer.questions import TENANT, query

VALVE = "The red valve of the pump leaks when it is cold"
QUESTION = "Why does the red valve leak?"
PATIENT_S = 20.0

Outcome = QueryPlanned | AnswerGiven | AnswerWithheld


class Desk:
    """A corpus, a cache, and the steps around it by hand: `plan` asks, `finish` gives the answer."""

    def __init__(self, waiting: int = 32) -> None:
        self.corpus = Corpus()
        self.corpus.add("pump.md", VALVE)
        self.told: Counter[Result] = Counter()
        self.clock = SystemClock()
        self.cache = MemoryAnswers(self.clock)
        self.answers = Answers(
            self.cache, "p1", CacheLimits(PATIENT_S, waiting), lambda result: self.told.update([result])
        )

    async def plan(self, number: int, left_s: float = 0.0) -> Outcome:
        deadline = Micros(self.clock.now() + int(left_s * 1_000_000)) if left_s else Micros(0)
        asked = replace(query(QUESTION), query_id=f"q-{number}", deadline_at=deadline)
        return await planned(QueryAdmitted(tenant=TENANT, query=asked), self.answers, self.corpus)

    def finish(
        self,
        plan: Outcome,
        degraded: tuple[str, ...] = (),
        reason: WithheldReason | None = None,
        generation: str = "g1",
    ) -> None:
        assert isinstance(plan, QueryPlanned)
        (found,) = retrieve(plan, self.corpus.serving, self.corpus.limits, ManualClock())
        (ranked,) = rerank(found, OverlapRanker(), self.corpus.limits, ManualClock())
        passages = [replace(passage, generation=generation) for passage in ranked.passages]
        draft = AnswerDrafted(
            tenant=TENANT,
            query=ranked.query,
            sentences=(),
            sources=tuple(Source(number=n, passage=passage) for n, passage in enumerate(passages, 1)),
            model="m",
            prompt_version="1",
            degraded=degraded,
        )
        self.answers.keep(draft, final(plan.query.query_id, reason))


def final(query_id: str, reason: WithheldReason | None) -> AnswerGiven | AnswerWithheld:
    if reason is not None:
        return AnswerWithheld(tenant=TENANT, answer_id=query_id, question=QUESTION, reason=reason, message="No.")
    return AnswerGiven(
        tenant=TENANT,
        answer_id=query_id,
        question=QUESTION,
        text="When it is cold. [1]",
        citations=(),
        model="m",
        prompt_version="1",
    )


async def planned(admitted: QueryAdmitted, answers: Answers, corpus: Corpus) -> Outcome:
    (outcome,) = [one async for one in rewrite(admitted, answers, corpus.serving, corpus.limits, SystemClock(), None)]
    return outcome


@pytest.mark.parametrize(
    "question", ["How long is a delta kept?", "Wie lange bleibt ein Delta?", "Who wrote Hello?", "ログとは?"]
)
def test_when_planned_then_the_question_is_its_one_variant_in_its_language(question: str) -> None:
    outcome = asyncio.run(planned(QueryAdmitted(tenant=TENANT, query=query(question)), Answers(), Corpus()))
    assert isinstance(outcome, QueryPlanned)
    assert (outcome.kind, outcome.variants) == ("retrieval", (question,))
    assert outcome.query == query(question)


BORN = Turn("a", Micros(1), "When was Nikola Tesla born?", titles=("Inventors",))


def test_when_a_question_leans_on_its_session_then_it_is_planned_as_asked_and_as_meant() -> None:
    outcome = plan_of(TENANT, query("Where did he die?"), Session((BORN,)))
    assert isinstance(outcome, QueryPlanned)
    first, *others = outcome.variants
    assert first == outcome.query.question == "Where did he die?"
    assert outcome.query.resolved == outcome.query.meant == others[0]
    assert len(outcome.variants) <= 4 and not outcome.degraded


def test_when_a_question_stands_by_itself_then_its_session_changes_nothing_of_the_plan() -> None:
    asked = query("Where did Nikola Tesla die?")
    assert plan_of(TENANT, asked, Session((BORN,))) == plan_of(TENANT, asked, NOTHING_SAID)


@pytest.mark.parametrize("question", ["Where did he die in New York?", "And why?", "Hello!"])
def test_when_nobody_can_say_what_was_said_then_whatever_is_answered_says_so(question: str) -> None:
    assert plan_of(TENANT, query(question), None).degraded == ("session",)


@pytest.mark.parametrize(
    ("question", "message"), [("Thank you!", TALK), ("And why?", NAMES_NOTHING), ("What is it?", NAMES_NOTHING)]
)
def test_when_nothing_is_asked_or_named_then_that_is_said_and_nothing_searched(question: str, message: str) -> None:
    outcome = plan_of(TENANT, query(question), NOTHING_SAID)
    assert isinstance(outcome, AnswerWithheld)
    assert (outcome.reason, outcome.message) == ("no_question", message)


def test_when_a_question_names_nothing_but_leans_on_another_then_it_is_searched_for() -> None:
    assert isinstance(plan_of(TENANT, query("And why?"), Session((BORN,))), QueryPlanned)


def test_when_an_application_says_what_is_meant_then_it_is_dropped() -> None:
    forged = replace(query(), resolved="What is in the safe?")
    outcome = asyncio.run(planned(QueryAdmitted(tenant=TENANT, query=forged), Answers(), Corpus()))
    assert isinstance(outcome, QueryPlanned) and outcome.query.meant == query().question


@pytest.mark.parametrize("answers", [Answers(), Answers(MemoryAnswers(ManualClock()))], ids=["without", "with a cache"])
def test_when_an_application_brings_a_ticket_then_it_is_dropped(answers: Answers) -> None:
    forged = replace(query(), ticket=CacheTicket(key="mine", generation="g1", found="this"))
    outcome = asyncio.run(planned(QueryAdmitted(tenant=TENANT, query=forged), answers, Corpus()))
    assert isinstance(outcome, QueryPlanned)
    assert outcome.query.ticket is None or outcome.query.ticket.key != "mine"


def test_when_the_view_of_heads_is_closed_then_nothing_is_given_again() -> None:
    desk = Desk()
    desk.finish(asyncio.run(desk.plan(1)))
    assert isinstance(asyncio.run(desk.plan(2)), AnswerGiven)
    desk.corpus.heads.close()
    with pytest.raises(HeadsClosedError):
        asyncio.run(desk.plan(3))


@pytest.mark.parametrize(("found", "ranked"), [("other", ""), ("", "other")], ids=["search", "ranking"])
def test_when_search_or_ranking_come_to_something_else_then_nothing_is_given_again(found: str, ranked: str) -> None:
    desk = Desk()
    plan = asyncio.run(desk.plan(1))
    assert isinstance(plan, QueryPlanned) and plan.query.ticket
    desk.finish(plan)
    kept = desk.cache.get(plan.query.ticket.key)
    assert kept is not None
    other = replaced(kept, found=found or kept.found, ranked=ranked or kept.ranked)
    desk.cache.put(TENANT, plan.query.ticket.key, other)
    assert isinstance(asyncio.run(desk.plan(2)), QueryPlanned)
    assert desk.told == {"miss": 1, "matched": 1}


def test_when_the_record_of_a_question_comes_once_more_then_its_answer_is_its_own() -> None:
    desk = Desk()
    desk.finish(asyncio.run(desk.plan(1)))
    again, other = asyncio.run(desk.plan(1)), asyncio.run(desk.plan(2))
    assert isinstance(again, AnswerGiven) and isinstance(other, AnswerGiven)
    assert (again.answer_id, again.cached_from) == ("q-1", "")
    assert (other.answer_id, other.cached_from) == ("q-2", "q-1")


@pytest.mark.parametrize(
    ("degraded", "reason", "kept"),
    [
        ((), None, True),
        ((), "not_in_documents", True),
        (("rerank",), None, False),
        (("truncated",), "not_in_documents", False),
        ((), "unavailable", False),
        ((), "expired", False),
    ],
)
def test_when_an_answer_is_not_whole_then_it_is_not_kept(
    degraded: tuple[str, ...], reason: WithheldReason | None, kept: bool
) -> None:
    desk = Desk()
    desk.finish(asyncio.run(desk.plan(1)), degraded, reason)
    assert (not isinstance(asyncio.run(desk.plan(2)), QueryPlanned)) is kept


def test_when_passages_are_of_another_generation_than_was_planned_for_then_the_answer_is_not_kept() -> None:
    desk = Desk()
    desk.finish(asyncio.run(desk.plan(1)), generation="g0")
    assert isinstance(asyncio.run(desk.plan(2)), QueryPlanned)


def test_when_the_same_is_asked_many_times_at_once_then_one_is_worked_out_and_the_others_wait_for_it() -> None:
    desk = Desk()

    async def crowd() -> list[Outcome]:
        first = await desk.plan(0)
        others = [asyncio.create_task(desk.plan(number)) for number in range(1, 20)]
        await asyncio.sleep(0.2)
        assert not any(task.done() for task in others)
        await asyncio.to_thread(desk.finish, first)
        return await asyncio.gather(*others)

    outcomes = asyncio.run(asyncio.wait_for(crowd(), PATIENT_S))
    assert all(isinstance(one, AnswerGiven) and one.cached_from == "q-0" for one in outcomes)
    assert desk.told == {"miss": 1, "waited": 19}


class Impatient(MemoryAnswers):
    """Notes for how long somebody would wait, and does not."""

    waited_s: float = 0.0

    async def settled(self, key: str, within_s: float) -> None:
        self.waited_s = within_s


@pytest.mark.parametrize(("left_s", "most_s"), [(1.0, 0.5), (0.0, PATIENT_S), (1_000.0, PATIENT_S)])
def test_when_the_answer_does_not_come_then_half_of_the_time_there_is_was_waited_at_most(
    left_s: float, most_s: float
) -> None:
    desk = Desk()
    cache = Impatient(desk.clock)
    desk.answers = Answers(cache, "p1", CacheLimits(PATIENT_S))
    asyncio.run(desk.plan(0))
    assert isinstance(asyncio.run(desk.plan(1, left_s)), QueryPlanned)
    assert 0 < cache.waited_s <= most_s


def test_when_what_was_worked_out_may_not_be_kept_then_the_next_goes_the_long_way_at_once() -> None:
    desk = Desk()

    async def crowd() -> Outcome:
        first = await desk.plan(0)
        waiting = asyncio.create_task(desk.plan(1))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(desk.finish, first, ("rerank",))
        return await waiting

    # Less than the 20 seconds it would wait otherwise.
    assert isinstance(asyncio.run(asyncio.wait_for(crowd(), PATIENT_S / 2)), QueryPlanned)


def test_when_who_leads_hangs_up_then_one_of_those_who_wait_goes_on_and_the_others_wait_for_that_one() -> None:
    desk = Desk()
    cancelled = Cancelled(desk.clock)

    async def crowd() -> tuple[list[Outcome], list[Outcome]]:
        first = await desk.plan(0)
        waiting = {asyncio.create_task(desk.plan(number)) for number in range(1, 6)}
        await asyncio.sleep(0.1)
        cancelled.fold(QueryCancelled(tenant=TENANT, query_id="q-0"))
        assert unwanted(first, desk.clock, cancelled, desk.answers) is not None
        done, others = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        plans = [task.result() for task in done]
        for plan in plans:
            await asyncio.to_thread(desk.finish, plan)
        return plans, await asyncio.gather(*others)

    plans, others = asyncio.run(asyncio.wait_for(crowd(), PATIENT_S / 2))
    assert [type(plan) for plan in plans] == [QueryPlanned]
    assert [type(other) for other in others] == [AnswerGiven] * 4


def test_when_too_many_wait_already_then_the_next_goes_the_long_way_at_once() -> None:
    desk = Desk(waiting=2)

    async def crowd() -> Outcome:
        first = await desk.plan(0)
        waiting = [asyncio.create_task(desk.plan(number)) for number in (1, 2)]
        await asyncio.sleep(0.2)
        outcome = await desk.plan(3)
        await asyncio.to_thread(desk.finish, first)
        await asyncio.gather(*waiting)
        return outcome

    assert isinstance(asyncio.run(asyncio.wait_for(crowd(), PATIENT_S / 2)), QueryPlanned)
    assert desk.told == {"miss": 1, "busy": 1, "waited": 2}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("What is a lease?", "what is a lease", True),
        ("What is  a lease ??", "What is a lease.", True),
        ("What is European Union Law?", "what is European union law?", True),
        ("What do us want?", "What do US want?", False),
        ("US law?", "us law?", False),
        ("What is a lease?", "What is the lease?", False),
    ],
)
def test_when_questions_differ_in_their_spelling_only_then_they_are_the_same(one: str, other: str, same: bool) -> None:
    assert (same_question(one) == same_question(other)) is same


def test_when_a_question_states_filters_then_they_are_on_its_plan_and_what_an_application_put_there_is_not() -> None:
    fields = FilterFields({"year": FilterField("number", since=("in papers since {value}",))})
    asked = replace(query("Which valve leaks in papers since 1990?"), drawn={"year": "1800"})
    outcome = plan_of(TENANT, asked, NOTHING_SAID, fields)
    assert isinstance(outcome, QueryPlanned) and outcome.query.drawn == {"year": ">=1990"}
    plain = plan_of(TENANT, replace(query("Which valve leaks?"), drawn={"year": "1800"}), NOTHING_SAID, fields)
    assert isinstance(plain, QueryPlanned) and plain.query.drawn == {}


def test_when_filters_differ_then_answers_are_kept_apart() -> None:
    narrowed = [({}, {}), ({"year": ">=1990"}, {}), ({}, {"year": ">=1990"}), ({}, {"year": ">=1991"})]
    asked = [replace(query("Which valve leaks?"), filters=given, drawn=stated) for given, stated in narrowed]
    plans = [QueryPlanned(tenant=TENANT, query=one, kind="retrieval", variants=(one.question,)) for one in asked]
    assert len({ticket_of(one, "g1", "p1").key for one in plans}) == 4
