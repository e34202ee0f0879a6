"""Sessions on a real Kafka and a real Redis that is stopped, killed and started again while people talk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from headwater.local.redis_server import RedisServer
from schemas.documents import ErasureRequested
from schemas.envelope import Micros
from schemas.queries import AnswerGiven, AnswerWithheld, Query, QueryAsked, QueryPlanned, TurnRemembered
from streams.answer import ANSWER
from streams.publishing import Publisher
from streams.session_settings import SessionsSection
from streams.settings import Generate, Heads
from tests.live.asking import answering
from tests.live.erasure_world import TENANT, World, until
from tests.streams.answerer import entrance
from topics.answer import ANSWER_GIVEN, QUERY_ASKED, QUERY_PLANNED, TURN_REMEMBERED
from topics.ingest import ERASURE_REQUESTED

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

QUAY: Final = "# Quay\n\nThe lamp at quay Zephyr has the colour teal. The lamp at quay Zephyr was lit in 1911.\n"
FIRST: Final = "Which colour has the lamp at quay Zephyr?"
NEXT: Final = "When was it lit?"
# Longer than Redis keeps what it was given from its log: a second.
WRITTEN_S: Final = 2.5

Answer = AnswerGiven | AnswerWithheld


@dataclass
class Talk:
    """People who ask in sessions, each of a user's own."""

    world: World
    publisher: Publisher

    def ask(self, question: str, user: str = "ada", session: str = "zephyr") -> Answer:
        """The answer to a question."""
        made = entrance()
        query = Query(
            query_id=made.ids.new(),
            question=question,
            user=user,
            session=session,
            deadline_at=Micros(made.clock.now() + 30_000_000),
        )
        self.publisher.publish(QUERY_ASKED, QueryAsked(tenant=TENANT, event_id=query.query_id, query=query))
        (found,) = until(lambda: self._of(ANSWER_GIVEN.name, query.query_id), f"an answer to {question!r}")
        assert isinstance(found, AnswerGiven | AnswerWithheld)
        return found

    def meant(self, answer: Answer) -> str:
        """What the question was taken for, beside its own words; empty where it was taken by them alone."""
        events = [reading.event for reading in self.world.readings(QUERY_PLANNED.name)]
        (found,) = (e for e in events if isinstance(e, QueryPlanned) and e.query.query_id == answer.answer_id)
        return found.query.resolved

    def remembered(self, answer: Answer) -> None:
        """Waits until an answer is a turn."""
        until(lambda: self._of(TURN_REMEMBERED.name, answer.answer_id), "the turn")

    def is_turn(self, answer: Answer) -> bool:
        return bool(self._of(TURN_REMEMBERED.name, answer.answer_id))

    def letters(self) -> int:
        topics = dict.fromkeys(topic.dead_letters for hop in ANSWER for topic in hop.reads)
        return sum(len(self.world.readings(topic)) for topic in topics)

    def _of(self, topic: str, answer_id: str) -> list[object]:
        events = [reading.event for reading in self.world.readings(topic)]
        return [
            event
            for event in events
            if isinstance(event, AnswerGiven | AnswerWithheld | TurnRemembered) and event.answer_id == answer_id
        ]


@pytest.fixture
def talk(upkeep: World, own_redis: RedisServer) -> Iterator[Talk]:
    # The hashing embedder is never sure; what is asked for here is not whether it should be.
    changed = {
        "heads": Heads(url=own_redis.url),
        "sessions": SessionsSection(kind="redis"),
        "generate": Generate(confidence_bar=0.02),
    }
    settings = upkeep.settings.model_copy(update=changed)
    with answering(settings), Publisher(settings.kafka, upkeep.codec, entrance()) as publisher:
        upkeep.publish("quay.md", QUAY)
        until(lambda: "quay.md" in upkeep.heads(), "the document's head")
        yield Talk(upkeep, publisher)


def says(answer: Answer) -> str:
    return answer.text if isinstance(answer, AnswerGiven) else answer.message


def again(own_redis: RedisServer) -> None:
    """Starts it where it was."""
    own_redis.begin(own_redis.port)
    own_redis.await_ready()


def test_when_redis_is_stopped_and_killed_then_questions_go_on_and_what_it_had_written_is_leaned_on_again(
    talk: Talk, own_redis: RedisServer
) -> None:
    letters = talk.letters()
    first = talk.ask(FIRST)
    assert "teal" in says(first)
    talk.remembered(first)
    follow_up = talk.ask(NEXT)
    assert talk.meant(follow_up) and "1911" in says(follow_up)
    assert talk.meant(talk.ask(NEXT, user="bob")) == ""

    own_redis.stop()
    without = talk.ask(FIRST, user="cleo")
    assert isinstance(without, AnswerGiven) and without.degraded == ("session",)
    leaning = talk.ask(NEXT)
    assert leaning.degraded == ("session",) and talk.meant(leaning) == ""
    assert not talk.is_turn(without)

    again(own_redis)
    talk.remembered(without)
    back = talk.ask(NEXT)
    assert talk.meant(back) and not back.degraded
    assert talk.meant(talk.ask(NEXT, user="cleo"))

    time.sleep(WRITTEN_S)
    own_redis.child.kill()
    again(own_redis)
    until(lambda: not talk.ask("Which colour has the lamp?", user="dora").degraded, "Redis to be asked again")
    assert talk.meant(talk.ask(NEXT))
    assert talk.letters() == letters


def test_when_a_document_is_erased_then_no_session_quotes_it_any_more(talk: Talk, own_redis: RedisServer) -> None:
    first = talk.ask(FIRST, session="erased")
    talk.remembered(first)
    request = ErasureRequested(tenant=TENANT, document="quay.md", reason="test")
    talk.publisher.publish(ERASURE_REQUESTED, request)
    receipt = until(lambda: talk.world.receipts("quay.md"), "a receipt")[-1]
    stores = {store.store: (store.removed, store.left) for store in receipt.stores}
    assert stores["sessions"][0] >= 1 and stores["sessions"][1] == 0
    time.sleep(WRITTEN_S)
    import redis as client

    with client.Redis.from_url(own_redis.url) as held:
        values = [value for name in held.scan_iter("*:of:*") for value in held.hvals(name)]
    assert values and not any(b"has the colour teal" in value for value in values)
