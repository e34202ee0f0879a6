"""Sessions through the journeys in memory: a question leans on what was asked before, and on nobody else's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from adapters.answer_cache import MemoryAnswers
from adapters.errors import SessionsUnavailableError
from adapters.host import SystemClock
from adapters.overlap_ranker import OverlapRanker
from adapters.session_memory import MemorySessions
from processors.answer.caching import Answers
from processors.answer.reader import RuleReader
from processors.answer.sessions import Session, Turn, session_of
from processors.answer.writing import ExtractiveWriter
from processors.contract import Stop
from schemas.queries import AnswerGiven, AnswerWithheld, Query, QueryAsked
from streams.answer import ANSWER
from streams.driver import Driver
from streams.pipeline import BoundHop
from tests.topology.ports import changed, driver, memory_ports
from topics.answer import ANSWER_GIVEN, PROMPT_ASSEMBLED, QUERY_ASKED, QUERY_PLANNED, TURN_REMEMBERED
from topics.ingest import DOCUMENT_CHANGED as DOCUMENTS

PIER = "# Pier\n\nThe lamp at Marlow has the colour teal. The lamp at Marlow was lit in 1911.\n"
MILL = "# Mill\n\nThe mill at Goring has the colour red. The mill at Goring was built in 1874.\n"
FIRST = "Which colour has the lamp at Marlow?"
NEXT = "When was it lit?"


class Away(MemorySessions):
    """A store that can go away: nobody can read it then, and what is to be written raises."""

    away = False

    def read(self, session: str) -> Session | None:  # type: ignore[override]
        return None if self.away else super().read(session)

    def record(self, tenant: str, session: str, turn: Turn) -> bool:
        if self.away:
            raise SessionsUnavailableError("away")
        return super().record(tenant, session, turn)


class Watched(OverlapRanker):
    """A ranker that notes for which questions it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.questions = list[str]()

    def score(self, question: str, texts: Sequence[str]) -> list[float]:
        self.questions.append(question)
        return super().score(question, texts)


@pytest.fixture
def sessions() -> Away:
    return Away(SystemClock())


@pytest.fixture
def ports(sessions: Away) -> dict[str, Any]:
    return memory_ports(sessions=sessions)


@pytest.fixture
def line(ports: dict[str, Any]) -> Driver:
    made = driver(ports)
    for name, text in (("pier.md", PIER), ("mill.md", MILL)):
        for tenant in ("acme", "globex"):
            made.put(DOCUMENTS, changed(name, text, tenant))
    made.run()
    return made


def ask(
    line: Driver, question: str, query_id: str, tenant: str = "acme", user: str = "ada", session: str = "s"
) -> AnswerGiven | AnswerWithheld:
    query = Query(query_id=query_id, question=question, user=user, session=session)
    line.put(QUERY_ASKED, QueryAsked(tenant=tenant, event_id=query_id, query=query))
    line.run()
    (answer,) = (event for event in line.events(ANSWER_GIVEN) if event.answer_id == query_id)
    found: AnswerGiven | AnswerWithheld = answer
    return found


def variants(line: Driver, query_id: str) -> tuple[str, ...]:
    """What was searched for."""
    (planned,) = (event for event in line.events(QUERY_PLANNED) if event.query.query_id == query_id)
    found: tuple[str, ...] = planned.variants
    return found


def test_when_a_question_leans_on_the_one_before_then_it_is_answered_as_it_is_meant(line: Driver) -> None:
    ask(line, FIRST, "q1")
    answer = ask(line, NEXT, "q2")
    assert isinstance(answer, AnswerGiven) and "1911" in answer.text
    assert answer.question == NEXT
    assert variants(line, "q2") == (NEXT, f"{NEXT} Pier", f"{NEXT} colour lamp Marlow")
    assert [event.answer_id for event in line.events(TURN_REMEMBERED)] == ["q1", "q2"]


def test_when_a_question_leans_then_ranking_prompt_and_writer_take_it_as_it_is_meant() -> None:
    ranker = Watched()
    line = driver(memory_ports(ranker=ranker, writer=ExtractiveWriter(ranker, RuleReader())))
    line.put(DOCUMENTS, changed("pier.md", PIER))
    ask(line, FIRST, "q1")
    ranker.questions.clear()
    ask(line, NEXT, "q2")
    assert ranker.questions == [NEXT, f"{NEXT} Pier", f"{NEXT} Pier"]
    assert f"{NEXT} Pier" in line.events(PROMPT_ASSEMBLED)[-1].prompt


@pytest.mark.parametrize(
    "who",
    [{"tenant": "globex"}, {"user": "bob"}, {"user": ""}, {"session": "t"}, {"session": ""}],
    ids=["another tenant", "another user", "nobody", "another session", "no session"],
)
def test_when_somebody_else_asks_then_the_question_leans_on_nothing(line: Driver, who: dict[str, str]) -> None:
    ask(line, FIRST, "q1")
    ask(line, NEXT, "q2", **who)
    assert variants(line, "q2") == (NEXT,)


def test_when_a_question_stands_by_itself_then_its_session_changes_nothing(line: Driver) -> None:
    ask(line, FIRST, "q1")
    question = "When was the mill at Goring built?"
    within, alone = ask(line, question, "q2"), ask(line, question, "q3", session="")
    assert isinstance(within, AnswerGiven) and isinstance(alone, AnswerGiven)
    assert (within.text, within.citations) == (alone.text, alone.citations)
    assert variants(line, "q2") == variants(line, "q3") == (question,)


def test_when_the_sessions_are_away_then_questions_go_on_without_and_say_so_and_turns_are_written_later(
    line: Driver, sessions: Away
) -> None:
    remember = BoundHop(ANSWER.hop("remember"), {"sessions": sessions}.__getitem__)
    ask(line, FIRST, "q1")
    sessions.away = True
    with pytest.raises(Stop):
        ask(line, "Which colour has the mill at Goring?", "q2")
    (answer,) = (event for event in line.events(ANSWER_GIVEN) if event.answer_id == "q2")
    assert isinstance(answer, AnswerGiven) and "red" in answer.text
    assert answer.degraded == ("session",)
    with pytest.raises(Stop):
        ask(line, "Who painted Guernica?", "q3")
    (withheld,) = (event for event in line.events(ANSWER_GIVEN) if event.answer_id == "q3")
    assert isinstance(withheld, AnswerWithheld) and withheld.degraded == ("session",)
    assert not any(line.dead_letters(topic) for hop in ANSWER for topic in hop.reads)
    sessions.away = False
    remember.call([answer])
    found = sessions.read(session_of("acme", Query(query_id="q", question="?", user="ada", session="s")))
    assert found is not None and [turn.answer_id for turn in found.turns] == ["q1", "q2"]


def test_when_the_store_was_lost_then_a_replay_brings_the_sessions_back(line: Driver, sessions: Away) -> None:
    ask(line, FIRST, "q1")
    ask(line, NEXT, "q2")
    key = session_of("acme", Query(query_id="q", question="?", user="ada", session="s"))
    before = sessions.read(key)
    sessions.__init__(SystemClock())  # type: ignore[misc]
    assert sessions.read(key) != before
    line.rewind(ANSWER.hop("remember"))
    line.run()
    assert sessions.read(key) == before


def test_when_the_same_words_mean_another_thing_in_another_session_then_no_answer_is_given_again(
    ports: dict[str, Any],
) -> None:
    cached = driver({**ports, "answers": Answers(MemoryAnswers(SystemClock()), "p")})
    for name, text in (("pier.md", PIER), ("mill.md", MILL)):
        cached.put(DOCUMENTS, changed(name, text))
    cached.run()
    ask(cached, FIRST, "q1", session="one")
    ask(cached, "Which colour has the mill at Goring?", "q2", session="two")
    of_lamp, of_mill = (ask(cached, "When was it made?", f"q3-{name}", session=name) for name in ("one", "two"))
    again = ask(cached, "When was it made?", "q4", session="none")
    assert {of_lamp.cached_from, of_mill.cached_from, again.cached_from} == {""}
    ask(cached, FIRST, "q5", session="three")
    repeated = ask(cached, "When was it made?", "q6", session="three")
    assert repeated.cached_from == "q3-one"
    assert repeated.session != of_lamp.session


def test_when_the_sessions_are_away_then_no_answer_is_kept_for_others_or_given_from_what_was_kept(
    ports: dict[str, Any], sessions: Away
) -> None:
    cached = driver({**ports, "answers": Answers(MemoryAnswers(SystemClock()), "p")})
    cached.put(DOCUMENTS, changed("pier.md", PIER))
    cached.run()
    sessions.away = True
    for query_id in ("q1", "q2"):
        with pytest.raises(Stop):
            ask(cached, FIRST, query_id)
    assert [event.cached_from for event in cached.events(ANSWER_GIVEN)] == ["", ""]
    sessions.away = False
    assert not ask(cached, FIRST, "q3", session="").cached_from
    sessions.away = True
    with pytest.raises(Stop):
        ask(cached, FIRST, "q4")
    assert cached.events(ANSWER_GIVEN)[-1].degraded == ("session",)


def test_when_nothing_is_asked_then_that_is_said_at_once_and_it_is_no_turn(line: Driver) -> None:
    for number, said in enumerate(("Hello!", "Thank you very much.", "What can you do?", "And why?")):
        answer = ask(line, said, f"q{number}")
        assert isinstance(answer, AnswerWithheld) and answer.reason == "no_question"
    assert not line.events(QUERY_PLANNED)
    assert not line.events(TURN_REMEMBERED)
